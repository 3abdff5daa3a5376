"""The postnet: mel frames as the decoder makes them to refined ones, block by block."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kubevoice.errors import KubeVoiceError

__all__ = ["PostNet", "Refinement"]

Array = NDArray[np.float32]
STREAMED = ("mel", "valid", "skip")
"""Inputs of the graph that are no state."""


class PostNet:
    """The postnet graph of a voice; stateless."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session
        self.states: dict[str, tuple[int, ...]] = {
            node.name: tuple(node.shape) for node in session.get_inputs() if node.name not in STREAMED
        }
        if "late" not in self.states:
            raise KubeVoiceError("postnet.onnx keeps no state: an earlier KubeVoice made it; release the voice again")
        self.outputs = ["mel_out", *(f"next_{name}" for name in self.states)]
        self.delay = self.states["late"][0]
        """Frames that must follow one before it can be refined."""


class Refinement:
    """One utterance on its way through the postnet."""

    def __init__(self, postnet: PostNet) -> None:
        self._postnet = postnet
        self._states: Mapping[str, Array] = {n: np.zeros(shape, np.float32) for n, shape in postnet.states.items()}
        self._valid = np.zeros(postnet.delay, np.float32)
        self._skip = postnet.delay
        self._held: list[Array] = []

    def push(self, mel: Array, *, last: bool) -> Array:
        """Take the next frames [T, M]; return those that are refined now, all that are left if these are the last."""
        delay = self._postnet.delay
        self._held.append(mel)
        held = sum(map(len, self._held))
        if not last and held <= self._skip:
            return mel[:0]
        after = delay if last else 0
        block = np.concatenate([*self._held, np.zeros((after, mel.shape[1]), np.float32)])
        valid = np.concatenate([self._valid, np.ones(held, np.float32), np.zeros(after, np.float32)])
        feeds: dict[str, Any] = {"mel": block, "valid": valid, "skip": np.array([self._skip])} | dict(self._states)
        refined, *states = self._postnet.session.run(self._postnet.outputs, feeds)
        self._states = dict(zip(self._postnet.states, states, strict=True))
        self._valid, self._skip, self._held = valid[len(valid) - delay :], 0, []
        found: Array = refined
        return found
