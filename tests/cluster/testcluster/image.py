"""Container images of one static program each, written without a container tool."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

__all__ = ["build_image_archive"]


def build_image_archive(name: str, files: dict[str, Path], config: dict[str, Any]) -> bytes:
    """Return an image archive for `ctr`: the image `name` with `files` and a /tmp."""
    layer = _layer(files)
    digest = hashlib.sha256(layer).hexdigest()
    description = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    members = {"layer.tar": layer, "config.json": _json(description), "manifest.json": _json(manifest)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for member, content in members.items():
            _add(tar, member, content)
    return archive.getvalue()


def _layer(files: dict[str, Path]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
        for name, path in files.items():
            _add(tar, name, path.read_bytes(), mode=0o755)
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
