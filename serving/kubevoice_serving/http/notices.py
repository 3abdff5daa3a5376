"""Notices in a header: what of a request has no effect."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from kubevoice.text.ssml import Notice

__all__ = ["make_notices_header"]

MAX_NOTICES = 8
"""Most notices in a response header."""


def make_notices_header(notices: Sequence[Notice]) -> dict[str, str]:
    """Return the header with the first notices of a request.

    Parameters
    ----------
    notices : sequence of Notice
        What has no effect.

    Returns
    -------
    dict of str to str
        `X-Notices` with a JSON array; empty if there are none.
    """
    return {"X-Notices": json.dumps([asdict(notice) for notice in notices[:MAX_NOTICES]])} if notices else {}
