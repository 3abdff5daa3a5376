"""Frame features of a recording: mel, F0 and energy on one time grid.

Mels are computed by `kubevoice.audio.mel`; energy is the norm of the magnitude spectrum
(docs/reference/kantts-format.md, section "Feature run"). F0 is computed by WORLD's DIO and refined by StoneMask
(Morise et al., IEICE 2016), where the reference uses RAPT and SWIPE: all give Hz with zeros where unvoiced.
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

__all__ = [
    "Features",
    "Stats",
    "extract_features",
    "find_loud_blocks",
    "load_audio",
    "measure_stats",
    "resample",
    "trim_silence",
]

Array = NDArray[np.float32]
F0_FLOOR_HZ, F0_CEIL_HZ = 60.0, 600.0


@dataclass(frozen=True, slots=True)
class Features:
    """Features of one clip, before normalisation.

    Attributes
    ----------
    mel
        Log-mel spectrogram in [0, 1], shape ``[T_mel, n_mels]``.
    f0
        F0 in Hz, 0 where unvoiced, shape ``[T_mel]``.
    energy
        Norm of each frame of the magnitude spectrum, shape ``[T_mel]``.
    """

    mel: Array
    f0: Array
    energy: Array


@dataclass(frozen=True, slots=True)
class Stats:
    """Means and standard deviations that features are normalised by.

    Attributes
    ----------
    mel_mean, mel_std
        Of each mel bin [n_mels].
    pitch_mean, pitch_std
        Of F0 over voiced frames, in Hz.
    energy_mean, energy_std
        Of energy over all frames.
    """

    mel_mean: Array
    mel_std: Array
    pitch_mean: float
    pitch_std: float
    energy_mean: float
    energy_std: float

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Stats":
        """Read the statistics that a checkpoint stores.

        Parameters
        ----------
        fields
            Lists for the mel, numbers for the rest.

        Returns
        -------
        Stats
            The statistics.
        """
        return cls(
            mel_mean=np.asarray(fields["mel_mean"], np.float32),
            mel_std=np.asarray(fields["mel_std"], np.float32),
            pitch_mean=float(fields["pitch_mean"]),
            pitch_std=float(fields["pitch_std"]),
            energy_mean=float(fields["energy_mean"]),
            energy_std=float(fields["energy_std"]),
        )


def load_audio(source: Path | IO[bytes], sample_rate: int) -> Array:
    """Read a sound file as mono; several channels are averaged.

    Parameters
    ----------
    source
        Path or open file.
    sample_rate
        Rate of the result in Hz; a file with another rate is resampled.

    Returns
    -------
    NDArray
        Samples [T] in -1..1.
    """
    samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    return resample(samples.mean(axis=1), rate, sample_rate)


def resample(samples: Array, rate: int, sample_rate: int) -> Array:
    """Change the sample rate.

    Parameters
    ----------
    samples
        Samples [T].
    rate
        Their rate in Hz.
    sample_rate
        Rate of the result in Hz.

    Returns
    -------
    NDArray
        Samples [T * sample_rate / rate].
    """
    return soxr.resample(samples, rate, sample_rate).astype(np.float32) if rate != sample_rate else samples


def find_loud_blocks(wav: Array, sample_rate: int, threshold_db: float = 40.0) -> NDArray[np.intp]:
    """Find the 20 ms blocks of a waveform that are not silent.

    Parameters
    ----------
    wav
        Samples [T].
    sample_rate
        In Hz.
    threshold_db
        A block that is more than this many dB quieter than the loudest one counts as silent.

    Returns
    -------
    NDArray
        Indices of the blocks, ascending.
    """
    size = sample_rate // 50
    level = np.sqrt((wav[: len(wav) // size * size].reshape(-1, size) ** 2).mean(axis=1))
    return np.flatnonzero(level > level.max(initial=0.0) * 10.0 ** (-threshold_db / 20.0))


def trim_silence(wav: Array, sample_rate: int, *, threshold_db: float = 40.0, margin: float = 0.03) -> Array:
    """Cut silence at both ends.

    Parameters
    ----------
    wav
        Samples [T].
    sample_rate
        In Hz.
    threshold_db
        A 20 ms block that is more than this many dB quieter than the loudest one counts as silent.
    margin
        Seconds of silence that stay at either end.

    Returns
    -------
    NDArray
        The remaining samples; all of them if no block is loud.
    """
    loud = find_loud_blocks(wav, sample_rate, threshold_db)
    if len(loud) == 0:
        return wav
    size, pad = sample_rate // 50, int(margin * sample_rate)
    return wav[max(0, loud[0] * size - pad) : (loud[-1] + 1) * size + pad]


def extract_features(wav: Array, config: MelConfig) -> Features:
    """Compute mel, F0 and energy of a waveform.

    Parameters
    ----------
    wav
        Samples [T] at `config.sample_rate`.
    config
        Settings of the mel; F0 and energy have the same frames.

    Returns
    -------
    Features
        Features of T // hop + 1 frames.

    References
    ----------
    Morise, Yokomori and Ozawa, "WORLD" (IEICE Transactions on Information and Systems E99-D, 2016): DIO, StoneMask.
    """
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
    """Compute the statistics of a corpus.

    Parameters
    ----------
    clips
        Features of all clips.

    Returns
    -------
    Stats
        Mean and deviation of mel and energy over all frames, and of F0 over voiced frames.
    """
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
