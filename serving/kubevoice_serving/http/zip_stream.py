"""A ZIP file that is sent while it is made."""

import io
import time
import zipfile

__all__ = ["Archive"]


class _Sink:
    """A file of which only what was not yet taken is kept; nothing before that is ever changed."""

    def __init__(self) -> None:
        self._kept, self._taken = io.BytesIO(), 0

    def tell(self) -> int:
        return self._taken + self._kept.tell()

    def seek(self, offset: int) -> int:
        if offset < self._taken:
            raise io.UnsupportedOperation("what was taken cannot be written again")
        return self._taken + self._kept.seek(offset - self._taken)

    def write(self, data: bytes, /) -> int:
        return self._kept.write(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Whoever takes needs it open."""

    def take(self) -> bytes:
        data = self._kept.getvalue()
        self._kept, self._taken = io.BytesIO(), self._taken + len(data)
        return data


class Archive:
    """Each entry is added whole, so that its head tells its size and every reader understands it."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._file = zipfile.ZipFile(self._sink, "w")

    def add(self, name: str, data: bytes) -> bytes:
        """Add an entry, not compressed, for audio mostly is; return the bytes that are to be sent for it."""
        now = time.localtime()
        info = zipfile.ZipInfo(name, (now.tm_year, now.tm_mon, now.tm_mday, now.tm_hour, now.tm_min, now.tm_sec))
        info.external_attr = 0o644 << 16
        self._file.writestr(info, data)
        return self._sink.take()

    def finish(self) -> bytes:
        """Return the end of the file."""
        self.close()
        return self._sink.take()

    def close(self) -> None:
        """Give it up, if it is not finished."""
        self._file.close()
