"""What a voice in training is shown by: a sentence in every emotion, and a clip as it is and as it is predicted."""

from collections.abc import Mapping

import numpy as np
import torch
from kubevoice.text import UnitTables, analyse
from kubevoice.text.units import STREAMS
from numpy.typing import NDArray

from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.finetuning.acoustic_step import Collated, align
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.nsf import denormalize_f0
from kubevoice_training.models.sambert import Sambert

__all__ = ["SENTENCE", "clip_pictures", "spoken"]

Array = NDArray[np.float32]
SENTENCE = "今天我们一起学习中文。"


def _symbols(text: str) -> torch.Tensor:
    tables = UnitTables.load()
    ids = tables.encode([unit for sentence in analyse(text).sentences for unit in sentence.units])
    return torch.from_numpy(np.stack([ids[stream] for stream in STREAMS], axis=1))


@torch.no_grad()
def spoken(model: Sambert, vocoder: Generator, emotions: Mapping[str, int], speaker: int = 0) -> dict[str, Array]:
    """Speak the sentence in every emotion; waves [samples] by `audio/EMOTION`, none where nothing is said yet."""
    device = next(model.parameters()).device
    ling, found = _symbols(SENTENCE).to(device), dict[str, Array]()
    for label, row in emotions.items():
        ids = (torch.full((len(ling),), value, device=device) for value in (row, speaker))
        try:
            mel = model.infer(ling, *ids).postnet_mel
        except ValueError:  # every duration is zero: an untrained voice
            continue
        source = vocoder.config.source
        heard = mel.clone() if source is None else denormalize_f0(mel.clone(), source)
        wave = vocoder(heard.T.unsqueeze(0).to(next(vocoder.parameters()).device))
        found[f"audio/{label}"] = wave[0, 0].clamp(-1.0, 1.0).cpu().numpy()
    return found


@torch.no_grad()
def clip_pictures(model: Sambert, data: Collated, stats: Stats) -> dict[str, Array]:
    """Show the first clip of a batch: its alignment [symbols, frames], its mel [M, frames], and what is predicted.

    The soft alignment is left out where the model has no aligner.
    """
    n, t = int(data.symbols[0]), int(data.frames[0])
    batch, _ = align(model, data, stats)
    output = model(batch)
    mels = {"target": data.mel, "predicted": output.postnet_mel}
    found = {f"mel/{name}": mel[0, :t].T.float().cpu().numpy() for name, mel in mels.items()}
    hard = torch.repeat_interleave(torch.eye(n), batch.durations[0, :n].cpu(), dim=0)[:t].T
    found["alignment/hard"] = hard.numpy()
    if data.prior is not None:
        inside = sequence_mask(data.symbols, data.ling.shape[1])
        soft, _ = model.align_attention(data.mel, model.text_encoder.embed(data.ling), inside, data.prior)
        found["alignment/soft"] = soft[0, :t, :n].T.float().cpu().numpy()
    return found
