"""What TensorBoard shows of a training: losses, alignments and mels as images, and audio.

Event files are written in a local folder and copied beside the checkpoints whenever one is saved. So
`tensorboard --logdir` works on the artifacts, and a lost pod loses no more of the curves than of the training.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from kubevoice.storage import Storage
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoardWriter", "colorize"]

Array = NDArray[np.float32]
COLOURS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float32)
"""Five points of the colour map viridis (van der Walt and Smith, 2015): equal steps look equal, in grey and to
colour-blind people, too."""


def colorize(values: Array, height: int = 160) -> NDArray[np.uint8]:
    """Draw a matrix in viridis, from its lowest to its highest value.

    Parameters
    ----------
    values
        Matrix [rows, columns]; the first row is drawn at the bottom.
    height
        Largest height in pixels, unless there are more rows: a row has at least one pixel.

    Returns
    -------
    NDArray
        RGB image [H, columns * 2, 3].
    """
    low, high = float(values.min()), float(values.max())
    share = (values - low) / max(high - low, 1e-9)
    place = np.linspace(0.0, 1.0, len(COLOURS))
    rgb = np.stack([np.interp(share, place, COLOURS[:, channel]) for channel in range(3)], axis=-1)
    flipped = rgb.round().astype(np.uint8)[::-1]
    return flipped.repeat(max(1, height // len(values)), axis=0).repeat(2, axis=1)


class TensorBoardWriter:
    """Writes one process's event file, and copies it to the artifacts.

    Parameters
    ----------
    folder
        Local folder of the event file.
    storage, prefix
        Where `publish` copies it to.
    sample_rate
        Of the audio, in Hz.
    resumed_step
        The step that the run was resumed from. Steps after it, which an earlier process may have written, are
        hidden by TensorBoard.
    """

    def __init__(self, folder: Path, storage: Storage, prefix: str, sample_rate: int, resumed_step: int = 0) -> None:
        self._sample_rate = sample_rate
        self._writer = SummaryWriter(str(folder), purge_step=resumed_step + 1 if resumed_step else None)
        self._folder, self._storage, self._prefix = folder, storage, prefix

    def write_scalars(self, tag: str, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve `tag/name`.

        Parameters
        ----------
        tag
            Group of the curves.
        values
            Values by name.
        step
            Where the points are on the axis of steps.
        """
        for name, value in values.items():
            self._writer.add_scalar(f"{tag}/{name}", value, step)

    def write_images(self, images: Mapping[str, Array], step: int) -> None:
        """Add matrices as images.

        Parameters
        ----------
        images
            Matrices [rows, columns] by name; the first row is drawn at the bottom.
        step
            Steps made.
        """
        for name, values in images.items():
            self._writer.add_image(name, colorize(values), step, dataformats="HWC")

    def write_audio(self, waves: Mapping[str, Array], step: int) -> None:
        """Add audio.

        Parameters
        ----------
        waves
            Samples [T] in -1..1 by name.
        step
            Steps made.
        """
        for name, wave in waves.items():
            self._writer.add_audio(name, wave[None], step, self._sample_rate)

    def publish(self) -> None:
        """Copy the event file to the storage."""
        self._writer.flush()
        for path in sorted(self._folder.iterdir()):
            self._storage.upload(path, f"{self._prefix}/{path.name}")

    def close(self) -> None:
        """Publish for the last time and close the file."""
        self.publish()
        self._writer.close()
