"""Log-mel spectrograms exactly as the reference computes them before normalising by statistics.

The pipeline is KAN-TTS's (docs/reference/features.md): centred magnitude STFT with a Hann window, Slaney mel filters,
20 log10, minus the reference level, mapped from [min_level_db, 0] to [0, 1], or to another range if so configured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["MelConfig", "log_mel", "magnitude", "mel_filters", "range_normalize"]

Array = NDArray[np.float32]
REFERENCE_PREEMPHASIS = 0.98
"""The coefficient wherever KAN-TTS's configuration turns preemphasis on."""


@dataclass(frozen=True, slots=True)
class MelConfig:
    """Analysis parameters; lengths are in samples, frequencies in Hz, levels in dB."""

    sample_rate: int = 24000
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 240
    n_mels: int = 80
    fmin: float = 50.0
    fmax: float = 8000.0
    min_level_db: float = -100.0
    ref_level_db: float = 20.0
    preemphasis: float = 0.0
    """Part of the previous sample taken from each sample before analysis."""
    max_norm: float = 1.0
    symmetric: bool = False
    """Whether levels are mapped to [-max_norm, max_norm] instead of [0, max_norm]."""
    filter_rate: int = 0
    """Sample rate that the filters are made for, if another: a network that learned at it knows them by their bins."""

    @property
    def filters(self) -> Array:
        """The mel filters, [n_mels, n_fft // 2 + 1]."""
        return mel_filters(self.filter_rate or self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax)

    @classmethod
    def from_reference(cls, audio: Mapping[str, Any]) -> Self:
        """Read the `audio_config` of a KAN-TTS configuration.

        Parameters
        ----------
        audio
            The section of the YAML file.

        Returns
        -------
        MelConfig
            The same settings.

        Raises
        ------
        KeyError, TypeError, ValueError
            If a setting is missing or has a wrong type or value.
        """
        rate = int(audio["sampling_rate"])
        low, high = audio.get("fmin"), audio.get("fmax")
        return cls(
            sample_rate=rate,
            n_fft=int(audio["n_fft"]),
            win_length=int(audio["win_length"]),
            hop_length=int(audio["hop_length"]),
            n_mels=int(audio["n_mels"]),
            fmin=0.0 if low is None else float(low),
            fmax=rate / 2 if high is None else float(high),
            min_level_db=float(audio.get("min_level_db", -100.0)),
            ref_level_db=float(audio.get("ref_level_db", 20.0)),
            preemphasis=REFERENCE_PREEMPHASIS if audio.get("preemphasize") else 0.0,
            max_norm=float(audio.get("max_norm", 1.0)),
            symmetric=bool(audio.get("symmetric", False)),
        )


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear below 1 kHz, logarithmic above (Slaney, Auditory Toolbox, 1998)."""
    linear = hz * 3.0 / 200.0
    log_step = np.log(6.4) / 27.0
    with np.errstate(divide="ignore"):
        return np.where(hz >= 1000.0, 15.0 + np.log(hz / 1000.0) / log_step, linear)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    log_step = np.log(6.4) / 27.0
    return np.where(mel >= 15.0, 1000.0 * np.exp(log_step * (mel - 15.0)), mel * 200.0 / 3.0)


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Array:
    """Compute area-normalised triangular filters.

    Parameters
    ----------
    sample_rate
        In Hz.
    n_fft
        Samples of a frame's Fourier transform.
    n_mels
        Number of filters.
    fmin, fmax
        Lowest and highest frequency in Hz.

    Returns
    -------
    NDArray
        [n_mels, n_fft // 2 + 1].
    """
    ends = _hz_to_mel(np.array([fmin, fmax]))
    edges = _mel_to_hz(np.linspace(ends[0], ends[1], n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    width = np.diff(edges)
    ramps = edges[:, None] - bins[None, :]
    rising = -ramps[:-2] / width[:-1, None]
    falling = ramps[2:] / width[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return filters.astype(np.float32)


@lru_cache(maxsize=8)
def _window(win_length: int, n_fft: int) -> Array:
    """Periodic Hann window centred in the FFT frame, shape [n_fft]."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(win_length) / win_length)
    left = (n_fft - win_length) // 2
    return np.pad(hann, (left, n_fft - win_length - left)).astype(np.float32)


def magnitude(wav: Array, config: MelConfig) -> Array:
    """Compute the magnitude of the short-time Fourier transform.

    Parameters
    ----------
    wav
        [T], samples.
    config
        Window, hop and FFT sizes.

    Returns
    -------
    NDArray
        [T // hop + 1, n_fft // 2 + 1].
    """
    signal = wav.astype(np.float32)
    if config.preemphasis:
        signal[1:] -= np.float32(config.preemphasis) * wav[:-1].astype(np.float32)
    padded = np.pad(signal, config.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop_length]
    return np.abs(np.fft.rfft(frames * _window(config.win_length, config.n_fft), axis=-1)).astype(np.float32)


def range_normalize(amplitude: Array, config: MelConfig) -> Array:
    """Convert amplitudes to decibels and map [min_level_db, 0] to the configuration's range, clipped.

    Parameters
    ----------
    amplitude
        Any shape, linear.
    config
        The range and levels.

    Returns
    -------
    NDArray
        The same shape.
    """
    decibel = 20.0 * np.log10(np.maximum(1e-5, amplitude)) - config.ref_level_db
    share = np.clip((decibel - config.min_level_db) / -config.min_level_db, 0.0, 1.0)
    ranged = 2.0 * share - 1.0 if config.symmetric else share
    return (config.max_norm * ranged).astype(np.float32)


def log_mel(wav: Array, config: MelConfig) -> Array:
    """Compute the range-normalised log-mel spectrogram.

    Parameters
    ----------
    wav
        [T], samples in [-1, 1].
    config
        Its settings.

    Returns
    -------
    NDArray
        [T // hop + 1, n_mels].
    """
    return range_normalize(magnitude(wav, config) @ config.filters.T, config)
