"""Entry point: the commands, and the messages and exit codes of their errors."""

import inspect
import os
import re
import signal
import sys
from types import FrameType
from typing import Annotated, Never

import typer
from kubevoice.errors import KubeVoiceError

from kubevoice_cli import bench, cluster_files, datasets, keys, logs, rollback, speech, status, up, voices, wyoming
from kubevoice_cli.console import errors, plain

__all__ = ["app", "run"]

INTERRUPTED, TERMINATED = 130, 143

app = typer.Typer(
    name="kubevoice",
    help="Train, check, release and serve Mandarin voices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up.up)
app.command("down")(up.down)
app.command("status")(status.status)
app.command("logs")(logs.logs)
app.command("rollback")(rollback.rollback)
app.command("say")(speech.say)
app.command("text")(speech.text)
app.add_typer(speech.ssml_app, name="ssml")
app.add_typer(datasets.app, name="dataset")
app.add_typer(voices.app, name="voice")
app.command("wyoming")(wyoming.wyoming)
app.command("bench")(bench.bench)
app.command("key")(keys.key)
app.command("crd")(cluster_files.crd)
app.command("version")(cluster_files.version)


def _cut_sections(docstring: str) -> str:
    """Return a docstring without its numpy sections: the help of a command describes the options itself."""
    return re.split(r"\n+\w+\n-{3,}\n", docstring, maxsplit=1)[0]


for _group in (app, speech.ssml_app, datasets.app, voices.app):
    for _command in _group.registered_commands:
        _command.help = _cut_sections(inspect.getdoc(_command.callback) or "")


@app.callback()
def _options(
    *, debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False
) -> None:
    if debug:
        os.environ["KUBEVOICE_DEBUG"] = "1"


def _stop(number: int, _frame: FrameType | None) -> Never:
    # An exception, so that the context managers stop running stages.
    errors.print("stopped; run the same command again to continue")
    raise SystemExit(INTERRUPTED if number == signal.SIGINT else TERMINATED)


def _report(error: KubeVoiceError) -> int:
    errors.print(f"[bold red]error:[/] {plain(str(error))}", soft_wrap=True)
    for problem in getattr(error, "problems", ()):
        errors.print(f"  {plain(problem)}", soft_wrap=True)
    return error.exit_code


def run() -> None:
    """Run the command line and exit: 0, 1, or 2 for bad input; 130 and 143 when interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app()
    except KubeVoiceError as error:
        if os.environ.get("KUBEVOICE_DEBUG"):
            raise
        sys.exit(_report(error))
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. That is not an error, and another flush would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
