"""The autoregressive decoder: a sentence's memory to mel frames, step by step, for several sentences together.

A step sees a window of its own past and one of the text ahead. Both are rings: what enters takes the place of what
leaves, in arrays that the graph reads where they lie, and what is hidden of them is told by a mask. So sentences at
different steps and with windows of different lengths can share a step (continuous batching: Orca, Yu et al. 2022), and
each one's frames are the same as alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakSet

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kubevoice.errors import KubeVoiceError

__all__ = ["Batch", "Decoder", "Decoding", "Memory"]

Array = NDArray[np.float32]
Windows = dict[str, Array]
"""By input of the graph, of B utterances: keys and values [B, L * H, P, C], and masks [B, 1, P] of 0 and -infinity."""
OUTPUTS = ["frames", "key", "value"]
HIDDEN = np.float32(-np.inf)
MOST_FRAMES = 96
"""Mel frames of a block at most, unless the first is larger, and what is decoded of an utterance before it is asked."""

STEPS, TOGETHER = 12, 16
"""Steps that are made before others may go first, and of how many utterances at most: some 10 ms of work."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the encoder makes of a sentence for the decoder's S steps."""

    states: Array
    """[S, D]."""
    keys: Array
    values: Array
    """Of the states, [L, S, H * C] each."""
    band: int
    """Steps that one sees of its own past, and of the text ahead."""
    frames: int
    """Mel frames in all; the last step may go past them."""


class Decoder:
    """The decoder graph of a voice; stateless."""

    def __init__(self, session: onnxruntime.InferenceSession, outputs_per_step: int, mels: int) -> None:
        self.session, self.outputs_per_step, self.mels = session, outputs_per_step, mels
        shapes = {node.name: node.shape for node in session.get_inputs()}
        if "past_mask" not in shapes:
            raise KubeVoiceError("decoder.onnx knows no masks: an earlier KubeVoice made it; release the voice again")
        _, self.heads, _, self.width = shapes["past_keys"]
        """Attention heads of all blocks together, and how wide each is."""


