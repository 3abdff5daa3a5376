"""WAV files that /api/tts hands out: kept seven days, in a folder of bounded size."""

import re
import time
import uuid
from pathlib import Path

__all__ = ["Recordings"]

KEEP_SECONDS = 7 * 24 * 3600.0
MAX_BYTES = 1 << 30
ID = re.compile(r"[0-9a-f]{32}")


class Recordings:
    """A folder of WAV files named by unguessable ids."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, wav: bytes) -> str:
        """Store a file and return its id. Raises OSError if the disk does not take it; nothing is left of it then."""
        recording = uuid.uuid4().hex
        temporary = self._folder / f"{recording}.part"
        try:
            temporary.write_bytes(wav)
            temporary.replace(self._path(recording))
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return recording

    def find(self, recording: str) -> Path | None:
        """Return the file of an id; None if the id is malformed, unknown or expired."""
        if not ID.fullmatch(recording):
            return None
        path = self._path(recording)
        try:
            return path if path.stat().st_mtime > time.time() - KEEP_SECONDS else None
        except FileNotFoundError:
            return None

    def sweep(self) -> None:
        """Delete what is older than seven days, then the oldest until the folder is within its bound."""
        files = []
        for path in self._folder.iterdir():
            stat = path.stat()
            files.append((stat.st_mtime, stat.st_size, path))
        total = 0
        for modified, size, path in sorted(files, reverse=True):
            total += size
            if total > self._max_bytes or modified <= time.time() - KEEP_SECONDS:
                path.unlink(missing_ok=True)

    def _path(self, recording: str) -> Path:
        return self._folder / f"{recording}.wav"
