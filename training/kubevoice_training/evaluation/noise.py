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
    """Ratings from 1 (bad) to 5 (excellent)."""

    speech: float
    background: float
    overall: float


class NoiseSample:
    """A share of a group's recordings, chosen by their ids, so that it is the same however they are sorted."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, Array]] = []
        self._length = 0

    def consider(self, clip_id: str, waveform: Waveform) -> None:
        """Consider one more recording."""
        draw = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8]) / 2**64
        if self._length >= WINDOWS * WINDOW and -self._kept[0][0] < draw:
            return
        audio = soxr.resample(waveform.samples, waveform.rate, RATE).astype(np.float32)
        heapq.heappush(self._kept, (-draw, audio))
        self._length += len(audio)
        while self._length - len(self._kept[0][1]) >= WINDOWS * WINDOW:
            self._length -= len(heapq.heappop(self._kept)[1])

    def build_windows(self) -> Array:
        """Return what was kept as [windows, samples]; less than one window is repeated until it fills it."""
        joined = np.concatenate([audio for _, audio in sorted(self._kept, key=lambda kept: -kept[0])])
        if len(joined) < WINDOW:
            joined = np.resize(joined, WINDOW)
        count = min(WINDOWS, len(joined) // WINDOW)
        return joined[: count * WINDOW].reshape(count, WINDOW)


def is_noise_model_installed() -> bool:
    """Return whether the package with the network is installed."""
    return is_installed("speechmos")


@cache
def _network() -> Any:
    return open_session(find_model_file("speechmos", "dnsmos_models/sig_bak_ovr.onnx", "noise"), threads=1)


def rate_noise(sample: NoiseSample) -> NoiseRating:
    """Rate a sample of at least one recording. Raises KubeVoiceError if the network is not installed."""
    windows = sample.build_windows()
    raw = np.concatenate([_network().run(None, {"input_1": window[None]})[0] for window in windows]).astype(np.float64)
    means = [float(np.polyval(p, raw[:, i]).mean()) for i, p in enumerate(POLYNOMIALS)]
    return NoiseRating(*(round(min(5.0, max(1.0, mean)), 2) for mean in means))
