"""What every stage is given: where artifacts live, a scratch folder, a way to report and to learn of a stop."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubevoice.errors import InputError
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import BaseVoice, StorageSpec
from kubevoice.storage import S3Options, Storage, connect, fetch_tree
from kubevoice.voice import builtin_voice

from kubevoice_training.checkpoint import VoiceWeights, load_weights
from kubevoice_training.feature_store import FeatureSet, read_features
from kubevoice_training.progress import ProgressFile

__all__ = ["Context", "fetch_base", "fetch_features", "fetch_folder", "s3_options"]

CA_BUNDLE = Path("/etc/kubevoice/ca/ca.crt")
"""Where the Job mounts `spec.storage.caBundleRef`."""


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one stage run."""

    stage: Stage
    key: str
    """Hash of the spec: the name of this stage's output."""
    workdir: Path
    artifacts: Storage
    options: S3Options
    progress: ProgressFile
    stopping: Callable[[], bool]

    @property
    def prefix(self) -> str:
        """Where this stage's output lives in the artifacts storage."""
        return f"{self.stage}/{self.key}"

    def fresh_folder(self, name: str) -> Path:
        """Return an empty folder in the working directory; what an earlier try left there is removed."""
        folder = self.workdir / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def s3_options(storage: StorageSpec) -> S3Options:
    """Translate the resource's words; credentials come from the environment."""
    return S3Options(
        endpoint=storage.endpoint,
        region=storage.region,
        path_style=storage.path_style,
        ca_bundle=CA_BUNDLE if storage.ca_bundle_ref else None,
    )


def fetch_folder(uri: str, digest: str | None, folder: Path, options: S3Options) -> Path:
    """Fetch a published tree into `folder`, checking every file; what is there already is reused."""
    fetch_tree(connect(uri, options), "", folder, digest)
    return folder


def fetch_features(uri: str, digest: str, context: Context) -> FeatureSet:
    """Fetch and read the features that prepare published."""
    return read_features(fetch_folder(uri, digest, context.workdir / "features", context.options))


def fetch_base(base: BaseVoice, context: Context) -> VoiceWeights:
    """Load the voice to start from: `builtin://NAME`, or a bundle with a checkpoint at any storage URI."""
    if base.uri.startswith("builtin://"):
        return load_weights(builtin_voice(base.uri) / "checkpoint")
    storage = connect(base.uri, context.options)
    if not storage.exists("checkpoint/labels.json"):
        raise InputError(
            f"spec.base.uri: {base.uri} holds no checkpoint/labels.json; name a voice bundle that release wrote"
        )
    with tempfile.TemporaryDirectory(dir=context.workdir) as folder:
        for name in ("labels.json", "acoustic.pt", "vocoder.pt"):
            storage.download(f"checkpoint/{name}", Path(folder) / name)
        return load_weights(Path(folder))
