"""The weights of the base voice that a fine-tuning starts from."""

import tempfile
from pathlib import Path

from kubevoice.digests import hash_file
from kubevoice.errors import InputError
from kubevoice.resources.voicemodel import BaseVoice

from kubevoice_training.checkpoint_files import CHECKPOINT_FILES
from kubevoice_training.stages.context import Context, fetch_base_manifest, open_base_storage
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights

__all__ = ["fetch_base"]


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
    storage = open_base_storage(base, context.options)
    with tempfile.TemporaryDirectory(dir=context.workdir) as folder:
        for name in CHECKPOINT_FILES:
            listed = manifest.files.get(f"checkpoint/{name}")
            if listed is None:
                raise InputError(f"spec.base.uri: {base.uri} was released without its checkpoint; name another base")
            storage.download(f"checkpoint/{name}", Path(folder) / name)
            if hash_file(Path(folder) / name) != listed:
                raise InputError(f"spec.base.uri: {base.uri}/checkpoint/{name} is damaged; fetch the base voice again")
        return load_weights(Path(folder))
