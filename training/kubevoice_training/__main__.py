"""What a stage's container runs: `python -m kubevoice_training STAGE --spec FILE --workdir DIR --result FILE`.

The result is looked for before anything is done, and written last, so a stage that was finished is never run again.
Only `collect`, which deletes artifacts, leaves no result there. Exit codes: 0 done, 2 bad input
(trying again is useless), 143 stopped by SIGTERM (what was done is saved), 1 anything else.

Several processes train together when torchrun, or an Indexed Job's environment, says so (see
`runtime.process_group`); with KUBEVOICE_PROCESSES this process starts one a GPU itself. The first of a pod writes its
result and reports its progress.
"""

import argparse
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from kubevoice.errors import InputError, KubeVoiceError, StorageError
from kubevoice.resources.stages import (
    BaseVoiceReleaseSpec,
    CollectResult,
    CollectSpec,
    PrepareResult,
    PrepareSpec,
    ReleaseResult,
    ReleaseSpec,
    Stage,
    StageFailure,
    TrainResult,
    TrainSpec,
    spec_key,
)
from kubevoice.storage import Storage, connect
from kubevoice.validation import describe_errors
from pydantic import BaseModel, TypeAdapter, ValidationError

from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.launcher import launch_processes
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.telemetry import serve_telemetry
from kubevoice_training.runtime.world import World, read_integer, read_world
from kubevoice_training.stages.context import Context

__all__ = ["main"]

STOPPED = 143
MESSAGE_CHARACTERS = 1000
"""Kubernetes keeps 4096 bytes of a termination message; a Chinese character takes up to six in JSON."""

Spec = PrepareSpec | TrainSpec | ReleaseSpec | BaseVoiceReleaseSpec | CollectSpec

STAGES: dict[Stage, tuple[TypeAdapter[Any], type[BaseModel]]] = {
    Stage.PREPARE: (TypeAdapter(PrepareSpec), PrepareResult),
    Stage.TRAIN: (TypeAdapter(TrainSpec), TrainResult),
    Stage.RELEASE: (TypeAdapter(ReleaseSpec | BaseVoiceReleaseSpec), ReleaseResult),
    Stage.COLLECT: (TypeAdapter(CollectSpec), CollectResult),
}
"""Types of each stage's spec and result."""
TORCH_SPECS = (TrainSpec, ReleaseSpec)
"""Stages of the others start faster, and in less memory, because they do not import torch."""


def load_stage(stage: Stage) -> Callable[[Any, Context], BaseModel]:
    """Import the function of a stage.

    Parameters
    ----------
    stage
        The stage.

    Returns
    -------
    callable
        Takes the stage's spec and the context; returns its result.
    """
    function: Callable[[Any, Context], BaseModel] = getattr(import_module(f"kubevoice_training.stages.{stage}"), stage)
    return function


