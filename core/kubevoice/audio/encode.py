"""Encoders: one channel of float32 samples to the bytes of an audio file, 16 bits deep.

Only soundfile belongs to the core; mp3, opus and aac need lameenc and PyAV from the `serving` extra, so
those are imported when first used.
"""

import io
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kubevoice.errors import InputError

__all__ = ["CONTENT_TYPES", "FORMATS", "Encoder", "encode_audio", "open_encoder", "to_pcm16"]

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

MP3_KBPS = 96
OPUS_BPS = 48_000
AAC_BPS = 96_000
OPUS_RATE = 48_000
"""Opus always decodes at 48 kHz; encoding at it spares players a resampler of unknown quality."""
UNKNOWN_DATA_BYTES = 0x7FFF_F000
"""Size of the data of a WAV whose length is not known."""
PAGE_MICROSECONDS = "100000"
"""Length of an Ogg page, which is sent when it is full. FFmpeg's default of a second would delay the first audio."""


def to_pcm16(samples: ArrayLike) -> NDArray[np.int16]:
    """Round samples to 16 bits. Samples outside [-1, 1] are clipped.

    Parameters
    ----------
    samples
        In [-1, 1], any shape.

    Returns
    -------
    NDArray of int16
        The same shape.
    """
    scaled = np.rint(np.asarray(samples, dtype=np.float32) * np.float32(32768.0))
    pcm: NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype("<i2")
    return pcm


class Encoder(Protocol):
    """Makes a file of samples that come bit by bit."""

    def push(self, samples: ArrayLike) -> bytes:
        """Encode the next samples.

        Parameters
        ----------
        samples
            [T], in [-1, 1].

        Returns
        -------
        bytes
            What of the file is ready; may be empty.
        """

    def finish(self) -> bytes:
        """End the file.

        Returns
        -------
        bytes
            The rest of it.
        """


def open_encoder(sample_rate: int, audio_format: str) -> Encoder:
    """Begin a file of one channel that is sent while it is made.

    `pcm` is headerless little-endian int16, `opus` is an Ogg file, `aac` an ADTS stream. The header of a `wav` has
    UNKNOWN_DATA_BYTES as the size of its data; that of a `flac` has 0 samples, which means that the number is unknown.

    Parameters
    ----------
    sample_rate
        In Hz.
    audio_format
        wav, flac, mp3, opus, aac or pcm.

    Returns
    -------
    Encoder
        Takes the samples.

    Raises
    ------
    InputError
        If the format is unknown.
    """
    if audio_format not in _ENCODERS:
        raise InputError(f"unknown audio format {audio_format!r}; choose one of {', '.join(FORMATS)}")
    return _ENCODERS[audio_format](sample_rate)


def encode_audio(samples: ArrayLike, sample_rate: int, audio_format: str) -> bytes:
    """Encode mono samples as a complete file. The headers of `wav` and `flac` have its length.

    Parameters
    ----------
    samples
        [T], in [-1, 1].
    sample_rate
        In Hz.
    audio_format
        As in `open_encoder`.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    InputError
        If the format is unknown.
    """
    if audio_format in ("wav", "flac"):
        import soundfile  # loads a shared library

        file = io.BytesIO()
        soundfile.write(file, to_pcm16(samples), sample_rate, format=audio_format.upper(), subtype="PCM_16")
        return file.getvalue()
    encoder = open_encoder(sample_rate, audio_format)
    return encoder.push(samples) + encoder.finish()


class _Pcm:
    """Samples as they are, after a head if there is one."""

    def __init__(self, head: bytes = b"") -> None:
        self._head = head

    def push(self, samples: ArrayLike) -> bytes:
        head, self._head = self._head, b""
        return head + to_pcm16(samples).tobytes()

    def finish(self) -> bytes:
        return self._head


def _open_streamed_wav(sample_rate: int) -> Encoder:
    """Begin a WAV whose length is not known yet.

    Its header has the sizes that SoX writes for an unknown length. Players read to the end of the stream. The largest
    number, 0xffffffff, is -1 for small players with signed integers, and 0 is a file without audio for others.
    """
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", len(b"WAVE") + len(shape) + 8 + UNKNOWN_DATA_BYTES, b"WAVE")
    return _Pcm(riff + shape + struct.pack("<4sI", b"data", UNKNOWN_DATA_BYTES))


class _Mp3:
    def __init__(self, sample_rate: int) -> None:
        import lameenc  # serving extra

        self._encoder = lameenc.Encoder()
        self._encoder.set_channels(1)
        self._encoder.set_in_sample_rate(sample_rate)
        self._encoder.set_bit_rate(MP3_KBPS)
        self._encoder.set_quality(5)

    def push(self, samples: ArrayLike) -> bytes:
        return bytes(self._encoder.encode(to_pcm16(samples).tobytes()))

    def finish(self) -> bytes:
        return bytes(self._encoder.flush())


class _Sink:
    """A write-only file for FFmpeg."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        """What was written since the last `drain`."""

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _Av:
    """FFmpeg's encoders and containers."""

    def __init__(self, sample_rate: int, container: str, codec: str, **stream: Any) -> None:
        import av  # serving extra

        self._sample_rate, self._sink = sample_rate, _Sink()
        pages = {"page_duration": PAGE_MICROSECONDS} if container == "ogg" else {}
        self._output = av.open(self._sink, mode="w", format=container, options=pages)
        settings: dict[str, Any] = {"rate": sample_rate, "layout": "mono"} | stream
        add_stream: Any = self._output.add_stream  # whose types know the codecs by name
        self._stream = add_stream(codec, **settings)

    def push(self, samples: ArrayLike) -> bytes:
        import av

        pcm = to_pcm16(samples)
        # By the second: one huge frame would be copied over and over.
        for start in range(0, len(pcm), self._sample_rate):
            block = pcm[np.newaxis, start : start + self._sample_rate]
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = self._sample_rate
            self._output.mux(self._stream.encode(frame))
        return self._sink.drain()

    def finish(self) -> bytes:
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._sink.drain()


_ENCODERS: Mapping[str, Callable[[int], Encoder]] = {
    "wav": _open_streamed_wav,
    "flac": lambda rate: _Av(rate, "flac", "flac"),
    "mp3": _Mp3,
    "opus": lambda rate: _Av(rate, "ogg", "libopus", rate=OPUS_RATE, bit_rate=OPUS_BPS),
    "aac": lambda rate: _Av(rate, "adts", "aac", bit_rate=AAC_BPS, options={"aac_coder": "fast"}),
    "pcm": lambda _rate: _Pcm(),
}
