"""How clean recordings sound: DNSMOS P.835 (Reddy, Gopal and Cutler, ICASSP 2022, arXiv 2110.01763).

The network rates 9.01 s of speech at 16 kHz from 1 to 5, as listeners would: the speech itself, the background, and
both together. One rating covers several short clips, so a set of words takes no longer than a set of sentences.
"""

import hashlib
import heapq
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import soxr
from kubevoice.engine import open_session
from numpy.typing import NDArray

from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.evaluation.model_files import find_model_file, is_installed

__all__ = ["NoiseRating", "NoiseSample", "is_noise_model_installed", "rate_noise"]

Array = NDArray[np.float32]
RATE, WINDOW = 16_000, 144_160
WINDOWS = 4
"""Windows rated at most, an hour's recordings as well as a minute's: noise is a property of the room."""
POLYNOMIALS = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
"""From the network's outputs (speech, background, overall) to the scale of listeners; they come with the network."""


@dataclass(frozen=True, slots=True)
class NoiseRating:
    """Ratings from 1 (bad) to 5 (excellent).

    Attributes
    ----------
    speech
        Quality of the speech itself (SIG).
    background
        Absence of noise (BAK).
    overall
        Quality of both together (OVRL).
    """

    speech: float
    background: float
    overall: float


class NoiseSample:
    """A sample of a group's recordings, long enough for `WINDOWS` windows.

    Recordings are selected by a hash of their ids, so the sample does not depend on their order.
    """

    def __init__(self) -> None:
        self._recordings: list[tuple[float, Array]] = []
        """A heap of negated hashes and samples at 16 kHz; the highest hash is first. Written by `consider`."""
        self._length = 0
        """Samples of all recordings in the heap. Written by `consider`."""

    def consider(self, clip_id: str, waveform: Waveform) -> None:
        """Add a recording to the sample if its hash is among the lowest; one that is no longer needed is removed.

        Parameters
        ----------
        clip_id
            The clip's id, which is hashed.
        waveform
            Its samples and their rate.
        """
        draw = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8]) / 2**64
        if self._length >= WINDOWS * WINDOW and -self._recordings[0][0] < draw:
            return
        audio = soxr.resample(waveform.samples, waveform.rate, RATE).astype(np.float32)
        heapq.heappush(self._recordings, (-draw, audio))
        self._length += len(audio)
        while self._length - len(self._recordings[0][1]) >= WINDOWS * WINDOW:
            self._length -= len(heapq.heappop(self._recordings)[1])

    def build_windows(self) -> Array:
        """Join the recordings and cut them into windows.

        Returns
        -------
        NDArray
            [windows, 144160] at 16 kHz. A sample shorter than one window is repeated to fill it.
        """
        joined = np.concatenate([audio for _, audio in sorted(self._recordings, key=lambda item: -item[0])])
        if len(joined) < WINDOW:
            joined = np.resize(joined, WINDOW)
        count = min(WINDOWS, len(joined) // WINDOW)
        return joined[: count * WINDOW].reshape(count, WINDOW)


def is_noise_model_installed() -> bool:
    """Check whether the package with the network is installed.

    Returns
    -------
    bool
        Whether `rate_noise` can be called.
    """
    return is_installed("speechmos")


@cache
def _load_network() -> Any:
    return open_session(find_model_file("speechmos", "dnsmos_models/sig_bak_ovr.onnx", "noise"), threads=1)


def rate_noise(sample: NoiseSample) -> NoiseRating:
    """Rate how clean recordings are.

    Parameters
    ----------
    sample
        A sample of at least one recording.

    Returns
    -------
    NoiseRating
        Means over the windows.

    Raises
    ------
    KubeVoiceError
        If the network is not installed.

    References
    ----------
    Reddy, Gopal and Cutler, "DNSMOS P.835" (ICASSP 2022, arXiv 2110.01763).
    """
    windows = sample.build_windows()
    raw = np.concatenate([_load_network().run(None, {"input_1": window[None]})[0] for window in windows]).astype(
        np.float64
    )
    means = [float(np.polyval(p, raw[:, i]).mean()) for i, p in enumerate(POLYNOMIALS)]
    return NoiseRating(*(round(min(5.0, max(1.0, mean)), 2) for mean in means))