def _read_spec(path: Path, kind: TypeAdapter[Any]) -> Spec:
    try:
        spec: Spec = kind.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the spec {path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(f"{path} is not a spec of this stage", describe_errors(error.errors())) from None
    return spec


def _read_result(storage: Storage, key: str, kind: type[BaseModel]) -> BaseModel | None:
    """Return the result of an earlier run; None if there is none or it cannot be read."""
    if not storage.exists(key):
        return None
    try:
        return kind.model_validate_json(storage.read(key))
    except ValidationError:
        return None


def run_stage(
    stage: Stage, spec_file: Path, workdir: Path, progress: ProgressFile, stopping: Callable[[], bool], world: World
) -> BaseModel:
    """Run a stage, or return the result of an earlier run.

    Parameters
    ----------
    stage
        Which stage.
    spec_file
        Its spec, in JSON.
    workdir
        Scratch folder; created if it does not exist.
    progress
        What the stage reports to.
    stopping
        Whether the stage was asked to stop.
    world
        This process's rank and the world size.

    Returns
    -------
    BaseModel
        The stage's result.

    Raises
    ------
    InputError
        If the spec, the dataset or the base voice cannot be used.
    KubeVoiceError
        If the stage failed.
    Interrupted
        If it was asked to stop.
    OSError
        If the working directory or the artifacts cannot be written.
    """
    spec_type, result_type = STAGES[stage]
    spec = _read_spec(spec_file, spec_type)
    options = spec.storage.s3_options()
    artifacts = connect(spec.storage.artifacts_uri, options)
    workdir.mkdir(parents=True, exist_ok=True)
    context = Context(
        stage=stage,
        key=spec_key(stage, spec),
        workdir=workdir,
        artifacts=artifacts,
        options=options,
        progress=progress,
        stopping=stopping,
        world=world,
    )
    result_key = None if stage is Stage.COLLECT else f"{context.prefix}/result.json"
    # Before anything is imported that takes seconds, such as torch.
    if result_key and (earlier := _read_result(artifacts, result_key, result_type)) is not None:
        print(f"{stage}: done before, reusing {artifacts.uri}/{context.prefix}", flush=True)
        return earlier
    if isinstance(spec, TORCH_SPECS):
        from kubevoice_training.runtime.torch_threads import limit_threads

        limit_threads(world.local_size)
    result = load_stage(stage)(spec, context)
    if result_key and world.is_main_process:
        artifacts.write(result_key, result.model_dump_json(by_alias=True).encode())
    return result


def _failure(reason: str, error: Exception, *, retryable: bool) -> StageFailure:
    """Log the whole error, and return a result with as much of it as Kubernetes keeps."""
    lines = [str(error), *getattr(error, "problems", ())]
    print(f"error: {lines[0]}", *(f"  {line}" for line in lines[1:]), sep="\n", file=sys.stderr, flush=True)
    message, details = lines[0][:MESSAGE_CHARACTERS], list(lines[1:])
    while details and len(message) + len(details[0]) < MESSAGE_CHARACTERS:
        message += f"\n{details.pop(0)}"
    if details:
        message += f"\nand {len(details)} more; the log has them all"
    return StageFailure(reason=reason, message=message, retryable=retryable)


def _run_guarded(run: Callable[[], BaseModel]) -> tuple[BaseModel, int]:  # noqa: PLR0911  # one way out each
    """Return the result and the exit code of a run, whichever way it ends."""
    try:
        return run(), 0
    except Interrupted as stop:
        print(stop, flush=True)
        return StageFailure(reason="Stopped", message=str(stop) or "stopped", retryable=True), STOPPED
    except InputError as error:
        return _failure("InvalidInput", error, retryable=False), error.exit_code
    except StorageError as error:
        return _failure("StorageError", error, retryable=True), error.exit_code
    except KubeVoiceError as error:
        return _failure("Failed", error, retryable=True), error.exit_code
    except OSError as error:
        if error.errno == errno.ENOSPC:
            place = error.filename or "the working directory or the artifacts folder"
            full = KubeVoiceError(f"no space is left on the disk of {place}; free some and run again")
            return _failure("DiskFull", full, retryable=True), 1
        traceback.print_exc()
        return _failure("Failed", error, retryable=True), 1
    except Exception as error:  # noqa: BLE001  # the last resort: a result must be written whatever happens
        traceback.print_exc()
        return _failure("Crashed", KubeVoiceError(f"{type(error).__name__}: {error}"), retryable=True), 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stage that the command line names.

    Parameters
    ----------
    arguments
        Of the command line; None for those of this process.

    Returns
    -------
    int
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="kubevoice_training", description="Run one stage of making a voice.")
    parser.add_argument("stage", type=Stage, choices=list(Stage), metavar=f"{{{','.join(Stage)}}}")
    parser.add_argument("--spec", type=Path, required=True, help="JSON spec of the stage")
    parser.add_argument("--workdir", type=Path, required=True, help="scratch folder; progress.json is written here")
    parser.add_argument("--result", type=Path, required=True, help="where the result or the failure is written")
    parser.add_argument("--listen", type=int, metavar="PORT", help="serve progress and metrics over HTTP on this port")
    args = parser.parse_args(arguments)
    try:
        world = read_world(os.environ) if args.stage is Stage.TRAIN else World()
        count = _count_processes(args.stage)
    except InputError as error:
        _write(args.result, _failure("InvalidInput", error, retryable=False))
        return error.exit_code
    if count > 1:
        words = arguments if arguments is not None else sys.argv[1:]
        return launch_processes([sys.executable, "-m", "kubevoice_training", *words], count, os.environ)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # Training reads the event between steps and saves a checkpoint; other stages have nothing to save.
        first = not stop.is_set()
        stop.set()
        if args.stage is not Stage.TRAIN and first:
            raise Interrupted("stopped before it was done")

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, on_signal)
    first = world.local_rank == 0
    workdir = args.workdir if first else args.workdir / f"process-{world.local_rank}"
    progress = ProgressFile(workdir / "progress.json", args.stage)
    with serve_telemetry(args.listen if first else None, progress):
        result, code = _run_guarded(lambda: run_stage(args.stage, args.spec, workdir, progress, stop.is_set, world))
        progress.flush()
    if first:
        _write(args.result, result)
    return code


def _write(path: Path, result: BaseModel) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result.model_dump_json(by_alias=True), encoding="utf-8")


def _count_processes(stage: Stage) -> int:
    """Return how many processes to start: KUBEVOICE_PROCESSES, but not more than there are GPUs.

    Raises InputError if the variable is not an integer.
    """
    requested = read_integer(os.environ, "KUBEVOICE_PROCESSES", 1)
    if stage is not Stage.TRAIN or requested <= 1 or "RANK" in os.environ:
        return 1
    import torch

    return min(requested, torch.cuda.device_count())


if __name__ == "__main__":
    sys.exit(main())
