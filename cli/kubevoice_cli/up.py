"""`up`, `down`: VoiceModels on this machine."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from kubevoice.digests import short_digest
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.manifests import load_manifests
from kubevoice.resources.stages import PrepareResult, ReleaseResult, TrainResult
from kubevoice.resources.status import VoiceModelStatus
from kubevoice_operator.local.backend import LocalBackend, UpCallbacks
from kubevoice_operator.local.local_pool import choose_group
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
File = Annotated[Path, typer.Option("--file", "-f", help="VoiceModels, and VoicePools, as YAML.", show_default=False)]


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
    """Train the voices of VoiceModels, or take their base voices, and serve them on this machine; results are reused.

    Several VoiceModels, or one with a VoicePool, are served together as by a pool.

    Parameters
    ----------
    file : File
        The VoiceModels, and VoicePools, as YAML.
    port : Port
        Port to serve on.

    Raises
    ------
    InputError
        If a VoiceModel, its dataset or its base voice is wrong.
    KubeVoiceError
        If a stage fails, or if the server does not start.
    """
    manifests = load_manifests(file, artifacts=home() / "artifacts")
    backend, group = LocalBackend(home(), port), choose_group(manifests)
    for other in manifests.others:
        errors.print(plain(f"{other} has no effect on this machine"))
    with StageBars(errors) as bars:
        callbacks = UpCallbacks(
            model_started=lambda model: errors.print(f"[bold]{plain(model.metadata.name)}[/]"),
            stage_started=bars.begin,
            progress=bars.advance,
            stage_done=lambda step: bars.finish(step.stage, _describe(step)),
            serving_started=bars.begin_serving,
        )
        command = _build_command(file, port)
        outcomes: dict[str, VoiceModelStatus | KubeVoiceError]
        if group is None:
            outcomes = {manifests.models[0].metadata.name: backend.up(manifests.models[0], callbacks, command)}
        else:
            errors.print(plain(f"The serving settings of VoicePool {group.pool.metadata.name} hold for all voices"))
            outcomes = backend.up_pool(group, callbacks, command)
    backend.state.save(manifests.models, group.pool if group else None)
    expose = (group.pool if group else manifests.models[0]).spec.serving.expose
    _report_outcomes(outcomes, needs_key=expose.auth is not None)


def _build_command(file: Path, port: int) -> str:
    """Return the command that continues after an interruption, from any folder."""
    options = "" if port == DEFAULT_PORT else f" --port {port}"
    return with_home(f"kubevoice up -f {shlex.quote(str(file.absolute()))}{options}")


def _report_outcomes(outcomes: Mapping[str, VoiceModelStatus | KubeVoiceError], *, needs_key: bool) -> None:
    """Print what became of each voice, and samples of those that are served. Raises an error if one failed."""
    failures = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, KubeVoiceError)}
    url = None
    for name, reached in outcomes.items():
        if isinstance(reached, KubeVoiceError):
            continue
        if reached.serving.revision is None or reached.serving.url is None:
            errors.print(f"{name}: {reached.phase}")
            continue
        url = reached.serving.url
        if not needs_key or KEY_VARIABLE in os.environ:
            for path in _synthesize_samples(name, url, list(reached.dataset.per_emotion)):
                answers.print(plain(str(path)))
    if url is not None:
        _print_address([name for name in outcomes if name not in failures], url, needs_key=needs_key)
    if failures:
        message = f"{len(failures)} of {len(outcomes)} voices cannot be served"
        lines = [f"{name}: {line}" for name, error in failures.items() for line in _list_lines(error)]
        if all(isinstance(error, InputError) for error in failures.values()):
            raise InputError(message, lines)
        raise KubeVoiceError("\n  ".join([message, *lines]))


def _list_lines(error: KubeVoiceError) -> list[str]:
    return [*str(error).splitlines(), *(error.problems if isinstance(error, InputError) else ())]


def _print_address(names: Sequence[str], url: str, *, needs_key: bool) -> None:
    if not needs_key or KEY_VARIABLE in os.environ:
        errors.print(f"\nTheir text is {SENTENCE} To play a file: ffplay -nodisp -autoexit FILE")
    else:
        errors.print(f"Callers need an API key; kubevoice commands read it from {KEY_VARIABLE}")
    who = f"Voice {names[0]} is" if len(names) == 1 else f"Voices {', '.join(names)} are"
    errors.print(f"{who} served: web page [bold]{url}/[/], API {url}/docs")
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
