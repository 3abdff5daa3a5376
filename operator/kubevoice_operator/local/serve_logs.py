"""The logs of the processes that serve on this machine: what Ray writes of its Serve replicas."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LogEntry", "LogReader"]

REPLICA = ":actor_name:ServeReplica:"
"""A line in the log of a Serve replica; the deployment's name follows."""
MARKS = (":job_id:", ":actor_name:", ":task_name:")
"""Begin lines that Ray writes for itself."""
BEGIN = re.compile(r"[A-Z]+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ")
"""Begin of an entry; lines without it, as those of a traceback, belong to the one before."""
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of a log: when it was written, as text that sorts by time, and its lines."""

    time: str
    text: str


class LogReader:
    """Reads the logs of all replicas of one Ray session, from where it stopped the last time.

    Parameters
    ----------
    folder
        The session's folder of logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}
        """Bytes of each log that were read; `read` moves them on."""

    def read(self) -> list[LogEntry]:
        """Read what was written since the last call.

        Returns
        -------
        list of LogEntry
            Complete lines of all replicas, in the order of time.
        """
        entries: list[LogEntry] = []
        for path in sorted(self._folder.glob("worker-*.err")):
            if path in self._offsets or _is_of_replica(path):
                entries += _parse_entries(self._read_lines(path))
        return sorted(entries, key=lambda entry: entry.time)

    def _read_lines(self, path: Path) -> list[str]:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offsets[path] = self._offsets.get(path, 0) + end
        return data[:end].decode(errors="replace").splitlines()


def _is_of_replica(path: Path) -> bool:
    with path.open("rb") as file:
        return REPLICA in file.read(HEAD_BYTES).decode(errors="replace")


def _parse_entries(lines: Iterable[str]) -> Iterator[LogEntry]:
    time = ""
    text: list[str] = []
    for line in lines:
        if line.startswith(MARKS):
            continue
        if begin := BEGIN.match(line):
            if text:
                yield LogEntry(time, "\n".join(text))
            time, text = begin[1], [line]
        else:
            text.append(line)
    if text:
        yield LogEntry(time, "\n".join(text))
