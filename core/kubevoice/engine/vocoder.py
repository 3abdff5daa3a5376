"""The vocoder: mel frames to samples, block by block (docs/reference/hifigan.md)."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kubevoice.voice import VoiceManifest

__all__ = ["VocoderSession", "VocoderState"]

Array = NDArray[np.float32]
SEED = 20
"""Seed of the source's noise: the same text always gives the same samples."""


class VocoderSession:
    """The vocoder graph of a voice (vocoder.onnx); it has no state and may be shared by threads."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: VoiceManifest) -> None:
        self._session, self.hop = session, manifest.hop
        shapes = {node.name: node.shape for node in session.get_inputs()}
        self._harmonics: int = shapes["noise"][1] if "noise" in shapes else 0
        self.context = None if self._harmonics else manifest.vocoder_context
        """Frames before and after a frame that its samples depend on; None if all are needed at once."""

    def generate(self, mel: Array) -> Array:
        """Generate the samples of frames.

        Parameters
        ----------
        mel
            Mel frames, [T_mel, n_mels].

        Returns
        -------
        Array
            Samples, [T_mel * hop].

        References
        ----------
        docs/reference/hifigan.md.
        """
        feeds: dict[str, Any] = {"mel": mel}
        if self._harmonics:
            draw = np.random.default_rng(SEED)
            phase = draw.uniform(0.0, 2.0 * np.pi, self._harmonics).astype(np.float32)
            phase[0] = 0.0  # the phase of the fundamental is 0, those of the overtones are random
            feeds |= {"noise": draw.standard_normal((len(mel) * self.hop, self._harmonics), np.float32), "phase": phase}
        audio: Array = self._session.run(["audio"], feeds)[0]
        return audio


class VocoderState:
    """The vocoder's state for one utterance: the frames that the next samples depend on.

    Only `push` writes it, in one thread; it is dropped with the utterance.
    """

    def __init__(self, vocoder: VocoderSession) -> None:
        self._vocoder = vocoder
        self._mel: Array | None = None
        """Frames that the next samples depend on; None before the first."""
        self._generated = 0
        """Frames at the beginning of `_mel` whose samples were returned; the next ones depend on them."""

    def push(self, mel: Array, *, last: bool) -> Array:
        """Generate the samples that do not depend on later frames.

        Parameters
        ----------
        mel
            The next frames, [T_mel, n_mels].
        last
            Whether these are the last frames; then all remaining samples are returned.

        Returns
        -------
        Array
            Samples, [T]; none if all of them depend on later frames.
        """
        frames = mel if self._mel is None else np.concatenate([self._mel, mel])
        context, hop = self._vocoder.context, self._vocoder.hop
        end = len(frames) if last else 0 if context is None else len(frames) - context[1]
        if end <= self._generated:
            self._mel = frames
            return np.zeros(0, np.float32)
        audio = self._vocoder.generate(frames)[self._generated * hop : end * hop]
        start = max(0, end - context[0]) if context else 0
        self._mel, self._generated = frames[start:], end - start
        return audio
