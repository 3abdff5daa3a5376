"""The autoregressive decoder: encoder states to mel frames, step by step, with continuous batching.

A step attends to a window of its own past and to one of the encoder states ahead (docs/reference/sambert.md). Keys and
values of both windows are in a cache of fixed size, used as a ring buffer: a new entry replaces the oldest one, and a
mask excludes unused entries. So sentences at different steps and with windows of different sizes can share a step, and
each one's frames are the same as when it is decoded alone.

References
----------
Yu et al., "Orca: A Distributed Serving System for Transformer-Based Generative Models", OSDI 2022 (iteration-level
scheduling).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakSet

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kubevoice.errors import KubeVoiceError

__all__ = ["DecoderScheduler", "DecoderSession", "DecoderState", "EncoderMemory"]

Array = NDArray[np.float32]
KvCache = dict[str, Array]
"""Inputs of the graph for B utterances: keys and values [B, L * H, P, C]; masks [B, 1, P], 0 or -infinity."""
OUTPUTS = ["frames", "key", "value"]
MASKED = np.float32(-np.inf)
MAX_BLOCK_FRAMES = 96
"""Most mel frames of a block after the first, and most that are decoded of an utterance ahead of its consumer."""

STEPS_PER_TURN, MAX_BATCH_SIZE = 12, 16
"""Steps that are decoded before the scheduler yields, and of how many utterances at most: about 10 ms of work."""


@dataclass(frozen=True, slots=True)
class EncoderMemory:
    """The encoder's output that the decoder attends to.

    Attributes
    ----------
    states
        One state for each of the S decoder steps, [S, D].
    keys, values
        Keys and values of the states for the L blocks, [L, S, H * C] each.
    band
        Steps of its own past, and of the states ahead, that a step attends to.
    total_frames
        Mel frames of the sentence; the last step may produce a few more, which are dropped.
    """

    states: Array
    keys: Array
    values: Array
    band: int
    total_frames: int


class DecoderSession:
    """The decoder graph of a voice (decoder.onnx); it has no state and may be shared by threads."""

    def __init__(self, session: onnxruntime.InferenceSession, outputs_per_step: int, mels: int) -> None:
        self.session, self.outputs_per_step, self.mels = session, outputs_per_step, mels
        shapes = {node.name: node.shape for node in session.get_inputs()}
        if "past_mask" not in shapes:
            raise KubeVoiceError("decoder.onnx has no masks: an older KubeVoice exported it; release the voice again")
        _, self.heads, _, self.width = shapes["past_keys"]
        """Attention heads of all blocks together (L * H), and the width C of each."""


class DecoderState:
    """The decoding state of one utterance: its KV cache and the frames decoded so far.

    One thread uses it. `DecoderScheduler` writes `mel`, `last_frame`, `kv_cache` and `steps_decoded`; `iter_blocks`
    writes `steps_consumed`. Nothing is cleared: the state is dropped with the utterance.

    Attributes
    ----------
    steps, steps_decoded, steps_consumed
        All steps; those decoded; those whose frames were requested.
    mel
        Frames of each step, [steps, outputs_per_step, n_mels].
    last_frame
        The last decoded frame, [n_mels].
    kv_cache
        Keys, values and masks of the steps that are attended to.
    """

    def __init__(self, decoder: DecoderSession, memory: EncoderMemory) -> None:
        self.decoder, self.memory = decoder, memory
        self.steps, self.steps_decoded, self.steps_consumed = len(memory.states), 0, 0
        """All steps, the steps decoded so far, and the steps whose frames were requested so far."""
        self.mel = np.empty((self.steps, decoder.outputs_per_step, decoder.mels), np.float32)
        self.last_frame = np.zeros(decoder.mels, np.float32)
        """The last decoded mel frame [n_mels], the input of the next step; zeros at the beginning."""
        self._ahead = ahead = min(memory.band + 1, self.steps)
        past = max(memory.band, 1)
        self.kv_cache: KvCache = {
            "memory_keys": self._split_heads(memory.keys[:, :ahead]),
            "memory_values": self._split_heads(memory.values[:, :ahead]),
            "memory_mask": np.zeros((1, 1, ahead), np.float32),
            "past_keys": np.zeros((1, decoder.heads, past, decoder.width), np.float32),
            "past_values": np.zeros((1, decoder.heads, past, decoder.width), np.float32),
            "past_mask": np.full((1, 1, 1 + past), MASKED),
        }
        self.kv_cache["past_mask"][..., 0] = 0.0  # a step attends to itself; at the beginning it has no past

    def _split_heads(self, states: Array) -> Array:
        """Copy [L, T, H * C] into [1, L * H, T, C]."""
        blocks, length, _ = states.shape
        per_head = states.reshape(blocks, length, -1, self.decoder.width)
        return per_head.transpose(0, 2, 1, 3).reshape(1, self.decoder.heads, length, self.decoder.width).copy()

    def iter_blocks(self, scheduler: "DecoderScheduler", size: int) -> Iterator[tuple[Array, bool]]:
        """Yield the mel frames before the postnet in blocks.

        Parameters
        ----------
        scheduler
            Decodes the steps, together with those of its other utterances.
        size
            Frames of the first block, rounded up to whole steps; each later block is twice as long as the one before,
            up to MAX_BLOCK_FRAMES.

        Yields
        ------
        tuple of Array and bool
            A block [T_mel, n_mels] and whether it is the last one. An empty block is yielded after every few steps, so
            that the caller can serve another utterance first.
        """
        each, begin = self.decoder.outputs_per_step, 0
        while self.steps_consumed < self.steps:
            self.steps_consumed = min(self.steps, self.steps_consumed + -(-size // each))
            while self.steps_decoded < self.steps_consumed:
                scheduler.step(self)
                yield self.mel[:0, 0], False
            # The last step may go past the end; the postnet must not see those frames, nor did it in training.
            end = min(self.steps_consumed * each, self.memory.total_frames)
            yield self.mel.reshape(-1, self.decoder.mels)[begin:end], self.steps_consumed == self.steps
            begin, size = end, min(2 * size, MAX_BLOCK_FRAMES)

    def append_step(self, kv_cache: KvCache, row: int, frames: Array, key: Array, value: Array) -> None:
        """Store the result of a decoded step.

        Parameters
        ----------
        kv_cache
            The cache that the step used: this utterance's own, or that of a batch.
        row
            The row of this utterance in it.
        frames
            Frames of the step, [outputs_per_step, n_mels].
        key, value
            The key and the value of the step, [L * H, C] each.
        """
        at, band = self.steps_decoded, self.memory.band
        self.mel[at], self.last_frame = frames, frames[-1]
        if band:
            kv_cache["past_keys"][row, :, at % band] = key
            kv_cache["past_values"][row, :, at % band] = value
            kv_cache["past_mask"][row, 0, 1 + at % band] = 0.0
        entering, place = at + band + 1, at % self._ahead
        if entering < self.steps:
            shape = (self.decoder.heads, self.decoder.width)
            kv_cache["memory_keys"][row, :, place] = self.memory.keys[:, entering].reshape(shape)
            kv_cache["memory_values"][row, :, place] = self.memory.values[:, entering].reshape(shape)
        elif at + 1 < self.steps:
            kv_cache["memory_mask"][row, 0, place] = MASKED
        self.steps_decoded += 1


class DecoderScheduler:
    """Continuous batching of the utterances that one thread synthesizes.

    The steps that one utterance needs are decoded for the others in the same run of the graph. The weights are then
    read once for all, so a step of eight utterances takes about twice as long as a step of one. An utterance joins when
    `step` is first called for it and leaves when its state is released.
    """

    def __init__(self) -> None:
        self._states: WeakSet[DecoderState] = WeakSet()

    def step(self, leader: DecoderState) -> None:
        """Decode up to STEPS_PER_TURN requested steps of an utterance, and as many of others that are not far ahead.

        The first steps of an utterance are decoded alone, so that its first chunk does not wait for others.

        Parameters
        ----------
        leader
            The utterance whose steps were requested.

        References
        ----------
        Yu et al., "Orca", OSDI 2022, section 4.1 (iteration-level scheduling).
        """
        steps = min(STEPS_PER_TURN, leader.steps_consumed - leader.steps_decoded)
        goals = {leader: leader.steps_decoded + steps}
        if leader.steps_decoded:
            most = MAX_BLOCK_FRAMES // leader.decoder.outputs_per_step
            waiting = [one for one in self._states if one.decoder is leader.decoder and one is not leader]
            nearest = sorted(waiting, key=lambda one: one.steps_decoded - one.steps_consumed)[: MAX_BATCH_SIZE - 1]
            goals |= {one: min(one.steps_decoded + steps, one.steps_consumed + most, one.steps) for one in nearest}
        self._states.add(leader)
        while group := [one for one, goal in goals.items() if one.steps_decoded < goal]:
            _advance(group, min(goals[one] - one.steps_decoded for one in group))


def _advance(group: Sequence[DecoderState], steps: int) -> None:
    """Decode `steps` steps of a group of utterances of one voice together."""
    alone = len(group) == 1
    kv_cache = group[0].kv_cache if alone else _pad_and_stack([one.kv_cache for one in group])
    frame = np.stack([one.last_frame for one in group])
    memory = np.stack([one.memory.states[one.steps_decoded] for one in group])
    feeds = kv_cache | {"frame": frame, "memory": memory}
    try:
        for step in range(steps):
            outputs = group[0].decoder.session.run(OUTPUTS, feeds)
            frame[:] = outputs[0][:, -1]
            for row, (one, frames, key, value) in enumerate(zip(group, *outputs, strict=True)):
                one.append_step(kv_cache, row, frames, key[:, 0], value[:, 0])
                if step + 1 < steps:
                    memory[row] = one.memory.states[one.steps_decoded]
    finally:  # if a step fails, the leader gets the error and the others continue from the step before
        if not alone:
            for row, one in enumerate(group):
                for name, own in one.kv_cache.items():
                    own[0] = kv_cache[name][row, :, : own.shape[2]]


def _pad_and_stack(each: Sequence[KvCache]) -> KvCache:
    """Stack the caches of several utterances; shorter ones are padded with masked entries."""
    stacked: KvCache = {}
    for name in each[0]:
        own = [kv_cache[name][0] for kv_cache in each]
        most = max(one.shape[1] for one in own)
        stacked[name] = np.full(
            (len(own), len(own[0]), most, *own[0].shape[2:]), MASKED if "mask" in name else 0.0, np.float32
        )
        for row, one in zip(stacked[name], own, strict=True):
            row[:, : one.shape[1]] = one
    return stacked
