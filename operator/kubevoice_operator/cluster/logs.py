"""The operator's log: one JSON object a line, with the VoiceModel it is about."""

import json
import logging
import sys
from datetime import UTC, datetime

from typing_extensions import override

__all__ = ["configure"]


class JsonFormatter(logging.Formatter):
    """Records as JSON lines."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line of JSON.

        Parameters
        ----------
        record
            The record.

        Returns
        -------
        str
            Time, level, logger, message, the VoiceModel it is about, and the traceback of an error.
        """
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        key = getattr(record, "voicemodel", None)
        if key is not None:
            line |= {"namespace": key[0], "voicemodel": key[1]}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str) -> None:
    """Log to stdout. kopf's messages about single events are logged from warnings up only.

    Parameters
    ----------
    level
        The lowest level that is logged.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("kopf.objects", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
