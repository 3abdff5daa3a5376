"""The product's images, built from the checkout with its Dockerfile and cached for the user.

No registry is needed: the base image is a Debian from debootstrap. The cache is the store of a containerd with the
images; each node gets a copy. Images are built again only when their sources change. PyTorch with CUDA would take six
gigabytes, so the training image has none and uses a folder that is mounted into every container of the node.
"""

import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testcluster.build import CACHE, hold_lock, make_scratch_folder
from testcluster.image_archive import create_layout, write_archive
from testcluster.places import build_environment, die_with_parent
from testcluster.process import Component
from testcluster.tools import find, temporary_folder

__all__ = ["PARTS", "copy_store", "image_name", "torch_mount"]

REPOSITORY = Path(__file__).resolve().parents[3]
STORE = CACHE / "images"
BLOBS = STORE / "containerd" / "io.containerd.content.v1.content" / "blobs" / "sha256"
PARTS = ("operator", "serving", "training")
REGISTRY = "docker.io/kubevoice"
BASE = "localhost/kubevoice-base"
SUITE, PYTHON = "bookworm", "3.11"
PACKAGES = "ca-certificates,python3,python3-venv,wget"
NEEDLESS = "usr/share/doc usr/share/info usr/share/locale usr/share/man var/cache/apt var/lib/apt/lists"
"""Folders of Debian that a container image does not need."""
BASE_SCRIPT = f"""
debootstrap --variant=minbase --include={PACKAGES} {SUITE} "$1/root" > "$1/log" || {{ tail "$1/log" >&2; exit 1; }}
(cd "$1/root" && rm -rf {NEEDLESS})
container="$(buildah from scratch)"
buildah copy --quiet "$container" "$1/root" /
buildah commit --quiet "$container" "$2"
buildah rm "$container"
"""
TORCH = r"torch|triton|nvidia-.*|cuda-.*"
TORCH_PLACE = "/opt/torch"
# Compiled now: containers mount it read-only, and each would compile it again.
INSTALL_TORCH = ("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--compile-bytecode")
PATH_FILE = f"opt/kubevoice/lib/python{PYTHON}/site-packages/torch.pth"
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{store}/storage"
runroot = "{store}/run"
"""
STORAGE_LIMIT_BYTES = 16 << 30
"""Each change of a source leaves a few layers behind. Beyond this size everything is built again."""
CONTAINERD = """\
version = 2
root = "{store}/containerd"
state = "{state}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{state}/socket"
"""
DATABASES = ("io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db")


def image_name(part: str) -> str:
    """Return the full name of the image of `part`; manifests leave out the registry's host."""
    return f"{REGISTRY}/{part}:{_version()}"


def copy_store(folder: Path) -> None:
    """Fill `folder` with the store of a containerd that has the images of the checkout; build them first if needed."""
    STORE.mkdir(parents=True, exist_ok=True)
    source = STORE / "containerd"
    # Copied under the lock, because another checkout's tests may import their images.
    with hold_lock(STORE / ".lock"):
        _update_store()
        # Hard links, because the files never change. Only the databases do.
        result = subprocess.run(["cp", "--archive", "--link", source, folder], check=False, capture_output=True)
        if result.returncode:  # the folder is on another file system
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run(["cp", "--archive", source, folder], check=True, capture_output=True)
        for database in DATABASES:
            (folder / database).unlink()
            shutil.copy(source / database, folder / database)


def torch_mount() -> dict[str, Any]:
    """Return the mount of PyTorch for containers, as in an OCI runtime spec."""
    options = ["rbind", "ro", "nosuid", "nodev"]
    return {"destination": TORCH_PLACE, "type": "bind", "source": str(_torch()), "options": options}


def _update_store() -> None:
    """Build and import the images whose sources have changed."""
    keys = STORE / "keys.json"
    cached = json.loads(keys.read_text()) if keys.exists() else {}
    current = {part: _digest(part) for part in PARTS}
    stale = [part for part in PARTS if cached.get(part) != current[part]]
    if not stale:
        return
    _install_torch()
    with make_scratch_folder(STORE) as folder:
        _build(folder, stale)
        # The cache is in an unknown state until the import is complete.
        keys.unlink(missing_ok=True)
        _import(folder, stale)
    keys.write_text(json.dumps(current))


