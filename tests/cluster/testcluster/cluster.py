"""What tests hold of a running cluster."""

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

from testcluster.pki import kubeconfig
from testcluster.process import Component
from testcluster.sandbox import Sandbox
from testcluster.tools import PATIENCE_SECONDS, wait_for

__all__ = ["S3", "Cluster"]

STATE_LINES = 40
APPLY = ("--server-side", "--force-conflicts")


@dataclass(frozen=True, slots=True)
class S3:
    """An S3 server, at the same address for pods and for the tests; path-style buckets."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def secret(self, name: str, namespace: str) -> dict[str, Any]:
        """Return the Secret that hands the credentials to containers as environment variables."""
        data = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


@dataclass
class Cluster:
    """A running cluster.

    Attributes
    ----------
    kubeconfig
        Of an administrator.
    kubectl_path
        The program.
    scratch
        A folder for what belongs to this cluster, deleted with it.
    components
        Its programs by name, in the order of their start; none of a cluster that others run.
    s3, sandbox
        Of a node: its storage, and the namespaces that its programs run in.
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
        done = subprocess.run(command, input=input, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(command[1:])}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` finds, as JSON; None if there is no such object."""
        text = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def items(self, kind: str, namespace: str, selector: str = "") -> list[Any]:
        """Return the objects of `kind` in `namespace` whose labels `selector` chooses."""
        items: list[Any] = json.loads(self.kubectl("get", kind, "-n", namespace, "-l", selector, "-o", "json"))["items"]
        return items

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Apply `objects`, server-side: also CRDs too long for an annotation."""
        self.kubectl("apply", *APPLY, "-f", "-", input=_list(objects))

    def apply_files(self, *paths: Path) -> None:
        """Apply the objects in YAML files, or in folders of them."""
        self.kubectl("apply", *APPLY, *(f"--filename={path}" for path in paths))

    def delete(self, objects: Sequence[dict[str, Any]]) -> None:
        """Delete `objects`, whether they are there or not, and wait until they are gone."""
        self.kubectl("delete", "--ignore-not-found", "-f", "-", input=_list(objects))

    def namespace(self, name: str, *, restricted: bool = True) -> str:
        """Make the namespace `name`, with the restricted pod security standard enforced, and return the name."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"} if restricted else {}
        self.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])
        self.wait_for_namespace(name)
        return name

    def wait_for_namespace(self, name: str) -> None:
        """Wait until pods can be made in the namespace `name`: they run as its service account."""
        self.wait(f"namespace {name}", lambda: self.get("serviceaccount", "default", "-n", name))

    def wait_for_kinds(self, version: str, *plurals: str) -> None:
        """Wait until the API server knows the kinds `plurals` of the group and version `version`, such as ray.io/v1."""

        def is_known() -> bool:
            try:
                resources = json.loads(self.kubectl("get", "--raw", f"/apis/{version}"))["resources"]
            except RuntimeError:
                return False
            return {*plurals} <= {item["name"] for item in resources}

        self.wait(f"{' '.join(plurals)} of {version}", is_known)

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """Return a kubeconfig with a token of `service_account`, and with no other rights than its own."""
        admin = yaml.safe_load(self.kubeconfig.read_text())
        cluster = admin["clusters"][0]["cluster"]
        token = self.kubectl("create", "token", service_account, "-n", namespace, "--duration=24h").strip()
        ca = base64.b64decode(cluster["certificate-authority-data"])
        path = self.scratch / f"{namespace}-{service_account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig(cluster["server"], ca, {"token": token}))
        return path

    def resolve(self, service: str, namespace: str) -> str:
        """Return the address of `service`, which the tests reach as pods do."""
        return self.kubectl("get", "service", service, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")

    def wait(self, what: str, predicate: Callable[[], object], timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until `predicate` holds, at most `timeout` seconds.

        Raises
        ------
        TimeoutError
            With the state of the cluster.
        """
        wait_for(what, predicate, timeout, self.state)

    def state(self) -> str:
        """Return what stands in the cluster, in words of kubectl."""
        kinds = [kind for kind in ("pods", "jobs", "rayservices", "rayclusters") if self._has(kind)]
        objects = self.kubectl("get", ",".join(kinds), "-A", "-o", "wide")
        events = self.kubectl("get", "events", "-A", "--sort-by=.metadata.creationTimestamp").splitlines()
        return "\n".join([objects, *events[-STATE_LINES:]])

    def start(self, name: str) -> None:
        """Start the component `name` and wait until it is ready; one that runs stays as it is."""
        component = self.components[name]
        component.start()
        component.wait()

    def stop(self, name: str, kind: signal.Signals = signal.SIGTERM) -> None:
        """Stop the component `name` by `kind`, harder if it takes long."""
        self.components[name].stop(kind)

    def end(self) -> None:
        """End every component at once."""
        for component in self.components.values():
            component.end()

    def logs(self, name: str) -> str:
        """Return everything the component `name` has printed."""
        return self.components[name].log.read_text(errors="replace")

    def _has(self, kind: str) -> bool:
        return kind in ("pods", "jobs") or bool(self.get("crd", f"{kind}.ray.io"))


def _list(objects: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
