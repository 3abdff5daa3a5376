"""A running cluster, as tests use it."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from testcluster.pki import render_kubeconfig
from testcluster.process import Component
from testcluster.sandbox import Sandbox
from testcluster.tools import PATIENCE_SECONDS, wait_for

__all__ = ["S3", "Cluster"]

STATE_LINES = 40
CONNECTION_ATTEMPTS = 4
NOT_CONNECTED = "TLS handshake timeout"
APPLY = ("--server-side", "--force-conflicts")


@dataclass(frozen=True, slots=True)
class S3:
    """An S3 server with path-style buckets. Pods and tests use the same address."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def secret(self, name: str, namespace: str) -> dict[str, Any]:
        """Return a Secret with the credentials as environment variables of containers."""
        data = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


@dataclass
class Cluster:
    """A running cluster.

    Attributes
    ----------
    kubeconfig
        Path of an administrator's kubeconfig.
    kubectl_path
        Path of kubectl.
    scratch
        A folder for files of this cluster, deleted with it.
    components
        Its programs by name, in the order of their start; empty for an existing cluster.
    s3, sandbox
        Storage and Linux namespaces of a node; None for a control plane.
    """

    kubeconfig: Path
    kubectl_path: Path
    scratch: Path
    components: dict[str, Component] = field(default_factory=dict)
    s3: S3 | None = None
    sandbox: Sandbox | None = None

    def kubectl(self, *arguments: str | Path, input: str | None = None) -> str:  # noqa: A002  # subprocess.run's name
        """Run kubectl and return what it printed.

        Raises
        ------
        RuntimeError
            If it fails, with what it printed to stderr.
        """
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig), "NO_PROXY": "*", "no_proxy": "*"}
        command = [str(self.kubectl_path), *map(str, arguments)]
        for _ in range(CONNECTION_ATTEMPTS):
            result = subprocess.run(command, input=input, env=environment, capture_output=True, text=True, check=False)
            # On a machine that was busy for ten seconds, nothing has been sent yet.
            if NOT_CONNECTED not in result.stderr:
                break
        if result.returncode:
            raise RuntimeError(f"kubectl {' '.join(command[1:])}: {result.stderr.strip()}")
        return result.stdout

    def get(self, *arguments: str) -> Any:
        """Return the output of `kubectl get` from JSON; None if there is no such object."""
        text = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def items(self, kind: str, namespace: str, selector: str = "") -> list[Any]:
        """Return the objects of `kind` in `namespace` that match the label selector."""
        items: list[Any] = json.loads(self.kubectl("get", kind, "-n", namespace, "-l", selector, "-o", "json"))["items"]
        return items

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Apply `objects` server-side, because CRDs are too long for kubectl's annotation."""
        self.kubectl("apply", *APPLY, "-f", "-", input=_list(objects))

    def apply_files(self, *paths: Path) -> None:
        """Apply the objects in YAML files, or in folders of them."""
        self.kubectl("apply", *APPLY, *(f"--filename={path}" for path in paths))

    def delete(self, objects: Sequence[dict[str, Any]]) -> None:
        """Delete those of `objects` that exist, and wait until they are gone."""
        self.kubectl("delete", "--ignore-not-found", "-f", "-", input=_list(objects))

    def namespace(self, name: str, *, restricted: bool = True) -> str:
        """Create the namespace `name`, which enforces the restricted pod security standard, and return the name."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"} if restricted else {}
        self.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])
        self.wait_for_namespace(name)
        return name

    def wait_for_namespace(self, name: str) -> None:
        """Wait until the namespace `name` has its default service account, which pods need."""
        self.wait(f"namespace {name}", lambda: self.get("serviceaccount", "default", "-n", name))

    def wait_for_kinds(self, version: str, *plurals: str) -> None:
        """Wait until the API server has the resources `plurals` of an API version such as ray.io/v1."""

        def exist() -> bool:
            try:
                resources = json.loads(self.kubectl("get", "--raw", f"/apis/{version}"))["resources"]
            except RuntimeError:
                return False
            return {*plurals} <= {item["name"] for item in resources}

        self.wait(f"{' '.join(plurals)} of {version}", exist)

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """Return a kubeconfig with a token of `service_account` and only its rights."""
        admin = yaml.safe_load(self.kubeconfig.read_text())
        cluster = admin["clusters"][0]["cluster"]
        token = self.kubectl("create", "token", service_account, "-n", namespace, "--duration=24h").strip()
        ca = base64.b64decode(cluster["certificate-authority-data"])
        path = self.scratch / f"{namespace}-{service_account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(render_kubeconfig(cluster["server"], ca, {"token": token}))
        return path

    def resolve(self, service: str, namespace: str) -> str:
        """Return the cluster IP of `service`, which tests can reach as pods do."""
        return self.kubectl("get", "service", service, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")

    def wait(self, description: str, predicate: Callable[[], object], timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until `predicate` holds, at most `timeout` seconds.

        Raises
        ------
        TimeoutError
            With a description of the cluster.
        """
        wait_for(description, predicate, timeout, self.state)

    def state(self) -> str:
        """Describe pods, Jobs, Ray objects and the latest events, as kubectl prints them, or say why it cannot."""
        try:
            return self._describe()
        except RuntimeError as error:
            return f"The state of the cluster is unknown: {error}"

    def _describe(self) -> str:
        kinds = [kind for kind in ("pods", "jobs", "rayservices", "rayclusters") if self._has(kind)]
        objects = self.kubectl("get", ",".join(kinds), "-A", "-o", "wide")
        events = self.kubectl("get", "events", "-A", "--sort-by=.metadata.creationTimestamp").splitlines()
        return "\n".join([objects, *events[-STATE_LINES:]])

    def start(self, name: str) -> None:
        """Start the component `name`, unless it runs, and wait until it is ready."""
        component = self.components[name]
        component.start()
        component.wait()

    def stop(self, name: str, kind: signal.Signals = signal.SIGTERM) -> None:
        """Stop the component `name` with a signal; SIGKILL follows after some seconds."""
        self.components[name].stop(kind)

    def end(self) -> None:
        """Kill every component."""
        for component in self.components.values():
            component.end()

    def logs(self, name: str) -> str:
        """Return the log of the component `name`."""
        return self.components[name].log.read_text(errors="replace")

    def _has(self, kind: str) -> bool:
        return kind in ("pods", "jobs") or bool(self.get("crd", f"{kind}.ray.io"))


def _list(objects: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
