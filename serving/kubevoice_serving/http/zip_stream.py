"""A ZIP file that is streamed while it is written."""

import io
import time
import zipfile

__all__ = ["ZipStream"]


class _UnsentBuffer:
    """A file for zipfile that keeps only what has not been sent; what was sent is never changed."""

    def __init__(self) -> None:
        self._buffer, self._sent_bytes = io.BytesIO(), 0
        """Written since the last `pop`, and the size of all before."""

    def tell(self) -> int:
        """Return the position in the whole file."""
        return self._sent_bytes + self._buffer.tell()

    def seek(self, offset: int) -> int:
        """Go to a position in the whole file; UnsupportedOperation if it has been sent."""
        if offset < self._sent_bytes:
            raise io.UnsupportedOperation("what was sent cannot be written again")
        return self._sent_bytes + self._buffer.seek(offset - self._sent_bytes)

    def write(self, data: bytes, /) -> int:
        """Write at the position."""
        return self._buffer.write(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Do nothing: the end of the file is still to be sent."""

    def pop(self) -> bytes:
        """Return what has been written since the last call, and drop it."""
        data = self._buffer.getvalue()
        self._buffer, self._sent_bytes = io.BytesIO(), self._sent_bytes + len(data)
        return data


class ZipStream:
    """Writes a ZIP file in parts. Each entry is added complete, so that its header has its size."""

    def __init__(self) -> None:
        self._buffer = _UnsentBuffer()
        self._file = zipfile.ZipFile(self._buffer, "w")

    def add_entry(self, name: str, data: bytes) -> bytes:
        """Add an entry. It is not compressed: most audio formats are already.

        Parameters
        ----------
        name : str
            Name of the file in the archive.
        data : bytes
            Content of the file.

        Returns
        -------
        bytes
            The next bytes of the ZIP file.
        """
        now = time.localtime()
        info = zipfile.ZipInfo(name, (now.tm_year, now.tm_mon, now.tm_mday, now.tm_hour, now.tm_min, now.tm_sec))
        info.external_attr = 0o644 << 16
        self._file.writestr(info, data)
        return self._buffer.pop()

    def finish(self) -> bytes:
        """Write the end of the file, its directory.

        Returns
        -------
        bytes
            The last bytes of the ZIP file.
        """
        self.close()
        return self._buffer.pop()

    def close(self) -> None:
        """Close the file without sending its end; does nothing after `finish`."""
        self._file.close()
