"""The context of a stage's run, and the artifacts of earlier stages that it fetches."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubevoice.resources.stages import Stage
from kubevoice.storage import S3Options, Storage, connect, fetch_tree

from kubevoice_training.features.feature_store import FeatureSet, read_features
from kubevoice_training.runtime.progress import ProgressFile
from kubevoice_training.runtime.world import World

__all__ = ["Context", "fetch_features", "fetch_folder"]


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
