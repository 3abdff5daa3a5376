"""Binaries of Kubernetes and its add-ons, built once from the Go module proxy into the user's cache."""

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
    "make_scratch_folder",
    "versitygw",
]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubevoice"
KUBERNETES = "1.35.4"
VERSIONS = {"gitVersion": f"v{KUBERNETES}", "gitMajor": "1", "gitMinor": "35"}
"""Without them a binary reports v0.0.0 as its version."""
LDFLAGS = " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in VERSIONS.items())])
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KUBERAY = "github.com/ray-project/kuberay/ray-operator"
OLDER_KUBERAY = ("v1.5.1",)
"""Older versions that are tested, with their CRDs and operators. go.mod names the newest version."""
KUEUE = "sigs.k8s.io/kueue"

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE = (*CONTROL_PLANE, "kube-scheduler", "kubelet", "kube-proxy", "ray-operator", "coredns", "pause")

CHART = ("helm", "helm-unittest", "helm-docs", "kubeconform")


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module of these tests.

    Attributes
    ----------
    folder
        Where its go.mod is.
    packages
        Go package of each binary.
    data
        Folders of dependencies that are copied into the cache: name -> (dependency, folder in it). Most have CRDs.
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
    """The binaries of one module in the cache, in a folder named by the hash of its sources."""

    module: Module

    @property
    def folder(self) -> Path:
        """The folder of the binaries. It changes with the version of any dependency."""
        digest = hashlib.sha256(LDFLAGS.encode())
        for source in sorted(self.module.folder.rglob("*")):
            if source.suffix == ".go" or source.name in ("go.mod", "go.sum"):
                digest.update(f"{source.relative_to(self.module.folder)}\n".encode() + source.read_bytes())
        return CACHE / "cluster" / digest.hexdigest()[:16]

    def binary(self, name: str) -> Path:
        """Return the path of the binary `name`, whether it is built or not."""
        return self.folder / name

    def build(self, names: Iterable[str]) -> None:
        """Build those of `names` that the cache lacks. Other processes that need them wait."""
        if not self._missing(names):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.folder / ".lock"):
            # One at a time, so that an interrupted build keeps its finished binaries.
            for name in self._missing(names):
                self._build(name)

    def data(self, name: str) -> Path:
        """Return a folder of a dependency, copied into the cache."""
        target = self.folder / name
        if not target.exists():
            dependency, subfolder = self.module.data[name]
            self.folder.mkdir(parents=True, exist_ok=True)
            with hold_lock(self.folder / ".lock"):
                self._go("mod", "download", dependency)
                source = Path(self._go("list", "-m", "-f", "{{.Dir}}", dependency).strip()) / subfolder
                if not target.exists():
                    with make_scratch_folder(self.folder) as scratch:
                        # The module cache is read-only; the copy must be writable.
                        shutil.copytree(source, scratch / name, copy_function=shutil.copyfile)
                        (scratch / name).chmod(0o755)
                        (scratch / name).rename(target)
        return target

    def _missing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self.binary(name).exists()]

    def _build(self, name: str) -> None:
        with make_scratch_folder(self.folder) as scratch:
            self._go("build", "-trimpath", "-ldflags", LDFLAGS, "-o", str(scratch / name), self.module.packages[name])
            (scratch / name).rename(self.binary(name))

    def _go(self, *arguments: str) -> str:
        return run_go(*arguments, folder=self.module.folder)


def versitygw() -> Path:
    """Return the S3 server's binary, which the storage tests use too."""
    return _install("versitygw", VERSITYGW)


def kuberay_operator(version: str) -> Path:
    """Return the binary of KubeRay's operator at a version."""
    return _install(f"ray-operator-{version}", f"{KUBERAY}@{version}")


def _install(name: str, package: str) -> Path:
    """Return the binary of a package at a version, installed once into the cache as `name`."""
    binary = CACHE / "bin" / name
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(binary.parent / ".lock"), make_scratch_folder(binary.parent) as scratch:
            if not binary.exists():
                run_go("install", package, folder=scratch, GOBIN=str(scratch))
                (program,) = scratch.iterdir()
                program.rename(binary)
    return binary


def kuberay_crds(version: str) -> Path:
    """Return the folder of KubeRay's CRDs at a version, in Go's module cache."""
    module = json.loads(run_go("mod", "download", "-json", f"{KUBERAY}@{version}", folder=CACHE))
    return Path(module["Dir"]) / "config" / "crd" / "bases"


def run_go(*arguments: str, folder: Path, **variables: str) -> str:
    """Run Go in `folder` and return what it printed.

    Raises
    ------
    UnavailableError
        If Go is not installed.
    RuntimeError
        If it fails.
    """
    if (go := find_go()) is None:
        raise UnavailableError("Go is needed to build Kubernetes: it is neither on PATH nor in /usr/local/go/bin")
    # Static binaries, because the containers have no libraries.
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"} | variables
    result = subprocess.run([go, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"go {' '.join(arguments)} failed:\n{result.stderr[-2000:]}")
    return result.stdout


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` until the end of the block. The kernel frees it if the process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def make_scratch_folder(folder: Path) -> Iterator[Path]:
    """Make a scratch folder in `folder`, whose lock the caller holds, so that results can be renamed into place."""
    for leftover in folder.glob(".scratch-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".scratch-") as scratch:
        yield Path(scratch)
