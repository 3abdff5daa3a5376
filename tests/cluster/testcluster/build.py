"""Binaries of Kubernetes and its friends, built once from the Go module proxy into the user's cache."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testcluster.tools import UnavailableError, find_go

__all__ = [
    "CACHE",
    "CHART",
    "CONTROL_PLANE",
    "MODULES",
    "NODE",
    "OLDER_KUBERAY",
    "Module",
    "Toolbox",
    "hold_lock",
    "kuberay_crds",
    "kuberay_operator",
    "staging",
    "versitygw",
]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubevoice"
KUBERNETES = "1.35.4"
VERSIONS = {"gitVersion": f"v{KUBERNETES}", "gitMajor": "1", "gitMinor": "35"}
"""Without them a binary calls itself v0.0.0, and clients believe it."""
LDFLAGS = " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in VERSIONS.items())])
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KUBERAY = "github.com/ray-project/kuberay/ray-operator"
OLDER_KUBERAY = ("v1.5.1",)
"""Whose CRDs must take what is rendered, too, and whose operators serve it; the newest is the one that go.mod names."""
KUEUE = "sigs.k8s.io/kueue"

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE = (*CONTROL_PLANE, "kube-scheduler", "kubelet", "kube-proxy", "ray-operator", "coredns", "pause")

CHART = ("helm", "helm-unittest", "helm-docs", "kubeconform")


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module of these tests: its folder, the package of each binary, and folders of dependencies to keep.

    `data` maps the name of a folder in the cache to (dependency, folder in it): CRDs, mostly.
    """

    folder: Path
    packages: dict[str, str]
    data: dict[str, tuple[str, str]]


HERE = Path(__file__).parent.parent
_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
MODULES = {
    "kubernetes": Module(
        HERE / "go",
        {
            **{command: f"k8s.io/kubernetes/cmd/{command}" for command in _COMMANDS},
            **{name: f"./{name}" for name in ("etcd", "coredns", "pause")},
            "ray-operator": KUBERAY,
        },
        {"kuberay-crds": (KUBERAY, "config/crd/bases"), "openapi": ("k8s.io/kubernetes", "api/openapi-spec/v3")},
    ),
    # Built with other versions of Kubernetes' libraries.
    "kueue": Module(HERE / "go-kueue", {"kueue": f"{KUEUE}/cmd/kueue"}, {"config": (KUEUE, "config")}),
    "chart": Module(
        HERE.parent / "chart" / "go",
        {
            "helm": "helm.sh/helm/v4/cmd/helm",
            "helm-unittest": "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
            "helm-docs": "github.com/norwoodj/helm-docs/cmd/helm-docs",
            "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
        },
        {},
    ),
}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The binaries of one module in the cache, in a folder that its sources name."""

    module: Module

    @property
    def folder(self) -> Path:
        """The folder of the binaries: another version of any dependency is another folder."""
        digest = hashlib.sha256(LDFLAGS.encode())
        for source in sorted(self.module.folder.rglob("*")):
            if source.suffix == ".go" or source.name in ("go.mod", "go.sum"):
                digest.update(f"{source.relative_to(self.module.folder)}\n".encode() + source.read_bytes())
        return CACHE / "cluster" / digest.hexdigest()[:16]

    def binary(self, name: str) -> Path:
        """Return the path of `name`, built or not."""
        return self.folder / name

    def build(self, names: Iterable[str]) -> None:
        """Build those of `names` that the cache lacks; whoever else wants them at the same time waits."""
        if not self._missing(names):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.folder / ".lock"):
            # One at a time: what an interrupted build has finished stays.
            for name in self._missing(names):
                self._build(name)

    def data(self, name: str) -> Path:
        """Return a folder of a dependency, copied into the cache."""
        target = self.folder / name
        if not target.exists():
            dependency, inside = self.module.data[name]
            self.folder.mkdir(parents=True, exist_ok=True)
            with hold_lock(self.folder / ".lock"):
                self._go("mod", "download", dependency)
                source = Path(self._go("list", "-m", "-f", "{{.Dir}}", dependency).strip()) / inside
                if not target.exists():
                    with staging(self.folder) as scratch:
                        # The module cache is read-only, its copy is not.
                        shutil.copytree(source, scratch / name, copy_function=shutil.copyfile)
                        (scratch / name).chmod(0o755)
                        (scratch / name).rename(target)
        return target

    def _missing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self.binary(name).exists()]

    def _build(self, name: str) -> None:
        with staging(self.folder) as scratch:
            self._go("build", "-trimpath", "-ldflags", LDFLAGS, "-o", str(scratch / name), self.module.packages[name])
            (scratch / name).rename(self.binary(name))

    def _go(self, *arguments: str) -> str:
        return run_go(*arguments, folder=self.module.folder)


def versitygw() -> Path:
    """Return the S3 server's binary; the storage tests use the same one."""
    return _install_binary("versitygw", VERSITYGW)


def kuberay_operator(version: str) -> Path:
    """Return the binary of the operator of a version of KubeRay."""
    return _install_binary(f"ray-operator-{version}", f"{KUBERAY}@{version}")


def _install_binary(name: str, package: str) -> Path:
    """Return the binary of a package at a version of its own, which is in the cache as `name`."""
    binary = CACHE / "bin" / name
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(binary.parent / ".lock"), staging(binary.parent) as scratch:
            if not binary.exists():
                run_go("install", package, folder=scratch, GOBIN=str(scratch))
                (built,) = scratch.iterdir()
                built.rename(binary)
    return binary


def kuberay_crds(version: str) -> Path:
    """Return the folder of the CRDs of a version of KubeRay, in Go's own cache."""
    module = json.loads(run_go("mod", "download", "-json", f"{KUBERAY}@{version}", folder=CACHE))
    return Path(module["Dir"]) / "config" / "crd" / "bases"


def run_go(*arguments: str, folder: Path, **variables: str) -> str:
    """Run Go in `folder` and return what it printed.

    Raises
    ------
    UnavailableError
        If Go is not there.
    RuntimeError
        If it fails.
    """
    if (go := find_go()) is None:
        raise UnavailableError("Go is needed to build Kubernetes: it is neither on PATH nor in /usr/local/go/bin")
    # Static binaries, for containers have no libraries of their own.
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"} | variables
    done = subprocess.run([go, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"go {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock `path`; the kernel gives it back if we die."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Give a folder beside the final place, so that a rename completes the work; needs the folder's lock."""
    for left in folder.glob(".scratch-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".scratch-") as scratch:
        yield Path(scratch)
