"""Durations of recorded symbols for a voice that holds no aligner (KAN-TTS trained it without MAS).

The voice speaks each text itself, so that it knows which of its own frames belong to which symbol; its speech and
the recording are warped together (dynamic time warping, Sakoe and Chiba 1978), and each recorded frame goes to the
symbol of the frame it lies beside. What aligning by the own synthesis is worth: Malfrère and Dutoit, "High-quality
speech synthesis for phonetic speech segmentation" (Eurospeech 1997).
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from kubevoice.errors import InputError
from kubevoice.storage import Storage
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from kubevoice_training.features.dynamic_time_warping import warping_path
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.process_group import World

__all__ = ["timed", "transferred"]

BATCH = 16
Array = NDArray[np.float32]
Durations = NDArray[np.int64]


def _shape(mel: Array) -> NDArray[np.float64]:
    """Take timbre and level from a mel [T, M]: they differ between the voice and a new speaker."""
    return (mel - mel.mean(axis=0)) / np.maximum(mel.std(axis=0, dtype=np.float64), 1e-4)


def transferred(spoken: Array, durations: Durations, recorded: Array) -> Durations:
    """Carry the symbols' `durations` [N] in frames of `spoken` [A, M] over to `recorded` [B, M]; they sum to B."""
    path = warping_path(cdist(_shape(spoken), _shape(recorded)))
    frames = np.arange(len(recorded))
    first, last = (np.searchsorted(path[:, 1], frames, side) for side in ("left", "right"))
    symbols = np.repeat(np.arange(len(durations)), durations)
    return np.bincount(symbols[path[(first + last - 1) // 2, 0]], minlength=len(durations))


@torch.inference_mode()
def _of_batch(model: Sambert, clips: Sequence[TrainingClip]) -> list[Durations]:
    device = next(model.parameters()).device
    rows = [
        [torch.full((len(clip.ling),), row, device=device) for clip, row in zip(clips, ids, strict=True)]
        for ids in ([clip.emotion for clip in clips], [clip.speaker for clip in clips])
    ]
    try:
        found = model.infer_batch([torch.from_numpy(clip.ling).to(device) for clip in clips], *rows)
    except ValueError as error:
        raise InputError(
            f"the base voice holds no aligner and cannot time the recordings either: {error}; name another base"
        ) from error
    spoken = [(x.postnet_mel.float().cpu().numpy(), x.durations.cpu().numpy()) for x in found]
    return [transferred(*said, clip.mel) for said, clip in zip(spoken, clips, strict=True)]


def timed(
    clips: Sequence[TrainingClip],
    model: Sambert,
    artifacts: Storage,
    key: str,
    world: World,
    stopping: Callable[[], bool],
) -> list[TrainingClip]:
    """Return the clips with durations, each process having timed its part.

    They are kept at `key` of `artifacts`, so that a run that goes on learns from the very same. Raises Interrupted
    when `stopping()` says so; InputError for a voice that says nothing.
    """
    sizes = [len(clip.ling) for clip in clips]
    kept = world.told(lambda: np.load(io.BytesIO(artifacts.read(key))) if artifacts.exists(key) else None)
    if kept is None or len(kept) != sum(sizes):
        kept = _spread(clips, model, world, stopping)
        if world.leads:
            buffer = io.BytesIO()
            np.save(buffer, kept)
            artifacts.write(key, buffer.getvalue())
    parts = np.split(kept, np.cumsum(sizes)[:-1])
    return [replace(clip, durations=part) for clip, part in zip(clips, parts, strict=True)]


def _spread(clips: Sequence[TrainingClip], model: Sambert, world: World, stopping: Callable[[], bool]) -> Durations:
    """Time all clips, one's symbols after the other's."""
    model.to(world.device).eval()
    found = [np.zeros(len(clip.ling), np.int64) for clip in clips]
    mine = world.part(range(len(clips)))
    for begin in range(0, len(mine), BATCH):
        if stopping():
            raise Interrupted("stopped while the recordings were timed")
        group = mine[begin : begin + BATCH]
        for number, durations in zip(group, _of_batch(model, [clips[i] for i in group]), strict=True):
            found[number] = durations
        print(f"timed {begin + len(group)} of {len(mine)} recordings by the base's own speech", flush=True)
    flat = torch.from_numpy(np.concatenate(found))
    world.add([flat])
    return flat.numpy()