def _version() -> str:
    return str(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"])


def _digest(part: str) -> str:
    """Return the hash of the sources of the image of `part`: its files of the checkout, and this module."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    visible = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for root in (REPOSITORY / name for name in ("Dockerfile", ".dockerignore", *visible)):
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and _depends_on(path.relative_to(REPOSITORY), part):
                digest.update(f"{path.relative_to(REPOSITORY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _depends_on(path: Path, part: str) -> bool:
    """Return whether the image of `part` depends on the file `path` of the checkout."""
    other_parts = {*PARTS, "cli"} - {part}
    owner = path.stem if path.parent.name == "requirements" else path.parts[0]
    return owner not in other_parts and "__pycache__" not in path.parts


def _torch_lock() -> str:
    """Return the lock file of PyTorch and its dependencies, which the training image lacks."""
    exclude_packages = runpy.run_path(str(REPOSITORY / "images" / "filter_lock.py"))["exclude_packages"]
    lock = (REPOSITORY / "requirements" / "training.lock").read_text()
    return str(exclude_packages(lock, rf"(?!(?:{TORCH})$).*"))


def _torch() -> Path:
    source = " ".join([*INSTALL_TORCH, _torch_lock()])
    return STORE / f"torch-{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def _install_torch() -> None:
    """Install PyTorch for the images' Python into a folder; uv links files of its cache on the same file system."""
    target = _torch()
    if target.exists():
        return
    for old in STORE.glob("torch-*"):
        shutil.rmtree(old)
    with make_scratch_folder(STORE) as folder:
        lock = folder / "torch.lock"
        lock.write_text(_torch_lock())
        target_options: list[str | Path] = ["--python-version", PYTHON, "--target", folder / "torch"]
        _run(sys.executable, "-m", "uv", *INSTALL_TORCH, *target_options, "--requirements", lock)
        (folder / "torch").rename(target)


def _build(folder: Path, parts: list[str]) -> None:
    """Build the images of `parts` in the cache's storage, and write an archive of each into `folder`."""
    storage, downloads = STORE / "storage", STORE / "downloads"
    if storage.exists() and _size(storage) > STORAGE_LIMIT_BYTES:
        shutil.rmtree(storage)
    downloads.mkdir(exist_ok=True)
    # buildah's records of mounts, which ended with its process (see `_isolate`).
    shutil.rmtree(STORE / "run", ignore_errors=True)
    config = STORE / "storage.conf"
    config.write_text(STORAGE.format(store=STORE))
    variables = {"CONTAINERS_STORAGE_CONF": str(config), "TMPDIR": str(downloads)}
    base = f"{BASE}:{hashlib.sha256(BASE_SCRIPT.encode()).hexdigest()[:16]}"
    if not _run("buildah", "images", "--quiet", "--filter", f"reference={base}", **variables):
        _run("sh", "-ec", BASE_SCRIPT, "sh", folder, base, **variables)
    variables |= {"BASE_IMAGE": base, "REGISTRY": REGISTRY, "TAG": _version(), "SBOMS": str(folder)}
    variables["BUILD_OPTIONS"] = f"--build-arg WITHOUT={TORCH}"
    _run(REPOSITORY / "images" / "build", *parts, **variables)
    for part in parts:
        name = _add_torch_path(folder, variables) if part == "training" else image_name(part)
        layout = folder / part
        create_layout(layout, BLOBS)
        _run("buildah", "push", "--quiet", "--disable-compression", name, f"oci:{layout}", **variables)
        write_archive(layout, BLOBS, image_name(part), folder / f"{part}.tar")


def _add_torch_path(folder: Path, variables: dict[str, str]) -> str:
    """Build the training image with the path of the mounted PyTorch, and return its name."""
    (folder / "torch.pth").write_text(f"{TORCH_PLACE}\n")
    name = f"{image_name('training')}-torch"
    container = _run("buildah", "from", image_name("training"), **variables).strip()
    _run("buildah", "copy", "--quiet", container, folder / "torch.pth", f"/{PATH_FILE}", **variables)
    _run("buildah", "commit", "--quiet", "--rm", container, name, **variables)
    return name


def _import(folder: Path, parts: list[str]) -> None:
    """Import the archives of `folder` into the cached containerd, and remove other images."""
    with _containerd() as socket:
        images = ["ctr", "--address", socket, "--namespace=k8s.io", "images"]
        existing = _run(*images, "ls", "-q").split()
        for name in map(image_name, parts):
            # Keep the old image until the new one is unpacked, so that shared layers are not garbage collected.
            if name in existing:
                _run(*images, "tag", "--force", name, f"{name}-before")
        for part in parts:
            _run(*images, "import", folder / f"{part}.tar")
        names = {image_name(part) for part in PARTS}
        if outdated := [name for name in _run(*images, "ls", "-q").split() if name not in names]:
            _run(*images, "rm", *outdated)


@contextmanager
def _containerd() -> Iterator[str]:
    with temporary_folder("kv-images-") as state:
        config, socket = state / "config.toml", state / "socket"
        config.write_text(CONTAINERD.format(store=STORE, state=state))
        component = Component(
            name="containerd",
            command=_isolate("containerd", "--config", config),
            log=state / "log",
            ready=socket.is_socket,
            environment=build_environment(),
            nested=True,
        )
        component.start()
        try:
            component.wait()
            yield str(socket)
        finally:
            component.stop()


def _isolate(*argv: str | Path) -> list[str]:
    """Return the command line that runs `argv` in namespaces of its own, at most until this process ends.

    Its mounts and children end with it.
    """
    program = find(str(argv[0])) or argv[0]
    namespaces = ["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    return die_with_parent("unshare", *namespaces, "--", program, *argv[1:])


def _run(*argv: str | Path, **variables: str) -> str:
    result = subprocess.run(
        _isolate(*argv),
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv[:3]))} failed:\n{result.stdout[-1000:]}\n{result.stderr[-3000:]}")
    return result.stdout


def _size(folder: Path) -> int:
    kilobytes = subprocess.run(["du", "-sk", folder], capture_output=True, text=True, check=True).stdout.split()[0]
    return int(kilobytes) << 10
