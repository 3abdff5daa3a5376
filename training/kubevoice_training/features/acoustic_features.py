"""Frame features of a recording: mel, F0 and energy on one time grid.

Mel as in `kubevoice.audio.mel`; energy is the norm of the magnitude spectrum (facts file §4). F0 is WORLD's DIO
refined by StoneMask (Morise, IEICE 2016) where the reference uses RAPT and SWIPE: both give Hz with zeros where
unvoiced, which is all the network sees.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyworld
import soundfile
import soxr
from kubevoice.audio.mel import MelConfig, magnitude, range_normalize
from numpy.typing import NDArray

__all__ = ["Features", "Stats", "extract", "load_audio", "loud_blocks", "measure_stats", "resample", "trim_silence"]

Array = NDArray[np.float32]
F0_FLOOR_HZ, F0_CEIL_HZ = 60.0, 600.0


@dataclass(frozen=True, slots=True)
class Features:
    """Features of one clip of T frames: mel [T, n_mels] in [0, 1], f0 [T] in Hz (0 = unvoiced), energy [T]."""

    mel: Array
    f0: Array
    energy: Array


@dataclass(frozen=True, slots=True)
class Stats:
    """What features are normalised by: per-bin mel mean and deviation, voiced F0 (Hz) and energy."""

    mel_mean: Array
    mel_std: Array
    pitch_mean: float
    pitch_std: float
    energy_mean: float
    energy_std: float

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Stats":
        """Read what a checkpoint stores: lists for the mel, numbers for the rest."""
        return cls(
            mel_mean=np.asarray(fields["mel_mean"], np.float32),
            mel_std=np.asarray(fields["mel_std"], np.float32),
            pitch_mean=float(fields["pitch_mean"]),
            pitch_std=float(fields["pitch_std"]),
            energy_mean=float(fields["energy_mean"]),
            energy_std=float(fields["energy_std"]),
        )


def load_audio(source: Path | IO[bytes], sample_rate: int) -> Array:
    """Read a sound file as mono float32 at `sample_rate`; several channels are averaged."""
    samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    return resample(samples.mean(axis=1), rate, sample_rate)


def resample(samples: Array, rate: int, sample_rate: int) -> Array:
    """Return samples [T] of `rate` Hz at `sample_rate` Hz."""
    return soxr.resample(samples, rate, sample_rate).astype(np.float32) if rate != sample_rate else samples


def loud_blocks(wav: Array, sample_rate: int, threshold_db: float = 40.0) -> NDArray[np.intp]:
    """Number the 20 ms blocks of `wav` [samples] that are at most `threshold_db` quieter than its loudest."""
    size = sample_rate // 50
    level = np.sqrt((wav[: len(wav) // size * size].reshape(-1, size) ** 2).mean(axis=1))
    return np.flatnonzero(level > level.max(initial=0.0) * 10.0 ** (-threshold_db / 20.0))


def trim_silence(wav: Array, sample_rate: int, *, threshold_db: float = 40.0, margin: float = 0.03) -> Array:
    """Cut leading and trailing parts quieter than `threshold_db` below the loudest 20 ms; keep `margin` seconds."""
    loud = loud_blocks(wav, sample_rate, threshold_db)
    if len(loud) == 0:
        return wav
    size, pad = sample_rate // 50, int(margin * sample_rate)
    return wav[max(0, loud[0] * size - pad) : (loud[-1] + 1) * size + pad]


def extract(wav: Array, config: MelConfig) -> Features:
    """Analyse `wav` [samples] at `config.sample_rate`; all features have samples // hop + 1 frames."""
    amplitude = magnitude(wav, config)
    signal = wav.astype(np.float64)
    period = 1000.0 * config.hop_length / config.sample_rate
    coarse, times = pyworld.dio(
        signal, config.sample_rate, f0_floor=F0_FLOOR_HZ, f0_ceil=F0_CEIL_HZ, frame_period=period
    )
    f0 = pyworld.stonemask(signal, coarse, times, config.sample_rate)
    frames = len(amplitude)
    f0 = np.pad(f0, (0, max(0, frames - len(f0))))[:frames]
    return Features(
        mel=range_normalize(amplitude @ config.filters.T, config),
        f0=f0.astype(np.float32),
        energy=np.linalg.norm(amplitude, axis=1).astype(np.float32),
    )


def measure_stats(clips: list[Features]) -> Stats:
    """Measure the statistics of a corpus: mel per bin over all frames, pitch over voiced frames only."""
    mel = np.concatenate([clip.mel for clip in clips])
    f0 = np.concatenate([clip.f0 for clip in clips])
    energy = np.concatenate([clip.energy for clip in clips])
    voiced = f0[f0 > 0]
    return Stats(
        mel_mean=mel.mean(axis=0, dtype=np.float64).astype(np.float32),
        mel_std=np.maximum(mel.std(axis=0, dtype=np.float64), 1e-4).astype(np.float32),
        pitch_mean=float(voiced.mean()),
        pitch_std=float(voiced.std()),
        energy_mean=float(energy.mean()),
        energy_std=float(energy.std()),
    )
