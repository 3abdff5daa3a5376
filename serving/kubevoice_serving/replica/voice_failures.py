"""Why voices cannot be loaded, and when each is tried again."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kubevoice.errors import InputError, KubeVoiceError

__all__ = ["VoiceFailures", "describe_failure"]

FIRST_SECONDS, MAX_SECONDS = 1.0, 60.0
"""Time until a voice is tried again: after the first failure, doubled by each further one, and at most."""

MAX_PROBLEMS = 3
"""Faults of a bundle that a message lists."""


def describe_failure(error: Exception) -> str:
    """Say why a voice cannot be loaded.

    Parameters
    ----------
    error : Exception
        What was raised.

    Returns
    -------
    str
        Its message, with the first faults of a bundle.
    """
    if not isinstance(error, KubeVoiceError):
        return f"{type(error).__name__}: {error}"
    problems = error.problems[:MAX_PROBLEMS] if isinstance(error, InputError) else ()
    return f"{error}: {'; '.join(problems)}" if problems else str(error)


@dataclass(slots=True)
class _Failure:
    message: str
    attempts: int
    retry_at: float


class VoiceFailures:
    """The last failure of each voice that could not be loaded, by name. Times are on the clock of the caller."""

    def __init__(self) -> None:
        self._failures: dict[str, _Failure] = {}

    @property
    def messages(self) -> dict[str, str]:
        """Why each voice cannot be loaded."""
        return {name: failure.message for name, failure in self._failures.items()}

    def __contains__(self, name: str) -> bool:
        """Return whether the last attempt of a voice failed."""
        return name in self._failures

    def add(self, name: str, message: str, now: float) -> None:
        """Note a failure, and double the time until the next attempt.

        Parameters
        ----------
        name : str
            The voice.
        message : str
            What happened.
        now : float
            When.
        """
        attempts = self._failures[name].attempts + 1 if name in self._failures else 1
        delay = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** (attempts - 1))
        self._failures[name] = _Failure(message, attempts, now + delay)

    def wait_seconds(self, name: str, now: float) -> int:
        """Return how long a voice is not tried.

        Parameters
        ----------
        name : str
            The voice.
        now : float
            The time.

        Returns
        -------
        int
            Seconds, rounded up; 0 if it may be tried now.
        """
        failure = self._failures.get(name)
        return max(0, math.ceil(failure.retry_at - now)) if failure else 0

    def forget(self, names: Iterable[str]) -> None:
        """Forget the failures of voices that were loaded, changed or removed.

        Parameters
        ----------
        names : iterable of str
            The voices.
        """
        for name in names:
            self._failures.pop(name, None)
