"""The last stage: mel frames to samples, block by block."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kubevoice.voice import VoiceManifest

__all__ = ["Vocoder", "Vocoding"]

Array = NDArray[np.float32]
SEED = 20
"""The source's noise is the same for every sentence, so that the same words always make the same samples."""


class Vocoder:
    """The vocoder graph of a voice; stateless."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: VoiceManifest) -> None:
        self._session, self.hop = session, manifest.hop
        shapes = {node.name: node.shape for node in session.get_inputs()}
        self._harmonics: int = shapes["noise"][1] if "noise" in shapes else 0
        self.context = None if self._harmonics else manifest.vocoder_context
        """Frames before and after a frame that its samples depend on; None if all are needed at once."""

    def samples(self, mel: Array) -> Array:
        """Make the samples [T * hop] of frames [T, M]."""
        feeds: dict[str, Any] = {"mel": mel}
        if self._harmonics:
            draw = np.random.default_rng(SEED)
            phase = draw.uniform(0.0, 2.0 * np.pi, self._harmonics).astype(np.float32)
            phase[0] = 0.0  # the fundamental starts at zero, its overtones anywhere
            feeds |= {"noise": draw.standard_normal((len(mel) * self.hop, self._harmonics), np.float32), "phase": phase}
        audio: Array = self._session.run(["audio"], feeds)[0]
        return audio


class Vocoding:
    """One utterance on its way through the vocoder: each block is made with as many frames around it as matter."""

    def __init__(self, vocoder: Vocoder) -> None:
        self._vocoder = vocoder
        self._mel: Array | None = None
        self._spoken = 0
        """Frames at the beginning of `_mel` whose samples have been made: the next ones depend on them."""

    def push(self, mel: Array, *, last: bool) -> Array:
        """Take the next frames [T, M]; return the samples that can be made now, all that are left if they are last."""
        known = mel if self._mel is None else np.concatenate([self._mel, mel])
        context, hop = self._vocoder.context, self._vocoder.hop
        end = len(known) if last else 0 if context is None else len(known) - context[1]
        if end <= self._spoken:
            self._mel = known
            return np.zeros(0, np.float32)
        audio = self._vocoder.samples(known)[self._spoken * hop : end * hop]
        start = max(0, end - context[0]) if context else 0
        self._mel, self._spoken = known[start:], end - start
        return audio
