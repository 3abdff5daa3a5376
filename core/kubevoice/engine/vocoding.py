"""The last stage: mel frames to samples, whole or piece by piece."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kubevoice.voice import VoiceManifest

__all__ = ["Vocoder"]

Array = NDArray[np.float32]
SEED = 20
"""The source's noise is the same for every sentence, so that the same words always make the same samples."""


class Vocoder:
    """The vocoder graph of a voice; stateless."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: VoiceManifest) -> None:
        self._session, self._manifest = session, manifest
        shapes = {node.name: node.shape for node in session.get_inputs()}
        self._harmonics: int = shapes["noise"][1] if "noise" in shapes else 0

    def whole(self, mel: Array) -> Array:
        """Samples [T * hop] of all frames [T, M]."""
        feeds: dict[str, Any] = {"mel": mel}
        if self._harmonics:
            draw = np.random.default_rng(SEED)
            phase = draw.uniform(0.0, 2.0 * np.pi, self._harmonics).astype(np.float32)
            phase[0] = 0.0  # the fundamental starts at zero, its overtones anywhere
            samples = len(mel) * self._manifest.hop
            feeds |= {"noise": draw.standard_normal((samples, self._harmonics), np.float32), "phase": phase}
        audio: Array = self._session.run(["audio"], feeds)[0]
        return audio

    def pieces(self, mel: Array, frames: int) -> Iterator[Array]:
        """Yield what `whole` returns, `frames` frames at a time.

        Each piece is made with as many frames around it as its samples depend on. A voice that does not say how
        many, or whose harmonic source counts from the start, comes in one piece.
        """
        context = self._manifest.vocoder_context
        if context is None or self._harmonics:
            yield self.whole(mel)
            return
        hop, (left, right) = self._manifest.hop, context
        for begin in range(0, len(mel), frames):
            end, start = min(begin + frames, len(mel)), max(0, begin - left)
            audio = self.whole(mel[start : end + right])
            yield audio[(begin - start) * hop : (end - start) * hop]
