"""Encoders: one channel of float32 samples to the bytes of an audio file, 16 bits deep.

Only soundfile belongs to the core; mp3, opus and aac need lameenc and PyAV from the `serving` extra, so
those are imported when first used.
"""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kubevoice.errors import InputError

__all__ = ["CONTENT_TYPES", "FORMATS", "encode_audio", "to_pcm16"]

CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "wav": "audio/wav",
        "flac": "audio/flac",
        "mp3": "audio/mpeg",
        "opus": "audio/ogg; codecs=opus",
        "aac": "audio/aac",
        "pcm": "audio/pcm",
    }
)
"""Media type of each format."""

FORMATS = tuple(CONTENT_TYPES)

Encoder = Callable[[NDArray[np.int16], int], bytes]

MP3_KBPS = 96
OPUS_BPS = 48_000
AAC_BPS = 96_000
OPUS_RATE = 48_000
"""Opus always decodes at 48 kHz; encoding at it spares players a resampler of unknown quality."""


def to_pcm16(samples: ArrayLike) -> NDArray[np.int16]:
    """Round float samples to 16 bits; what lies outside [-1, 1] is held at full scale, never wrapped."""
    scaled = np.rint(np.asarray(samples, dtype=np.float32) * np.float32(32768.0))
    pcm: NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype("<i2")
    return pcm


def encode_audio(samples: ArrayLike, sample_rate: int, audio_format: str) -> bytes:
    """Encode mono samples [T] in [-1, 1].

    `pcm` is headerless little-endian int16, `opus` is an Ogg file, `aac` an ADTS stream. Raises InputError
    for an unknown format.
    """
    encoder = _ENCODERS.get(audio_format)
    if encoder is None:
        raise InputError(f"unknown audio format {audio_format!r}; choose one of {', '.join(FORMATS)}")
    return encoder(to_pcm16(samples), sample_rate)


def _pcm(pcm: NDArray[np.int16], sample_rate: int) -> bytes:  # noqa: ARG001  headerless: the rate is told elsewhere
    return pcm.tobytes()


def _soundfile(container: str) -> Encoder:
    def encode(pcm: NDArray[np.int16], sample_rate: int) -> bytes:
        import soundfile  # loads a shared library

        file = io.BytesIO()
        soundfile.write(file, pcm, sample_rate, format=container, subtype="PCM_16")
        return file.getvalue()

    return encode


def _mp3(pcm: NDArray[np.int16], sample_rate: int) -> bytes:
    import lameenc  # serving extra

    encoder = lameenc.Encoder()
    encoder.set_channels(1)
    encoder.set_in_sample_rate(sample_rate)
    encoder.set_bit_rate(MP3_KBPS)
    encoder.set_quality(5)
    return bytes(encoder.encode(pcm.tobytes())) + bytes(encoder.flush())


def _av(container: str, codec: str, bit_rate: int, *, rate: int | None = None, **options: str) -> Encoder:
    def encode(pcm: NDArray[np.int16], sample_rate: int) -> bytes:
        import av  # serving extra

        file = io.BytesIO()
        with av.open(file, mode="w", format=container) as output:
            stream: Any = output.add_stream(
                codec, rate=rate or sample_rate, options=options, layout="mono", bit_rate=bit_rate
            )
            # By the second: one huge frame would be copied over and over.
            for start in range(0, len(pcm), sample_rate):
                block = pcm[np.newaxis, start : start + sample_rate]
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate = sample_rate
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return file.getvalue()

    return encode


_ENCODERS: Mapping[str, Encoder] = {
    "wav": _soundfile("WAV"),
    "flac": _soundfile("FLAC"),
    "mp3": _mp3,
    "opus": _av("ogg", "libopus", OPUS_BPS, rate=OPUS_RATE),
    "aac": _av("adts", "aac", AAC_BPS, aac_coder="fast"),
    "pcm": _pcm,
}
