"""A pod's volumes as folders of this machine: container paths are translated wherever a container names them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubevoice_operator.local.files import write_atomically

__all__ = ["Mounts", "mount_volumes"]


@dataclass(frozen=True, slots=True)
class Mounts:
    """Container paths and the host paths that stand for them, and where the container's tools keep their caches."""

    paths: Mapping[str, Path]
    caches: Path

    def translate(self, value: str) -> str:
        """Translate a container's path into a path of this machine.

        Parameters
        ----------
        value
            Any text.

        Returns
        -------
        str
            `value`, or its host path if it is a path at or below one of the mounts.
        """
        for inside in sorted(self.paths, key=len, reverse=True):
            if value == inside or value.startswith(f"{inside}/"):
                return f"{self.paths[inside]}{value[len(inside) :]}"
        return value

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """Build the environment of a container's process: this process's, with the container's `env` over it.

        Paths are translated. `envFrom` names Secrets; on one machine the credentials are those of the user's own
        environment. HOME is the user's too, but ONNX Runtime is kept from making files in the user's cache folder.

        Parameters
        ----------
        container
            The container, as in the pod's spec.

        Returns
        -------
        dict
            Environment variables.
        """
        named = {item["name"]: self.translate(item["value"]) for item in container.get("env", []) if "value" in item}
        named.pop("HOME", None)
        return os.environ | {"XDG_CACHE_HOME": str(self.caches)} | named


def mount_volumes(pod: Mapping[str, Any], container: Mapping[str, Any], folder: Path) -> Mounts:
    """Make a folder for each volume that a container mounts: emptyDir as one, downwardAPI with its files.

    A Secret is the folder of its name in `secrets` beside `folder`; the user writes its files.

    Parameters
    ----------
    pod
        The pod template.
    container
        The container.
    folder
        Where the volumes' folders are made.

    Returns
    -------
    Mounts
        Host paths by mount path.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    paths = {}
    for mount in container.get("volumeMounts", []):
        volume = volumes[mount["name"]]
        if mount["mountPath"] == "/tmp" or "configMap" in volume:  # noqa: S108  # this machine has its own
            continue
        secret = volume.get("secret")
        place = folder.parent / "secrets" / secret["secretName"] if secret else folder / mount["name"]
        place.mkdir(parents=True, exist_ok=True)
        for item in volume.get("downwardAPI", {}).get("items", []):
            key = item["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
            write_atomically(place / item["path"], pod["metadata"]["annotations"][key])
        paths[mount["mountPath"]] = place
    if "terminationMessagePath" in container:
        paths[container["terminationMessagePath"]] = folder / "termination-message"
    return Mounts(paths, folder / "tool-caches")