class Decoding:
    """One utterance on its way through the decoder."""

    def __init__(self, decoder: Decoder, memory: Memory) -> None:
        self.decoder, self.memory = decoder, memory
        self.steps, self.done, self.taken = len(memory.states), 0, 0
        """Steps in all, those that were made, and those whose frames were asked for."""
        self.mel = np.empty((self.steps, decoder.outputs_per_step, decoder.mels), np.float32)
        self.frame = np.zeros(decoder.mels, np.float32)
        """The last one made."""
        self._ahead = ahead = min(memory.band + 1, self.steps)
        past = max(memory.band, 1)
        self.windows: Windows = {
            "memory_keys": self._by_head(memory.keys[:, :ahead]),
            "memory_values": self._by_head(memory.values[:, :ahead]),
            "memory_mask": np.zeros((1, 1, ahead), np.float32),
            "past_keys": np.zeros((1, decoder.heads, past, decoder.width), np.float32),
            "past_values": np.zeros((1, decoder.heads, past, decoder.width), np.float32),
            "past_mask": np.full((1, 1, 1 + past), HIDDEN),
        }
        self.windows["past_mask"][..., 0] = 0.0  # a step sees itself, and at the beginning nothing else of its own

    def _by_head(self, kept: Array) -> Array:
        """Copy [L, T, H * C] into [1, L * H, T, C]."""
        blocks, places, _ = kept.shape
        parted = kept.reshape(blocks, places, -1, self.decoder.width)
        return parted.transpose(0, 2, 1, 3).reshape(1, self.decoder.heads, places, self.decoder.width).copy()

    def blocks(self, batch: "Batch", size: int) -> Iterator[tuple[Array, bool]]:
        """Yield the mel frames [T, M] before the postnet in blocks, and which block is the last.

        The first has `size` frames or a few more, each later one twice as many as the one before, up to MOST_FRAMES.
        After every few steps that had to be made for one comes an empty one: others of the batch may go first.
        """
        each, begin = self.decoder.outputs_per_step, 0
        while self.taken < self.steps:
            self.taken = min(self.steps, self.taken + -(-size // each))
            while self.done < self.taken:
                batch.advance(self)
                yield self.mel[:0, 0], False
            # The last step may go past the end; the postnet must not see those frames, nor did it in training.
            end = min(self.taken * each, self.memory.frames)
            yield self.mel.reshape(-1, self.decoder.mels)[begin:end], self.taken == self.steps
            begin, size = end, min(2 * size, MOST_FRAMES)

    def move(self, windows: Windows, row: int, frames: Array, key: Array, value: Array) -> None:
        """Take what a step made of this utterance, whose windows are a row of these; let them move on by one."""
        at, band = self.done, self.memory.band
        self.mel[at], self.frame = frames, frames[-1]
        if band:
            windows["past_keys"][row, :, at % band] = key
            windows["past_values"][row, :, at % band] = value
            windows["past_mask"][row, 0, 1 + at % band] = 0.0
        entering, place = at + band + 1, at % self._ahead
        if entering < self.steps:
            shape = (self.decoder.heads, self.decoder.width)
            windows["memory_keys"][row, :, place] = self.memory.keys[:, entering].reshape(shape)
            windows["memory_values"][row, :, place] = self.memory.values[:, entering].reshape(shape)
        elif at + 1 < self.steps:
            windows["memory_mask"][row, 0, place] = HIDDEN
        self.done += 1


class Batch:
    """Utterances that one thread speaks by turns: the steps one needs are made for the others, too.

    The weights are then read once for all, and a step of eight takes about twice as long as one alone.
    """

    def __init__(self) -> None:
        self._members: WeakSet[Decoding] = WeakSet()

    def advance(self, leader: Decoding) -> None:
        """Make some of the steps that were asked of the leader, and as many of each other's as are not far ahead.

        Whoever has just begun is not kept waiting for others.
        """
        steps = min(STEPS, leader.taken - leader.done)
        goals = {leader: leader.done + steps}
        if leader.done:
            most = MOST_FRAMES // leader.decoder.outputs_per_step
            others = [one for one in self._members if one.decoder is leader.decoder and one is not leader]
            nearest = sorted(others, key=lambda one: one.done - one.taken)[: TOGETHER - 1]
            goals |= {one: min(one.done + steps, one.taken + most, one.steps) for one in nearest}
        self._members.add(leader)
        while group := [one for one, goal in goals.items() if one.done < goal]:
            _advance(group, min(goals[one] - one.done for one in group))


def _advance(group: Sequence[Decoding], steps: int) -> None:
    """Make so many steps of a voice's utterances together."""
    alone = len(group) == 1
    windows = group[0].windows if alone else _joined([one.windows for one in group])
    frame, memory = np.stack([one.frame for one in group]), np.stack([one.memory.states[one.done] for one in group])
    feeds = windows | {"frame": frame, "memory": memory}
    try:
        for step in range(steps):
            made = group[0].decoder.session.run(OUTPUTS, feeds)
            frame[:] = made[0][:, -1]
            for row, (one, frames, key, value) in enumerate(zip(group, *made, strict=True)):
                one.move(windows, row, frames, key[:, 0], value[:, 0])
                if step + 1 < steps:
                    memory[row] = one.memory.states[one.done]
    finally:  # should a step fail, its leader is told; the others go on from the one before
        if not alone:
            for row, one in enumerate(group):
                for name, own in one.windows.items():
                    own[0] = windows[name][row, :, : own.shape[2]]


def _joined(each: Sequence[Windows]) -> Windows:
    """Put the windows of several utterances together, those that are shorter filled up with places that are hidden."""
    joined: Windows = {}
    for name in each[0]:
        own = [windows[name][0] for windows in each]
        most = max(one.shape[1] for one in own)
        joined[name] = np.full(
            (len(own), len(own[0]), most, *own[0].shape[2:]), HIDDEN if "mask" in name else 0.0, np.float32
        )
        for row, one in zip(joined[name], own, strict=True):
            row[:, : one.shape[1]] = one
    return joined
