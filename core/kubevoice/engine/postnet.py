"""The postnet: refines the decoder's mel frames, block by block (docs/reference/sambert.md)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kubevoice.errors import KubeVoiceError

__all__ = ["PostNetSession", "PostNetState"]

Array = NDArray[np.float32]
STREAMED = ("mel", "valid", "skip")
"""Inputs of the graph that are not state."""


class PostNetSession:
    """The postnet graph of a voice (postnet.onnx); it has no state and may be shared by threads."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session
        self.states: dict[str, tuple[int, ...]] = {
            node.name: tuple(node.shape) for node in session.get_inputs() if node.name not in STREAMED
        }
        if "late" not in self.states:
            raise KubeVoiceError("postnet.onnx has no state: an older KubeVoice exported it; release the voice again")
        self.outputs = ["mel_out", *(f"next_{name}" for name in self.states)]
        self.delay = self.states["late"][0]
        """Frames that must follow one before it can be refined."""


class PostNetState:
    """The postnet's state for one utterance.

    Only `push` writes it, in one thread; it is dropped with the utterance.
    """

    def __init__(self, postnet: PostNetSession) -> None:
        self._postnet = postnet
        self._states: Mapping[str, Array] = {n: np.zeros(shape, np.float32) for n, shape in postnet.states.items()}
        """The graph's states by name, as the last call returned them."""
        self._valid = np.zeros(postnet.delay, np.float32)
        """1 for each of the last `delay` inputs that is a frame, 0 for padding before the first."""
        self._skip = postnet.delay
        """Results of the next call that belong to no frame; 0 after the first call."""
        self._pending: list[Array] = []
        """Frames that the graph has not been called with; cleared by each call."""

    def push(self, mel: Array, *, last: bool) -> Array:
        """Refine frames as far as the following ones are known.

        Parameters
        ----------
        mel
            The next frames [T_mel, n_mels].
        last
            Whether these are the last frames; then all that remain are returned.

        Returns
        -------
        Array
            Refined frames [T, n_mels], up to `delay` frames behind the input.
        """
        delay = self._postnet.delay
        self._pending.append(mel)
        pending = sum(map(len, self._pending))
        if not last and pending <= self._skip:
            return mel[:0]
        after = delay if last else 0
        block = np.concatenate([*self._pending, np.zeros((after, mel.shape[1]), np.float32)])
        valid = np.concatenate([self._valid, np.ones(pending, np.float32), np.zeros(after, np.float32)])
        feeds: dict[str, Any] = {"mel": block, "valid": valid, "skip": np.array([self._skip])} | dict(self._states)
        refined, *states = self._postnet.session.run(self._postnet.outputs, feeds)
        self._states = dict(zip(self._postnet.states, states, strict=True))
        self._valid, self._skip, self._pending = valid[len(valid) - delay :], 0, []
        frames: Array = refined
        return frames
