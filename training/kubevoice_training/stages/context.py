"""The context of a stage's run, and the artifacts of earlier stages that it fetches."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubevoice.audio.mel import MelConfig
from kubevoice.digests import hash_text
from kubevoice.errors import InputError
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import BaseVoice
from kubevoice.storage import S3Options, Storage, connect, fetch_tree
from kubevoice.voice import VoiceManifest, builtin_voice
from pydantic import ValidationError

from kubevoice_training.checkpoint_files import LABELS
from kubevoice_training.features.feature_store import FeatureSet, read_features
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.world import World

__all__ = [
    "Context",
    "fetch_base_manifest",
    "fetch_base_mel",
    "fetch_features",
    "fetch_folder",
    "hash_base_manifest",
    "open_base_storage",
]


@dataclass(frozen=True, slots=True)
class Context:
    """The resources of one run of a stage.

    Attributes
    ----------
    stage
        Which stage runs.
    key
        Hash of its spec, which names its output.
    workdir
        Scratch folder.
    artifacts
        Where outputs are published.
    options
        How to connect to other S3 storage.
    progress
        What the stage reports to.
    stopping
        Whether the stage was asked to stop; training reads it after each step.
    world
        This process's rank and the world size.
    """

    stage: Stage
    key: str
    workdir: Path
    artifacts: Storage
    options: S3Options
    progress: ProgressFile
    stopping: Callable[[], bool]
    world: World

    @property
    def prefix(self) -> str:
        """Prefix of this stage's output in the artifacts storage."""
        return f"{self.stage}/{self.key}"

    def fresh_folder(self, name: str) -> Path:
        """Create an empty folder in the working directory. Files of an earlier run in it are removed.

        Parameters
        ----------
        name
            Of the folder.

        Returns
        -------
        Path
            Its path.
        """
        folder = self.workdir / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def fetch_folder(uri: str, digest: str | None, folder: Path, options: S3Options) -> Path:
    """Fetch a published tree and verify every file. Files that are there already are not fetched again.

    Parameters
    ----------
    uri
        Where the tree is.
    digest
        Its digest; None accepts any.
    folder
        Where the files are written.
    options
        How to connect to S3 storage.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    InputError
        If the tree does not have this digest, or a file is damaged.
    """
    fetch_tree(connect(uri, options), "", folder, digest)
    return folder


def fetch_features(uri: str, digest: str, context: Context) -> FeatureSet:
    """Fetch and read the features that prepare published.

    Parameters
    ----------
    uri, digest
        Where they are, and their digest.
    context
        The stage's working directory and options.

    Returns
    -------
    FeatureSet
        All features, in memory.

    Raises
    ------
    InputError
        If they do not have this digest, or a file is damaged.
    """
    return read_features(fetch_folder(uri, digest, context.workdir / "features", context.options))


def open_base_storage(base: BaseVoice, options: S3Options) -> Storage:
    """Open the folder of the base voice: one that ships with the package, or any storage URI.

    Parameters
    ----------
    base
        The base voice; a URI `builtin://NAME` is one of the package's.
    options
        How to reach S3; unused for a built-in voice.

    Returns
    -------
    Storage
        The folder.

    Raises
    ------
    InputError
        If there is no built-in voice of that name, or the URI is not one of a storage.
    """
    return connect(str(builtin_voice(base.uri)) if base.uri.startswith("builtin://") else base.uri, options)


def fetch_base_manifest(base: BaseVoice, options: S3Options) -> VoiceManifest:
    """Read the base voice's manifest.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    options
        How to connect to S3 storage.

    Returns
    -------
    VoiceManifest
        The manifest.

    Raises
    ------
    InputError
        If there is none, or it is damaged, or not the one that `base.sha256` pins.
    """
    storage = open_base_storage(base, options)
    if not storage.exists("voice.json"):
        raise InputError(f"spec.base.uri: {base.uri} has no voice.json; name a voice bundle that release wrote")
    body = storage.read("voice.json")
    digest = hash_text(body)
    if base.sha256 not in (None, digest):
        raise InputError(
            f"voice.json of the base voice {base.uri} has digest {digest}, expected {base.sha256}; correct "
            "spec.base.sha256 or, if the base was replaced after prepare, prepare again: run kubevoice up or, in a "
            "cluster, set the annotation kubevoice.io/refresh"
        )
    try:
        return VoiceManifest.model_validate_json(body)
    except ValidationError:
        raise InputError(f"spec.base.uri: voice.json of {base.uri} is damaged; fetch the base voice again") from None


def hash_base_manifest(base: BaseVoice, options: S3Options) -> str:
    """Compute the SHA-256 of the base voice's voice.json, which has the digests of its other files.

    Parameters
    ----------
    base
        Where the voice is.
    options
        How to connect to S3 storage.

    Returns
    -------
    str
        64 hex digits.
    """
    return hash_text(open_base_storage(base, options).read("voice.json"))


def fetch_base_mel(base: BaseVoice, options: S3Options) -> MelConfig:
    """Read the settings of the base voice's mels; the dataset's must be computed with the same ones.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    options
        How to connect to S3 storage.

    Returns
    -------
    MelConfig
        Settings of the mel.

    Raises
    ------
    InputError
        If the voice has no checkpoint, or it is damaged.
    """
    listed = fetch_base_manifest(base, options).files.get(f"checkpoint/{LABELS}")
    body = open_base_storage(base, options).read(f"checkpoint/{LABELS}") if listed else b""
    if hash_text(body) != listed:
        raise InputError(f"spec.base.uri: {base.uri} was released without its checkpoint, or it is damaged")
    try:
        return MelConfig(**json.loads(body)["mel"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"spec.base.uri: checkpoint/{LABELS} of {base.uri} does not say how its mels are made; "
            "fetch or import the base voice again"
        ) from None
