"""What TensorBoard shows of a training: figures, alignments and mels as pictures, and the voice to listen to.

Event files are written in a local folder and copied beside the checkpoints whenever one is saved, so that
`tensorboard --logdir` works on the artifacts and a lost pod loses no more of the curves than of the training.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from kubevoice.storage import Storage
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

__all__ = ["Board", "picture"]

Array = NDArray[np.float32]
COLOURS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float32)
"""Five points of viridis (van der Walt and Smith, 2015): even steps look even, in grey and to the colour-blind."""


def picture(values: Array, height: int = 160) -> NDArray[np.uint8]:
    """Colour a matrix [rows, columns] from its lowest to its highest value, the first row at the bottom.

    Returns RGB [H, columns * 2, 3]; a row is as many pixels high as make at most `height`, but at least one.
    """
    low, high = float(values.min()), float(values.max())
    share = (values - low) / max(high - low, 1e-9)
    place = np.linspace(0.0, 1.0, len(COLOURS))
    rgb = np.stack([np.interp(share, place, COLOURS[:, channel]) for channel in range(3)], axis=-1)
    flipped = rgb.round().astype(np.uint8)[::-1]
    return flipped.repeat(max(1, height // len(values)), axis=0).repeat(2, axis=1)


class Board:
    """One process's event file. Steps after the one it begins at, which an earlier process told of, are taken back."""

    def __init__(self, folder: Path, storage: Storage, prefix: str, sample_rate: int, begun: int = 0) -> None:
        self._sample_rate = sample_rate
        self._writer = SummaryWriter(str(folder), purge_step=begun + 1 if begun else None)
        self._folder, self._storage, self._prefix = folder, storage, prefix

    def figures(self, split: str, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve `split/name`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{split}/{name}", value, step)

    def pictures(self, images: Mapping[str, Array], step: int) -> None:
        """Show matrices [rows, columns], first row at the bottom, by name."""
        for name, values in images.items():
            self._writer.add_image(name, picture(values), step, dataformats="HWC")

    def sounds(self, waves: Mapping[str, Array], step: int) -> None:
        """Let waves [samples], in -1..1, be heard, by name."""
        for name, wave in waves.items():
            self._writer.add_audio(name, wave[None], step, self._sample_rate)

    def publish(self) -> None:
        """Copy this process's event file to the storage."""
        self._writer.flush()
        for path in sorted(self._folder.iterdir()):
            self._storage.upload(path, f"{self._prefix}/{path.name}")

    def close(self) -> None:
        """Publish for the last time and end."""
        self.publish()
        self._writer.close()
