"""API keys: who may call, and with which voices.

Only the SHA-256 of a key is stored, beside the name that logs and metrics show. A plain hash is enough because keys are
generated at random: there is nothing to guess from.
"""

import hmac
import logging
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubevoice.digests import hash_text
from kubevoice.errors import InputError, KubeVoiceError

__all__ = ["ApiKeyEntry", "ApiKeyFile", "find_key", "generate_key", "parse_keys"]

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
VOICE = re.compile(r"[^\s,]{1,253}")
LINE = re.compile(
    rf"(?P<name>{NAME.pattern})[ \t]+sha256:(?P<digest>[0-9a-f]{{64}})"
    rf"(?:[ \t]+voices=(?P<voices>{VOICE.pattern}(?:,{VOICE.pattern})*))?"
)
MAX_FILE_BYTES = 1 << 20
"""The largest Secret in Kubernetes."""
REREAD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ApiKeyEntry:
    """A line of a keys file. Two may share a name, so that a key can be replaced while both are valid.

    Attributes
    ----------
    name : str
        Name of the key, which logs and metrics show.
    digest : str
        SHA-256 of the key in hexadecimal.
    voices : tuple of str
        Names of the voices that it may use; the first is its default voice. Empty: all voices.
    """

    name: str
    digest: str
    voices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The line as it is in the file."""
        voices = f" voices={','.join(self.voices)}" if self.voices else ""
        return f"{self.name} sha256:{self.digest}{voices}"


def _hash_key(key: str) -> str:
    return hash_text(key)


def generate_key(name: str, voices: Sequence[str] = ()) -> tuple[str, ApiKeyEntry]:
    """Generate a random key of 256 bits.

    Parameters
    ----------
    name : str
        Name of the key.
    voices : sequence of str
        Names of the voices that it may use; empty for all.

    Returns
    -------
    tuple of str and ApiKeyEntry
        The key, and its line in a keys file.

    Raises
    ------
    InputError
        If a name cannot be in a line.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a valid name of a key: use up to 63 letters, digits, '.', '_' and '-', the first of "
            "them a letter or a digit"
        )
    for voice in voices:
        if not VOICE.fullmatch(voice):
            raise InputError(f"{voice!r} is not a name of a voice: it must have no space and no comma")
    key = f"kv-{secrets.token_urlsafe(32)}"
    return key, ApiKeyEntry(name, _hash_key(key), tuple(voices))


def parse_keys(data: bytes) -> tuple[ApiKeyEntry, ...]:
    """Parse a keys file: a line `NAME sha256:DIGEST [voices=VOICE,...]` for each key.

    Empty lines and those with # are ignored.

    Parameters
    ----------
    data : bytes
        Content of the file, in UTF-8.

    Returns
    -------
    tuple of ApiKeyEntry
        The keys, in the order of the lines; at least one.

    Raises
    ------
    InputError
        If a line is malformed, if two names have the same key, or if there is no key. The message names the line and
        never its content: it may be a key.
    """
    entries, problems = [], []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if match := LINE.fullmatch(stripped):
            voices = tuple(match["voices"].split(",")) if match["voices"] else ()
            entries.append(ApiKeyEntry(match["name"], match["digest"], voices))
        else:
            problems.append(f"line {number} is not NAME sha256:64 HEXADECIMAL DIGITS [voices=VOICE,...]")
    last = {entry.digest: entry for entry in entries}
    problems += [
        f"{entry.name} and {last[entry.digest].name} have the same key"
        if entry.name != last[entry.digest].name
        else f"two lines have the same key of {entry.name} and different voices"
        for entry in entries
        if entry != last[entry.digest]
    ]
    if not entries and not problems:
        problems.append("it has no key")
    if problems:
        raise InputError(f"{problems[0]}; `kubevoice key NAME` prints a line", problems)
    return tuple(entries)


def find_key(entries: tuple[ApiKeyEntry, ...], key: str) -> ApiKeyEntry | None:
    """Find the entry of a key.

    Every digest is compared, and each in constant time, so that the time it takes reveals nothing.

    Parameters
    ----------
    entries : tuple of ApiKeyEntry
        The valid keys.
    key : str
        The key of a request.

    Returns
    -------
    ApiKeyEntry or None
        Its entry; None if it is unknown.
    """
    digest, match = _hash_key(key), None
    for entry in entries:
        if hmac.compare_digest(entry.digest, digest):
            match = entry
    return match


class ApiKeyFile:
    """A keys file that may change at any time. While it cannot be read or parsed no key is valid.

    A Secret that is mounted changes by a symbolic link, other files are edited in place. So the content is compared, at
    most once in REREAD_SECONDS.

    Parameters
    ----------
    path : Path
        The file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data: bytes | None = None
        """The content that `_entries` was parsed from; None while the file cannot be used."""
        self._entries: tuple[ApiKeyEntry, ...] = ()
        """The valid keys; written by `_refresh`, empty while the file cannot be used."""
        self._fault = ""
        """Why the file cannot be used; empty if it can. Written by `_refresh`."""
        self._next_read = 0.0
        """When to read again, on the clock of time.monotonic; written by `_refresh`."""
        self._refresh()  # a file that cannot be used is logged at once

    def find(self, key: str) -> ApiKeyEntry | None:
        """Find the entry of a key in the file as it is now.

        Parameters
        ----------
        key : str
            The key of a request.

        Returns
        -------
        ApiKeyEntry or None
            Its entry; None if it is unknown.

        Raises
        ------
        KubeVoiceError
            If the file cannot be used now.
        """
        self._refresh()
        if self._fault:
            raise KubeVoiceError(self._fault)
        return find_key(self._entries, key)

    def _refresh(self) -> None:
        if time.monotonic() < self._next_read:
            return
        self._next_read = time.monotonic() + REREAD_SECONDS
        try:
            data = _read_file(self.path)
            if data == self._data:
                return
            self._entries, fault = parse_keys(data), ""
            self._data = data
        except (OSError, InputError) as error:
            self._data, self._entries = None, ()
            fault = f"the file of API keys {self.path} cannot be used: {error}"
        if fault and fault != self._fault:
            logger.error("every request is refused: %s", fault)
        if not fault:
            logger.info("%d API keys in %s", len(self._entries), self.path)
        self._fault = fault


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise InputError("there is no such file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"it is larger than {MAX_FILE_BYTES} bytes")
    return data
