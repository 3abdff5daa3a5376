"""Container images without a registry: an image that is all but empty, and the host's programs mounted into it.

Pods run the product's own Python from the checkout, so its manifests stay as they are: every container sees, read-only,
this machine's /usr, its Python, its virtual environment and the checkout, each at its own path; what lies below /tmp,
where pods have a volume of their own, is below /host in them.
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

__all__ = ["IMAGES", "PAUSE_IMAGE", "image_archive", "inside", "mounts"]

REPOSITORY = Path(__file__).resolve().parents[3]
VERSION = "0.1.0"
IMAGES = [f"docker.io/kubevoice/{part}:{VERSION}" for part in ("operator", "training", "serving")]
PAUSE_IMAGE = "docker.io/kubevoice/pause:test"
USER = 10001
SYSTEM = (Path("/usr"), Path("/etc/ssl"), Path("/etc/alternatives"))
FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/bin/sh\nkubevoice:x:{USER}:{USER}:KubeVoice:/tmp:/bin/sh\n",
    "etc/group": f"root:x:0:\nkubevoice:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = dict.fromkeys(("usr", "etc", "etc/ssl", "proc", "sys", "kubevoice-bin"), 0o755) | {"tmp": 0o1777}
LINKS = ("bin", "sbin", "lib", "lib64")
HIDDEN = Path("/tmp")  # noqa: S108  # a volume in every pod of the product
PARTS = ("core", "training", "serving", "operator", "cli")
RAY = 'import sys; from ray.scripts.scripts import main; sys.argv[0] = "ray"; sys.exit(main())'
PROGRAMS = {"kubevoice-bin/ray": f"#!/bin/sh\nexec python -c '{RAY}' \"$@\"\n"}
"""In place of scripts of the virtual environment that name their interpreter by its path on this machine."""


def inside(place: Path) -> Path:
    """Return where a container sees `place`."""
    return Path("/host", *place.parts[1:]) if place.is_relative_to(HIDDEN) else place


def mounts() -> list[dict[str, Any]]:
    """Return what every container sees of this machine, as mounts of an OCI runtime's spec."""
    # A virtual environment has its standard library where it came from.
    places = {*SYSTEM, REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)}
    outermost = [place for place in sorted(places) if place.exists() and places.isdisjoint(place.parents)]
    options = ["rbind", "ro", "nosuid", "nodev"]
    return [
        {"destination": str(inside(place)), "type": "bind", "source": str(place), "options": options}
        for place in outermost
    ]


def image_archive(names: list[str], files: dict[str, Path], config: dict[str, Any]) -> bytes:
    """Return an image that has all of `names`, holds `files` and the links of a Debian root, as `ctr` imports it."""
    layer = _layer(files)
    digest = hashlib.sha256(layer).hexdigest()
    description = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"]}]
    members = {"layer.tar": layer, "config.json": _json(description), "manifest.json": _json(manifest)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in members.items():
            _add(tar, name, content)
    return archive.getvalue()


def container_config() -> dict[str, Any]:
    """Return how the product's images start their programs."""
    prefix = inside(Path(sys.prefix))
    path = f"/kubevoice-bin:{prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # The editable install names the checkout by its path on this machine.
    parts = ":".join(str(inside(REPOSITORY / part)) for part in PARTS)
    variables = [f"PATH={path}", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "LC_ALL=C.UTF-8"]
    variables += [f"PYTHONPATH={parts}"]
    return {"User": f"{USER}:{USER}", "Env": variables, "WorkingDir": "/", "Cmd": ["python"]}


def _layer(files: dict[str, Path]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, mode in FOLDERS.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        for name in LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for name, text in FILES.items():
            _add(tar, name, text.encode())
        for name, text in PROGRAMS.items():
            _add(tar, name, text.encode(), mode=0o755)
        for name, path in files.items():
            _add(tar, name, path.read_bytes(), mode=0o755)
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
