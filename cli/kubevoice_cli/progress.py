"""Progress of long work: bars for stages with step, loss and the time that remains, and a bar that counts items."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kubevoice.resources.stages import Progress, Stage
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

__all__ = ["ItemBar", "StageBars"]

TITLES = {
    Stage.PREPARE: "prepare  check the dataset, make features",
    Stage.TRAIN: "train    fine-tune the voice",
    Stage.RELEASE: "release  measure and publish the voice",
}


LINE_SECONDS = 10.0
"""How often `ItemBar` prints a line without a terminal."""


def _format_eta(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"ETA {minutes}:{rest:02}"


class StageBars:
    """One bar for the stage that runs, and a line for each that is done. Without a terminal, lines only.

    Parameters
    ----------
    console : Console
        Where they are printed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        """The bar on the screen; None between stages."""
        self._printed = -1
        """The last tenth that was printed without a terminal; reset by `begin`."""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, stage: Stage) -> None:
        """Show a stage that starts.

        Parameters
        ----------
        stage : Stage
            The stage.
        """
        self._clear()
        self._printed = -1
        self._task = self._bars.add_task(TITLES[stage], total=None, detail="starting")
        if not self._console.is_terminal:
            self._console.print(f"{TITLES[stage]} ...")

    def advance(self, progress: Progress) -> None:
        """Show how far the stage is.

        Parameters
        ----------
        progress : Progress
            Step, losses and the time that remains; ignored while no stage is shown.
        """
        if self._task is None:
            return
        details = [f"loss {progress.loss:.3f}"] if progress.loss is not None else []
        details += [f"dev {progress.dev_loss:.3f}"] if progress.dev_loss is not None else []
        details += [_format_eta(progress.eta_seconds)] if progress.eta_seconds is not None else []
        detail = "  ".join(details)
        self._bars.update(self._task, completed=progress.step, total=progress.total, detail=detail)
        tenth = int(progress.percent // 10)
        if not self._console.is_terminal and tenth > self._printed:
            self._printed = tenth
            self._console.print(f"  {progress.step}/{progress.total}  {detail}")

    def finish(self, stage: Stage, summary: str) -> None:
        """Replace the bar by a line with the result of the stage.

        Parameters
        ----------
        stage : Stage
            The stage.
        summary : str
            Its result in one line.
        """
        self._clear()
        self._console.print(Text.assemble(("✓ ", "green"), f"{stage:8} {summary}"))

    def begin_serving(self) -> None:
        """Show that replicas are starting."""
        self._clear()
        self._task = self._bars.add_task("serve    start replicas on Ray Serve", total=None, detail="")
        if not self._console.is_terminal:
            self._console.print("serve    start replicas on Ray Serve ...")

    def _clear(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


class ItemBar:
    """A bar that counts items. Without a terminal, a line from time to time.

    Parameters
    ----------
    console : Console
        Where it is printed.
    title : str
        What is done to the items.
    clock : callable
        Returns seconds.
    """

    def __init__(self, console: Console, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._title, self._clock = console, title, clock
        self._bars = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
        )
        self._task = self._bars.add_task(title, total=None)
        self._printed_at = clock()
        """When the last line was printed; set by `advance`."""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def advance(self, number: int, count: int) -> None:
        """Show how far it is.

        Parameters
        ----------
        number, count : int
            The item that is worked on, from 1, and how many there are.
        """
        self._bars.update(self._task, completed=number, total=count)
        if not self._console.is_terminal and self._clock() - self._printed_at >= LINE_SECONDS:
            self._printed_at = self._clock()
            self._console.print(f"{self._title}  {number}/{count}")
