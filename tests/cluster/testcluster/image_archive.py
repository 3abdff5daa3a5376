"""Archives of images without the layers that a containerd has: packages are gigabytes and change seldom.

The format is the OCI image layout (https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md).
"""

import json
import os
import tarfile
from pathlib import Path

__all__ = ["create_layout", "write_archive"]

NAME_ANNOTATION = "io.containerd.image.name"


def create_layout(layout: Path, known: Path) -> None:
    """Create an image layout that has blobs already, so that whoever writes an image there does not copy them.

    Parameters
    ----------
    layout
        The folder to make, on the file system of `known`.
    known
        The folder of a containerd's SHA-256 blobs; it need not exist.
    """
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in known.iterdir() if known.exists() else ():
        os.link(blob, blobs / blob.name)


def write_archive(layout: Path, known: Path, name: str, archive: Path) -> None:
    """Write the image of a layout into an archive for `ctr images import`, without the blobs of `known`.

    Parameters
    ----------
    layout
        What `create_layout` made.
    known
        The folder of blobs that were given to `create_layout`.
    name
        The image's full name with tag.
    archive
        The tar file to write.
    """
    index = json.loads((layout / "index.json").read_text())
    (manifest,) = index["manifests"]
    manifest["annotations"] = {NAME_ANNOTATION: name}
    (layout / "index.json").write_text(json.dumps(index))
    with tarfile.open(archive, "w") as tar:
        for file in ("oci-layout", "index.json"):
            tar.add(layout / file, file)
        for blob in sorted((layout / "blobs" / "sha256").iterdir()):
            if not (known / blob.name).exists():
                tar.add(blob, blob.relative_to(layout))
