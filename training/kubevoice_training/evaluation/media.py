"""Audio and mel spectrograms as data URIs, which a report holds and its page shows."""

import base64
import io

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

__all__ = ["draw_mel", "encode_mp3"]

STOPS = np.array([[8, 10, 28], [60, 22, 98], [140, 41, 110], [208, 72, 80], [246, 137, 60], [252, 230, 150]])
"""A scale from dark to light of even steps: more light is more sound."""
BAND, QUALITY = 2, 65


def _encode_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def encode_mp3(samples: NDArray[np.float32], sample_rate: int) -> str:
    """Encode audio as an MP3 in a data URI; it is a tenth of the size of a WAV.

    Parameters
    ----------
    samples
        Samples [T]; those beyond -1..1 are clipped.
    sample_rate
        In Hz.

    Returns
    -------
    str
        The data URI.
    """
    target = io.BytesIO()
    soundfile.write(target, np.clip(samples, -1.0, 1.0), sample_rate, format="MP3")
    return _encode_uri("audio/mpeg", target.getvalue())


def draw_mel(mel: NDArray[np.float32]) -> str:
    """Draw a mel spectrogram as a WebP in a data URI; it is a fifth of the size of a PNG.

    All images have the same colour scale.

    Parameters
    ----------
    mel
        Mel [T_mel, n_mels] in [0, 1]; time runs to the right, the lowest bin is at the bottom.

    Returns
    -------
    str
        The data URI.
    """
    levels = (np.clip(mel, 0.0, 1.0) * 255.0).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(levels.T[::-1]).repeat(BAND, axis=0), mode="P")
    places = np.linspace(0, 255, len(STOPS))
    palette = np.stack([np.interp(np.arange(256), places, STOPS[:, c]) for c in range(3)], axis=1)
    image.putpalette(palette.round().astype(np.uint8).tobytes())
    target = io.BytesIO()
    image.convert("RGB").save(target, format="WEBP", quality=QUALITY, method=6)
    return _encode_uri("image/webp", target.getvalue())
