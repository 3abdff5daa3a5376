"""The weights of the base voice that a fine-tuning starts from."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from kubevoice.digests import hash_file
from kubevoice.errors import InputError
from kubevoice.resources.voicemodel import BaseVoice
from kubevoice.voice import VoiceManifest

from kubevoice_training.checkpoint_files import CHECKPOINT_FILES
from kubevoice_training.stages.base_voice import fetch_base_manifest, open_base_storage
from kubevoice_training.stages.context import Context
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights

__all__ = ["fetch_base", "fetch_base_files"]


def fetch_base_files(
    base: BaseVoice, manifest: VoiceManifest, names: Iterable[str], folder: Path, context: Context
) -> None:
    """Fetch files of the base voice and verify each.

    Parameters
    ----------
    base
        Where the voice is.
    manifest
        Its manifest, which has the digests.
    names
        Which files.
    folder
        Where they are written, under their names.
    context
        The stage's options.

    Raises
    ------
    InputError
        If the bundle does not have a file, or it is damaged.
    """
    storage = open_base_storage(base, context.options)
    for name in names:
        if name not in manifest.files:
            raise InputError(f"spec.base.uri: {base.uri} was released without {name}; name another base")
        storage.download(name, folder / name)
        if hash_file(folder / name) != manifest.files[name]:
            raise InputError(f"spec.base.uri: {base.uri}/{name} is damaged; fetch the base voice again")


def fetch_base(base: BaseVoice, context: Context) -> VoiceWeights:
    """Load the voice to start from: `builtin://NAME`, or a bundle with a checkpoint at any storage URI.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    context
        The stage's working directory and options.

    Returns
    -------
    VoiceWeights
        Its networks, statistics and labels.

    Raises
    ------
    InputError
        If the voice has no checkpoint, or it is damaged.
    """
    manifest = fetch_base_manifest(base, context.options)
    names = [f"checkpoint/{name}" for name in CHECKPOINT_FILES]
    with tempfile.TemporaryDirectory(dir=context.workdir) as folder:
        fetch_base_files(base, manifest, names, Path(folder), context)
        return load_weights(Path(folder) / "checkpoint")
