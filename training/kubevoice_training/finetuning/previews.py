"""What TensorBoard shows of a voice in training: a sentence in every emotion, and a clip beside its prediction."""

from collections.abc import Mapping

import numpy as np
import torch
from kubevoice.text import UnitTables, analyse
from kubevoice.text.units import STREAMS
from numpy.typing import NDArray

from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.finetuning.acoustic_step import build_targets
from kubevoice_training.finetuning.collation import CollatedBatch
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.nsf import denormalize_f0
from kubevoice_training.models.sambert import Sambert

__all__ = ["PREVIEW_TEXT", "draw_clip", "synthesize_previews"]

Array = NDArray[np.float32]
PREVIEW_TEXT = "今天我们一起学习中文。"


def _encode(text: str) -> torch.Tensor:
    """Return the ids [T_text, 4] of a text."""
    tables = UnitTables.load()
    ids = tables.encode([unit for sentence in analyse(text).sentences for unit in sentence.units])
    return torch.from_numpy(np.stack([ids[stream] for stream in STREAMS], axis=1))


@torch.no_grad()
def synthesize_previews(
    model: Sambert, vocoder: Generator, emotions: Mapping[str, int], speaker: int = 0
) -> dict[str, Array]:
    """Synthesize `PREVIEW_TEXT` in every emotion.

    Parameters
    ----------
    model, vocoder
        The voice's networks, in evaluation mode.
    emotions
        Row of the emotion table by label.
    speaker
        Row of the speaker table.

    Returns
    -------
    dict
        Waves [samples] in -1..1 by `audio/EMOTION`. An emotion for which the voice predicts no frame is left out.
    """
    device = next(model.parameters()).device
    ling, waves = _encode(PREVIEW_TEXT).to(device), dict[str, Array]()
    for label, row in emotions.items():
        ids = (torch.full((len(ling),), value, device=device) for value in (row, speaker))
        try:
            mel = model.infer(ling, *ids).postnet_mel
        except ValueError:  # every duration is zero: an untrained voice
            continue
        source = vocoder.config.source
        vocoder_input = mel.clone() if source is None else denormalize_f0(mel.clone(), source)
        wave = vocoder(vocoder_input.T.unsqueeze(0).to(next(vocoder.parameters()).device))
        waves[f"audio/{label}"] = wave[0, 0].clamp(-1.0, 1.0).cpu().numpy()
    return waves


@torch.no_grad()
def draw_clip(model: Sambert, data: CollatedBatch, stats: Stats) -> dict[str, Array]:
    """Return the alignment and the mels of a batch's first clip, as matrices for images.

    Parameters
    ----------
    model
        The acoustic model, in evaluation mode.
    data
        A padded batch, on the model's device.
    stats
        Mean and deviation of F0 (Hz) and of energy.

    Returns
    -------
    dict
        `alignment/hard` and, where the model has an aligner, `alignment/soft` [T_text, T_mel]; `mel/target` and
        `mel/predicted` [n_mels, T_mel].
    """
    n, t = int(data.text_lengths[0]), int(data.mel_lengths[0])
    batch, _ = build_targets(model, data, stats)
    output = model(batch)
    mels = {"target": data.mel, "predicted": output.postnet_mel}
    images = {f"mel/{name}": mel[0, :t].T.float().cpu().numpy() for name, mel in mels.items()}
    hard = torch.repeat_interleave(torch.eye(n), batch.durations[0, :n].cpu(), dim=0)[:t].T
    images["alignment/hard"] = hard.numpy()
    if data.prior is not None:
        inside = sequence_mask(data.text_lengths, data.ling.shape[1])
        soft, _ = model.align_attention(data.mel, model.text_encoder.embed(data.ling), inside, data.prior)
        images["alignment/soft"] = soft[0, :t, :n].T.float().cpu().numpy()
    return images
