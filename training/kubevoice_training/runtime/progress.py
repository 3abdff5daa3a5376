"""How far a stage is: kept for who asks (see `telemetry`), and written to one small JSON file, replaced atomically."""

import time
from collections import deque
from pathlib import Path

from kubevoice.resources.stages import Progress, Stage

__all__ = ["ProgressFile"]

MIN_INTERVAL_SECONDS = 0.2
RECENT_STEPS = 50
"""The rate that the ETA rests on is measured over this many steps: the first ones are slower."""


class ProgressFile:
    """Writes `stages.Progress` to a path; cheap enough to be called every step."""

    def __init__(self, path: Path, stage: Stage) -> None:
        self._path, self._stage = path, stage
        self._marks: deque[tuple[float, int]] = deque(maxlen=RECENT_STEPS)
        self._written = 0.0
        self.latest: Progress | None = None
        """What was reported last; None before anything was."""

    def report(self, step: int, total: int, *, loss: float | None = None, dev_loss: float | None = None) -> None:
        """Keep the state, and write it unless it was written a moment ago; the last step is always written."""
        now = time.monotonic()
        self._marks.append((now, step))
        self.latest = Progress(
            stage=self._stage,
            step=step,
            total=total,
            percent=round(100.0 * step / max(1, total), 1),
            loss=loss,
            dev_loss=dev_loss,
            eta_seconds=self._eta(step, total),
        )
        if step < total and now - self._written < MIN_INTERVAL_SECONDS:
            return
        self._written = now
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(self.latest.model_dump_json(by_alias=True), encoding="utf-8")
        temporary.replace(self._path)

    def _eta(self, step: int, total: int) -> float | None:
        (began, first), (now, last) = self._marks[0], self._marks[-1]
        return round((total - step) * (now - began) / (last - first), 1) if last > first else None
