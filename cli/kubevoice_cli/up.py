"""`up`, `down`: a VoiceModel on this machine."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer
from kubevoice.digests import short_digest
from kubevoice.resources.stages import PrepareResult, ReleaseResult, TrainResult
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel, load_voicemodel
from kubevoice_operator.local.backend import LocalBackend, UpCallbacks
from kubevoice_operator.pipeline import PipelineStep

from kubevoice_cli.client import KEY_VARIABLE, fetch_speech
from kubevoice_cli.console import answers, errors, home, plain
from kubevoice_cli.progress import StageBars

__all__ = ["DEFAULT_PORT", "Port", "down", "up", "with_home"]

DEFAULT_PORT = 8000
SENTENCE = "今天我们一起学习中文。"
SHOWN_EMOTIONS = ("happy", "sad", "neutral")
"""Preferred for the samples if the voice has them, because they differ most."""

Port = Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)]
File = Annotated[Path, typer.Option("--file", "-f", help="VoiceModel as YAML.", show_default=False)]


def _describe(step: PipelineStep) -> str:
    """Return the result of a stage that succeeded in one line."""
    assert step.job is not None  # noqa: S101  # the backend reports finished Jobs only
    if prepared := step.job.result(PrepareResult):
        parts = [f"{label} {share.clips}" for label, share in prepared.per_emotion.items()]
        return f"{prepared.clips} clips, {prepared.seconds:.0f} s ({', '.join(parts)})"
    if trained := step.job.result(TrainResult):
        dev = f", dev loss {trained.dev_loss:.3f}" if trained.dev_loss is not None else ""
        return f"best step {trained.step}, loss {trained.loss:.3f}{dev}"
    if released := step.job.result(ReleaseResult):
        metrics = ", ".join(f"{name} {value:g}" for name, value in released.metrics.items())
        return f"revision {short_digest(released.revision)}, {released.verdict}: {metrics}"
    return "done"


def _synthesize_samples(name: str, url: str, emotions: list[str]) -> list[Path]:
    """Synthesize one sentence through the endpoint, in two emotions if there are any to choose; return the files."""
    chosen = [label for label in SHOWN_EMOTIONS if label in emotions] + [e for e in emotions if e not in SHOWN_EMOTIONS]
    folder = home() / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for label in chosen[:2] or [""]:
        path = folder / (f"{name}-{label}.wav" if label else f"{name}.wav")
        body = {"input": SENTENCE, "voice": name, "response_format": "wav"} | ({"emotion": label} if label else {})
        path.write_bytes(fetch_speech(url, body))
        paths.append(path)
    return paths


def up(file: File, *, port: Port = DEFAULT_PORT) -> None:
    """Train the voice of a VoiceModel, or take its base voice, and serve it on this machine; results are reused.

    Parameters
    ----------
    file : File
        The VoiceModel as YAML.
    port : Port
        Port to serve on.

    Raises
    ------
    InputError
        If the VoiceModel, its dataset or its base voice is wrong.
    KubeVoiceError
        If a stage fails, or if the server does not start.
    """
    model = load_voicemodel(file, artifacts=home() / "artifacts")
    backend = LocalBackend(home(), port)
    with StageBars(errors) as bars:
        callbacks = UpCallbacks(
            stage_started=bars.begin,
            progress=bars.advance,
            stage_done=lambda step: bars.finish(step.stage, _describe(step)),
            serving_started=bars.begin_serving,
        )
        reached = backend.up(model, callbacks, _build_command(file, port))
    backend.save_model(model)
    _report_outcome(model, reached)


def _build_command(file: Path, port: int) -> str:
    """Return the command that continues after an interruption, from any folder."""
    options = "" if port == DEFAULT_PORT else f" --port {port}"
    return with_home(f"kubevoice up -f {shlex.quote(str(file.absolute()))}{options}")


def _report_outcome(model: VoiceModel, reached: VoiceModelStatus) -> None:
    if reached.serving.revision is None or reached.serving.url is None:
        errors.print(f"{model.metadata.name}: {reached.phase}")
        return
    name, url = model.metadata.name, reached.serving.url
    if model.spec.serving.expose.auth is None or KEY_VARIABLE in os.environ:
        for path in _synthesize_samples(name, url, list(reached.dataset.per_emotion)):
            answers.print(plain(str(path)))
        errors.print(f"\nTheir text is {SENTENCE} To play a file: ffplay -nodisp -autoexit FILE")
    else:
        errors.print(f"Callers need an API key; kubevoice commands read it from {KEY_VARIABLE}")
    errors.print(f"Voice {name} is served: web page [bold]{url}/[/], API {url}/docs")
    errors.print(f"Stop it with: {plain(with_home('kubevoice down'))}")


def with_home(command: str) -> str:
    """Return a command that works in a shell that has not set KUBEVOICE_HOME.

    Parameters
    ----------
    command : str
        The command.

    Returns
    -------
    str
        The command, with KUBEVOICE_HOME before it if it is set here.
    """
    return f"KUBEVOICE_HOME={shlex.quote(str(home()))} {command}" if "KUBEVOICE_HOME" in os.environ else command


def down(*, port: Port = DEFAULT_PORT) -> None:
    """Stop serving on this machine. Voices and results stay; `up` reuses them.

    Parameters
    ----------
    port : Port
        Port that is served on.
    """
    errors.print("stopped" if LocalBackend(home(), port).down() else plain(f"nothing was running from {home()}"))
