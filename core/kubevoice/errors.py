"""Errors that are meant to be read by the person who can fix them."""

from collections.abc import Sequence

__all__ = ["InputError", "KubeVoiceError", "SilentError", "StorageError"]


class KubeVoiceError(Exception):
    """A failure with a message that says what, where and what to do.

    The command line prints the message as one line and exits with `exit_code`; no traceback is shown
    unless it is asked for.
    """

    exit_code = 1


class InputError(KubeVoiceError):
    """The user's input cannot be used. `problems` lists every fault found, not only the first."""

    exit_code = 2

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class SilentError(InputError):
    """There is nothing in a text that can be spoken, as in a line of dashes."""


class StorageError(KubeVoiceError):
    """Storage cannot be used now: a server that is down, a bucket that is missing, a key that opens nothing.

    The request is valid, so it may succeed when the fault is repaired.
    """
