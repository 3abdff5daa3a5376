"""API keys: who may call. Of a key only its SHA-256 is kept, beside the name that logs and metrics show.

A plain hash is enough because keys are drawn at random: there is nothing to guess from.
"""

import hashlib
import hmac
import logging
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from kubevoice.errors import InputError, KubeVoiceError

__all__ = ["KeyLine", "KeysFile", "find_name", "make_key", "parse_keys"]

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
LINE = re.compile(rf"(?P<name>{NAME.pattern})[ \t]+sha256:(?P<digest>[0-9a-f]{{64}})")
LARGEST = 1 << 20
"""Bytes of a Secret in Kubernetes."""
REREAD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key. Two lines may share a name, so that a key can be replaced while both are good."""

    name: str
    digest: str
    """SHA-256 of the key in hexadecimal."""

    @property
    def text(self) -> str:
        """The line of the file."""
        return f"{self.name} sha256:{self.digest}"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def make_key(name: str) -> tuple[str, KeyLine]:
    """Draw a key of 256 bits; return it and its line. InputError if no line can bear the name."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a key; up to 63 letters, digits, '.', '_' and '-' can, of which the first is a "
            "letter or a digit"
        )
    key = f"kv-{secrets.token_urlsafe(32)}"
    return key, KeyLine(name, _digest(key))


def parse_keys(data: bytes) -> tuple[KeyLine, ...]:
    """Read a keys file: a line `NAME sha256:DIGEST` for each key; empty lines and those with # are passed over.

    Raises InputError naming the lines that are wrong, never their words: somebody may have put a key there.
    """
    found, wrong = [], []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if match := LINE.fullmatch(stripped):
            found.append(KeyLine(match["name"], match["digest"]))
        else:
            wrong.append(f"line {number} is not NAME sha256:64 HEXADECIMAL DIGITS")
    owner = {one.digest: one.name for one in found}
    wrong += [f"{one.name} and {owner[one.digest]} have the same key" for one in found if one.name != owner[one.digest]]
    if not found and not wrong:
        wrong.append("there is no key in it")
    if wrong:
        raise InputError(f"{wrong[0]}; `kubevoice key NAME` prints a line", wrong)
    return tuple(found)


def find_name(keys: tuple[KeyLine, ...], key: str) -> str | None:
    """Return whose key it is. The time it takes tells nothing: every digest is compared, and in constant time."""
    digest, name = _digest(key), None
    for one in keys:
        if hmac.compare_digest(one.digest, digest):
            name = one.name
    return name


class KeysFile:
    """A keys file that may change at any time. While it cannot be read, or makes no sense, it knows nobody.

    A Secret that is mounted changes by a symbolic link, as a whole; the words are compared, so that it does not matter
    how a file came to be another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data: bytes | None = None
        self._keys: tuple[KeyLine, ...] = ()
        self._fault = ""
        self._next = 0.0
        self._refresh()  # a file of no use is told in the log at once

    def find(self, key: str) -> str | None:
        """Return whose key it is, None if nobody's. KubeVoiceError if the file is of no use now."""
        self._refresh()
        if self._fault:
            raise KubeVoiceError(self._fault)
        return find_name(self._keys, key)

    def _refresh(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REREAD_SECONDS
        try:
            data = _read(self.path)
            if data == self._data:
                return
            self._keys, fault = parse_keys(data), ""
            self._data = data
        except (OSError, InputError) as error:
            self._data, self._keys = None, ()
            fault = f"the file of API keys {self.path} cannot be used: {error}"
        if fault and fault != self._fault:
            logger.error("nobody may call: %s", fault)
        if not fault:
            logger.info("%d API keys in %s", len(self._keys), self.path)
        self._fault = fault


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise InputError("there is no such file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise InputError(f"it is larger than {LARGEST} bytes")
    return data
