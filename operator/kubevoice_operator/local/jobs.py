"""Jobs as subprocesses. Their state is on disk, so that the next process finds it, also after SIGKILL."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kubevoice.resources.stages import Progress
from pydantic import ValidationError

from kubevoice_operator.local.files import write_atomically
from kubevoice_operator.local.mounts import mount_volumes
from kubevoice_operator.observed_state import JobPhase, ObservedJob

__all__ = ["LocalJobs"]

POLL_SECONDS = 0.2
DEADLINE_EXIT = 124
PROGRESS = "progress.json"


def _is_alive(pid: int, mark: str) -> bool:
    """Return whether process `pid` runs with `mark` in its command line; pids are reused."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return mark in command


class LocalJobs:
    """Jobs below one folder, a folder each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def log(self, name: str) -> Path:
        """Return where a Job's output goes.

        Parameters
        ----------
        name
            The Job's name.

        Returns
        -------
        Path
            The file, which may not exist yet.
        """
        return self._folder / name / "log"

    def observe(self) -> dict[str, ObservedJob]:
        """Return every Job that has ended, by name.

        Returns
        -------
        dict
            The Jobs by name.
        """
        jobs = {}
        for exit_file in self._folder.glob("*/exit.json"):
            code = json.loads(exit_file.read_text())["exitCode"]
            message = exit_file.with_name("termination-message")
            jobs[exit_file.parent.name] = ObservedJob(
                phase=JobPhase.SUCCEEDED if code == 0 else JobPhase.FAILED,
                message=message.read_text(encoding="utf-8") if message.exists() else "",
                exit_code=code,
            )
        return jobs

    def progress(self, name: str) -> Progress | None:
        """Read what a Job reported last.

        Parameters
        ----------
        name
            The Job's name.

        Returns
        -------
        Progress or None
            None if it has reported nothing.
        """
        return _read_progress(self._folder / name / "workspace" / PROGRESS)

    def forget_failures(self) -> None:
        """Forget failed Jobs, so that they are run again; their artifacts stay."""
        for name, job in self.observe().items():
            if job.phase is JobPhase.FAILED:
                (self._folder / name / "exit.json").unlink()

    def run_job(self, job: Mapping[str, Any], on_progress: Callable[[Progress], None]) -> ObservedJob:
        """Run a Job as a subprocess and wait for it.

        The subprocess has a process group of its own. If this process is interrupted (KeyboardInterrupt or any other
        exception), the Job gets SIGTERM, its grace period, and then SIGKILL.

        Parameters
        ----------
        job
            The Job as it was rendered.
        on_progress
            Called whenever the stage reports progress.

        Returns
        -------
        ObservedJob
            The Job after it has ended.
        """
        name, pod = job["metadata"]["name"], job["spec"]["template"]
        folder = self._folder / name
        container = pod["spec"]["containers"][0]
        self._stop_leftover(folder)
        shutil.rmtree(folder / "workspace", ignore_errors=True)
        mounts = mount_volumes(pod, container, folder)
        (folder / "termination-message").unlink(missing_ok=True)
        command = [
            mounts.translate(word) for word in [*container["command"], *_without_listen_port(container.get("args", []))]
        ]
        if command[0] == "python":
            command[0] = sys.executable
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # the command was rendered by this program
                command, stdout=log, stderr=log, env=mounts.environment(container), start_new_session=True
            )
        write_atomically(folder / "pid", str(process.pid))
        deadline = time.monotonic() + job["spec"]["activeDeadlineSeconds"]
        try:
            code = _wait(process, folder / "workspace" / PROGRESS, deadline, on_progress)
        finally:
            _stop(process, pod["spec"]["terminationGracePeriodSeconds"])
            _clean(folder / "workspace")
        code = DEADLINE_EXIT if code is None else code
        write_atomically(folder / "exit.json", json.dumps({"exitCode": code}))
        return self.observe()[name]

    def _stop_leftover(self, folder: Path) -> None:
        """Stop a Job left by a `kubevoice up` that was killed: two trainers must not write one checkpoint."""
        try:
            pid = int((folder / "pid").read_text())
        except (OSError, ValueError):
            return
        if _is_alive(pid, str(folder)):
            os.killpg(pid, signal.SIGKILL)
            while _is_alive(pid, str(folder)):
                time.sleep(POLL_SECONDS)


def _clean(workspace: Path) -> None:
    """Delete what a stage left in its scratch folder; its results are in the artifacts. The progress stays."""
    for path in workspace.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != PROGRESS:
            path.unlink(missing_ok=True)


def _without_listen_port(args: list[str]) -> list[str]:
    """Return `args` without the telemetry port: on one machine progress is read from a file."""
    if "--listen" not in args:
        return args
    at = args.index("--listen")
    return args[:at] + args[at + 2 :]


def _wait(
    process: subprocess.Popen[bytes], progress: Path, deadline: float, on_progress: Callable[[Progress], None]
) -> int | None:
    """Return the exit code, or None when the deadline passed."""
    while time.monotonic() < deadline:
        try:
            return process.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if (reported := _read_progress(progress)) is not None:
                on_progress(reported)
    return None


def _read_progress(path: Path) -> Progress | None:
    try:
        return Progress.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _stop(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=grace_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
