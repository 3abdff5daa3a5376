"""The progress of a stage, for `telemetry` and in one small JSON file that is replaced atomically."""

import time
from collections import deque
from pathlib import Path

from kubevoice.resources.stages import Progress, Stage

__all__ = ["ProgressFile"]

MIN_INTERVAL_SECONDS = 0.2
RECENT_STEPS = 50
"""The ETA is computed from the rate of this many steps, because the first ones are slower."""


class ProgressFile:
    """Writes a stage's `Progress` to a path; cheap enough to be called at every step.

    Attributes
    ----------
    latest
        What `report` was called with last; None before the first call. `telemetry` reads it from other threads.
    """

    def __init__(self, path: Path, stage: Stage) -> None:
        self._path, self._stage = path, stage
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_STEPS)  # times and steps of the latest reports
        self._written_at = 0.0  # when the file was written last, by the monotonic clock
        self.latest: Progress | None = None

    def report(self, step: int, total: int, *, loss: float | None = None, dev_loss: float | None = None) -> None:
        """Set the progress, and write the file unless that was done a moment ago; the last step is always written.

        Parameters
        ----------
        step, total
            Steps made and steps there are: of a training its optimizer steps, of other stages their clips.
        loss, dev_loss
            Of a training: loss of the newest step, and the newest loss on held-out clips.
        """
        now = time.monotonic()
        self._recent.append((now, step))
        self.latest = Progress(
            stage=self._stage,
            step=step,
            total=total,
            percent=round(100.0 * step / max(1, total), 1),
            loss=loss,
            dev_loss=dev_loss,
            eta_seconds=self._estimate_eta(step, total),
        )
        if step == total or now - self._written_at >= MIN_INTERVAL_SECONDS:
            self._written_at = now
            self.flush()

    def flush(self) -> None:
        """Write the last progress now: the stage ends."""
        if self.latest is None:
            return
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(self.latest.model_dump_json(by_alias=True), encoding="utf-8")
        temporary.replace(self._path)

    def _estimate_eta(self, step: int, total: int) -> float | None:
        """Return the seconds left at the rate of the recent steps; None before there are two."""
        (began, first), (now, last) = self._recent[0], self._recent[-1]
        return round((total - step) * (now - began) / (last - first), 1) if last > first else None
