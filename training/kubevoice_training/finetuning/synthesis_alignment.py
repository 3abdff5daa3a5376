"""Durations of recordings for a voice without an aligner (KAN-TTS trained it without MAS).

The base voice synthesizes each text, so that the symbol of each of its frames is known. Its mel and the recording's
are aligned by dynamic time warping, and each recorded frame gets the symbol of the frame that it is aligned with.
Malfrère and Dutoit, "High-quality speech synthesis for phonetic speech segmentation" (Eurospeech 1997), evaluate
this kind of alignment.
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

from kubevoice_training.features.dynamic_time_warping import find_warping_path
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.process_group import ProcessGroup

__all__ = ["add_durations", "transfer_durations"]

BATCH_SIZE = 16
Array = NDArray[np.float32]
Durations = NDArray[np.int64]


def _standardize(mel: Array) -> NDArray[np.float64]:
    """Remove timbre and level, which differ between the voice and a new speaker, from a mel [T_mel, n_mels]."""
    return (mel - mel.mean(axis=0)) / np.maximum(mel.std(axis=0, dtype=np.float64), 1e-4)


def transfer_durations(synthesized: Array, durations: Durations, recorded: Array) -> Durations:
    """Transfer durations from a synthesized mel to a recorded one.

    Parameters
    ----------
    synthesized
        Mel [A, n_mels].
    durations
        Frames of each symbol in it [T_text]; they sum to A.
    recorded
        Mel [T_mel, n_mels] of the same text.

    Returns
    -------
    NDArray
        Frames of each symbol in the recording [T_text]; they sum to T_mel.
    """
    path = find_warping_path(cdist(_standardize(synthesized), _standardize(recorded)))
    frames = np.arange(len(recorded))
    first, last = (np.searchsorted(path[:, 1], frames, side) for side in ("left", "right"))
    symbols = np.repeat(np.arange(len(durations)), durations)
    return np.bincount(symbols[path[(first + last - 1) // 2, 0]], minlength=len(durations))


@torch.inference_mode()
def _align_batch(model: Sambert, clips: Sequence[TrainingClip]) -> list[Durations]:
    """Synthesize the clips' texts and return the durations [T_text] of the recordings."""
    device = next(model.parameters()).device
    rows = [
        [torch.full((len(clip.ling),), row, device=device) for clip, row in zip(clips, ids, strict=True)]
        for ids in ([clip.emotion for clip in clips], [clip.speaker for clip in clips])
    ]
    try:
        outputs = model.infer_batch([torch.from_numpy(clip.ling).to(device) for clip in clips], *rows)
    except ValueError as error:
        raise InputError(
            f"the base voice has no aligner and cannot align the recordings by synthesis either: {error}; "
            "name another base"
        ) from error
    return [
        transfer_durations(output.postnet_mel.float().cpu().numpy(), output.durations.cpu().numpy(), clip.mel)
        for output, clip in zip(outputs, clips, strict=True)
    ]


def add_durations(
    clips: Sequence[TrainingClip],
    model: Sambert,
    artifacts: Storage,
    key: str,
    world: ProcessGroup,
    stopping: Callable[[], bool],
) -> list[TrainingClip]:
    """Return the clips with durations; each process aligns its shard.

    Parameters
    ----------
    clips
        All clips, the same in all processes.
    model
        The base voice's acoustic model.
    artifacts, key
        Where the durations are stored (.npy), so that a resumed run learns from the same ones.
    world
        This process's rank and the world size.
    stopping
        Whether this process was asked to stop.

    Returns
    -------
    list of TrainingClip
        All clips, the same in all processes.

    Raises
    ------
    Interrupted
        If it was asked to stop. Nothing is stored then.
    InputError
        If the voice predicts no frame for a text.
    """
    sizes = [len(clip.ling) for clip in clips]
    stored = world.broadcast(lambda: np.load(io.BytesIO(artifacts.read(key))) if artifacts.exists(key) else None)
    if stored is None or len(stored) != sum(sizes):
        stored = _align_all(clips, model, world, stopping)
        if world.is_main_process:
            buffer = io.BytesIO()
            np.save(buffer, stored)
            artifacts.write(key, buffer.getvalue())
    parts = np.split(stored, np.cumsum(sizes)[:-1])
    return [replace(clip, durations=part) for clip, part in zip(clips, parts, strict=True)]


def _align_all(
    clips: Sequence[TrainingClip], model: Sambert, world: ProcessGroup, stopping: Callable[[], bool]
) -> Durations:
    """Return the durations of all clips, one clip's symbols after the other's."""
    model.to(world.device).eval()
    durations = [np.zeros(len(clip.ling), np.int64) for clip in clips]
    shard = world.shard(range(len(clips)))
    for begin in range(0, len(shard), BATCH_SIZE):
        if stopping():
            raise Interrupted("stopped while the recordings were aligned")
        indices = shard[begin : begin + BATCH_SIZE]
        for index, aligned in zip(indices, _align_batch(model, [clips[i] for i in indices]), strict=True):
            durations[index] = aligned
        print(f"aligned {begin + len(indices)} of {len(shard)} recordings by synthesis with the base", flush=True)
    flat = torch.from_numpy(np.concatenate(durations))
    world.all_reduce_sum([flat])
    return flat.numpy()
