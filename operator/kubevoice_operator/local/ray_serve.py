"""The RayService on this machine: its Serve config handed to a local Ray, its state asked over HTTP."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.data_plane import IngressConfig, ReplicaState, RevisionsResponse

from kubevoice_operator.local.files import write_atomically
from kubevoice_operator.local.http import LOOPBACK, request
from kubevoice_operator.local.mounts import Mounts, mount_volumes
from kubevoice_operator.local.ray import LocalRay, port_is_free
from kubevoice_operator.observed_state import ObservedService
from kubevoice_operator.render.names import content_hash
from kubevoice_operator.render.serve_config import APPLICATION, INGRESS

__all__ = ["LocalServing"]

POLL_SECONDS = 0.3


class LocalServing:
    """One RayService, on one port."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self.ray = LocalRay(folder)

    @property
    def url(self) -> str:
        """Where applications call."""
        return f"http://{LOOPBACK}:{self._port}"

    def observe(self) -> ObservedService | None:
        """Read what is applied, and what each replica serves.

        Returns
        -------
        ObservedService or None
            None if nothing runs.
        """
        running = self.ray.running()
        try:
            applied = json.loads((self._folder / "applied.json").read_text())
        except (OSError, ValueError):
            return None
        if running is None or applied["port"] != self._port:
            return None
        error = None
        try:
            _, answer = running.request("GET")
            application = answer.get("applications", {}).get(APPLICATION, {}) if isinstance(answer, dict) else {}
            if application.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
                error = f"Ray Serve: {_last_line(application)}; logs are in {self._folder}"
        except OSError as failure:
            error = f"Ray's dashboard does not answer: {failure}"
        replicas = self._replicas()
        complaint = next((replica.error for replica in replicas if replica.error), None)
        return ObservedService(applied["hash"], self.url, replicas, error=error or complaint)

    def _replicas(self) -> tuple[ReplicaState, ...]:
        """Ask the replicas over the data plane what they serve."""
        try:
            if request(self._port, "GET", "/readyz")[0] != 200:
                return ()
            status, answer = request(self._port, "GET", "/v1/revisions")
        except OSError:
            return ()
        return RevisionsResponse.model_validate(answer).replicas if status == 200 else ()

    def apply(self, service: Mapping[str, Any]) -> None:
        """Apply the config to Ray, and start Ray if none runs. A served voice answers until its successor can.

        Parameters
        ----------
        service
            The RayService as rendered.

        Raises
        ------
        InputError
            If another process has the port, or if the Secret with the API keys does not exist.
        KubeVoiceError
            If Ray does not start, or refuses the config.
        """
        worker = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
        container = worker["spec"]["containers"][0]
        mounts = mount_volumes(worker, container, self._folder)
        config = self._config(service, mounts)
        running = self.ray.running()
        previous = self._folder / "applied.json"
        if running is not None and previous.exists() and json.loads(previous.read_text())["port"] != self._port:
            self.ray.stop()
            running = None
        if running is None:
            self.ray.stop()  # a head that was killed may have left a proxy on the port
            if not port_is_free(self._port):
                raise InputError(
                    f"port {self._port} on {LOOPBACK} is in use by another program; stop it, or choose another port "
                    "with `kubevoice up --port`"
                )
            running = self.ray.start(mounts.environment(container))
        status, answer = running.request("PUT", config, timeout=60.0)
        if status != 200:
            raise KubeVoiceError(f"Ray Serve refused the config ({status}): {str(answer)[:500]}")
        write_atomically(previous, json.dumps({"hash": content_hash(dict(service)), "port": self._port}))

    def _config(self, service: Mapping[str, Any], mounts: Mounts) -> dict[str, Any]:
        """Return the Serve config with the paths of this machine."""
        config: dict[str, Any] = yaml.safe_load(service["spec"]["serveConfigV2"])
        # Only this machine may connect to the port.
        config["http_options"] |= {"host": LOOPBACK, "port": self._port}
        head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
        front = mount_volumes(head, head["spec"]["containers"][0], self._folder)
        for application in config["applications"]:
            application["args"] = {k: mounts.translate(v) for k, v in application["args"].items()}
            for deployment in application["deployments"]:
                if deployment["name"] == INGRESS:
                    ingress = IngressConfig.model_validate(deployment["user_config"])
                    deployment["user_config"] = _localize_keys(ingress, front).to_user_config()
        return config

    def wait(self, name: str, revision: str, deadline_seconds: float) -> None:
        """Wait until every replica serves a revision.

        Parameters
        ----------
        name
            The voice.
        revision
            Digest of the bundle.
        deadline_seconds
            How long to wait.

        Raises
        ------
        KubeVoiceError
            If the deadline passes, or Ray Serve reports a failure.
        """
        deadline = time.monotonic() + deadline_seconds
        while True:
            service = self.observe()
            if service is None:
                raise KubeVoiceError(f"Ray stopped while the voice was being rolled out; its log is {self.ray.log}")
            if service.replicas and all(r.voices.get(name) == revision for r in service.replicas):
                return
            if error := next((r.errors[name] for r in service.replicas if name in r.errors), service.error):
                raise KubeVoiceError(error)
            if time.monotonic() > deadline:
                raise KubeVoiceError(
                    f"no replica served revision {revision[:19]} within {deadline_seconds:.0f} s "
                    f"(spec.serving.rollout.progressDeadlineSeconds); logs are in {self._folder}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> bool:
        """Stop serving.

        Returns
        -------
        bool
            Whether anything ran.
        """
        stopped = self.ray.stop()
        (self._folder / "applied.json").unlink(missing_ok=True)
        return stopped


def _localize_keys(ingress: IngressConfig, mounts: Mounts) -> IngressConfig:
    """Name the file of API keys on this machine in place of the pod's. InputError if it is not there."""
    access = ingress.access
    if access.keys_file is None:
        return ingress
    path = Path(mounts.translate(str(access.keys_file)))
    if not path.is_file():
        raise InputError(f"there are no API keys in {path}; make one: kubevoice key NAME >> {path}")
    return ingress.model_copy(update={"access": access.model_copy(update={"keys_file": path})})


def _last_line(application: Mapping[str, Any]) -> str:
    """Return the most telling line of a Serve application's state: the end of the newest traceback."""
    messages = [str(application.get("message", ""))]
    messages += [str(d.get("message", "")) for d in application.get("deployments", {}).values()]
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or ["the application failed"])[-1][:400]
