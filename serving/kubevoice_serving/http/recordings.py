"""WAV files that /api/tts links to: kept for seven days, in a folder of limited size."""

import re
import time
import uuid
from pathlib import Path

__all__ = ["Recordings"]

MAX_AGE_SECONDS = 7 * 24 * 3600.0
MAX_BYTES = 1 << 30
ID = re.compile(r"[0-9a-f]{32}")


class Recordings:
    """A folder of WAV files named by unguessable ids.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    max_bytes : int
        Size that `delete_expired` brings the folder down to.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, wav: bytes) -> str:
        """Store a file.

        Parameters
        ----------
        wav : bytes
            Content of the file.

        Returns
        -------
        str
            Id of the recording: 32 hexadecimal digits.

        Raises
        ------
        OSError
            If the disk is full; nothing is left of the file then.
        """
        recording_id = uuid.uuid4().hex
        temporary = self._folder / f"{recording_id}.part"
        try:
            temporary.write_bytes(wav)
            temporary.replace(self._path(recording_id))
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return recording_id

    def get_path(self, recording_id: str) -> Path | None:
        """Find the file of a recording.

        Parameters
        ----------
        recording_id : str
            Id from a URL; it may be anything.

        Returns
        -------
        Path or None
            The file; None if the id is malformed, unknown or expired.
        """
        if not ID.fullmatch(recording_id):
            return None
        path = self._path(recording_id)
        try:
            return path if path.stat().st_mtime > time.time() - MAX_AGE_SECONDS else None
        except FileNotFoundError:
            return None

    def delete_expired(self) -> None:
        """Delete files older than seven days, then the oldest ones until the folder is small enough."""
        files = []
        for path in self._folder.iterdir():
            stat = path.stat()
            files.append((stat.st_mtime, stat.st_size, path))
        total = 0
        for modified, size, path in sorted(files, reverse=True):
            total += size
            if total > self._max_bytes or modified <= time.time() - MAX_AGE_SECONDS:
                path.unlink(missing_ok=True)

    def _path(self, recording_id: str) -> Path:
        return self._folder / f"{recording_id}.wav"
