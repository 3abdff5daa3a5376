"""Let the acoustic model say each recording again, frame by frame in step with it, for base_vocoder.py to learn from.

    python training/recipes/base_predicted.py CORPUS voices/base/checkpoint --clips 3000

Durations, pitch and energy are the recording's own, found by the model's own aligner; the mel is decoded from the
model's own frames as at work. CORPUS gets predicted.npz: ID to mel [T, M], normalised, float16.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from base_acoustic import STREAMS
from kubevoice.text import UnitTables, analyse
from kubevoice_training.acoustic import Clip, align, collate
from kubevoice_training.checkpoint import VoiceWeights, load_weights
from kubevoice_training.features import extract
from kubevoice_training.models.layers import valid
from kubevoice_training.models.sambert import Batch, Sambert, band_width
from torch.nn import functional as F

BATCH = 24
ROUNDS = 4
"""Passes in which the decoder's input frames are replaced by what it said in the last pass, from its own mel on."""


def load_clip(row: dict[str, str], corpus: Path, weights: VoiceWeights, tables: UnitTables) -> Clip | None:
    """Analyse text and audio; None if a symbol would go without a frame."""
    features = extract(np.load(corpus / "wavs" / f"{row['id']}.npy") / np.float32(32767.0), weights.mel)
    ids = tables.encode([unit for sentence in analyse(row["text"]).sentences for unit in sentence.units])
    ling = np.stack([ids[stream] for stream in STREAMS], axis=1)
    if len(features.f0) < len(ling):
        return None
    mel = (features.mel - weights.stats.mel_mean) / weights.stats.mel_std
    emotion, speaker = weights.emotions[row["emotion"]], weights.speakers[row["speaker"]]
    return Clip(ling, emotion, speaker, mel.astype(np.float32), features.f0, features.energy)


@torch.inference_mode()
def predict(model: Sambert, batch: Batch) -> torch.Tensor:
    """Return the mel [B, T, M] that the model says along the batch's durations, pitch and energy."""
    r = model.config.outputs_per_step
    mask, frames = valid(batch.symbols, batch.ling.shape[1]), valid(batch.frames, batch.mel.shape[1])
    text = model.text_encoder(batch.ling, mask)
    text = model.variance_adaptor.augment(text, batch.pitch, batch.energy)
    speaker, emotion = model.spk_tokenizer(batch.speaker), model.emo_tokenizer(batch.emotion)
    memory = model.memory(text, speaker, emotion, batch.durations, frames)
    band, steps = band_width(batch.durations.masked_fill(~mask, 0), r), frames[:, ::r].sum(dim=1)
    spoken = batch.mel
    for _ in range(ROUNDS):
        previous = F.pad(spoken[:, r - 1 :: r], (0, 0, 1, 0))[:, :-1]
        spoken = model.mel_decoder.mel_dec(memory, previous, steps, band)
    mel: torch.Tensor = model.mel_postnet(spoken.masked_fill(~frames.unsqueeze(-1), 0.0), frames)
    return mel


def main() -> None:
    """Align, predict, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    weights, tables = load_weights(args.checkpoint), UnitTables.load()
    eos = [tables.eos[stream] for stream in STREAMS]
    index = json.loads((args.corpus / "corpus.json").read_text(encoding="utf-8"))
    chosen = np.random.default_rng(0).permutation(len(index))[: args.clips]
    found = [(index[i]["id"], load_clip(index[i], args.corpus, weights, tables)) for i in chosen]
    clips = sorted(((name, clip) for name, clip in found if clip), key=lambda pair: len(pair[1].mel))
    mels: dict[str, np.ndarray] = {}
    for begin in range(0, len(clips), BATCH):
        names, group = zip(*clips[begin : begin + BATCH], strict=True)
        with torch.inference_mode():
            batch, _ = align(
                weights.acoustic, collate(group, eos, weights.acoustic.config.outputs_per_step), weights.stats
            )
        for name, clip, mel in zip(names, group, predict(weights.acoustic, batch), strict=True):
            mels[name] = mel[: len(clip.mel)].numpy().astype(np.float16)
        print(f"{len(mels)} of {len(clips)}", flush=True)
    np.savez(args.corpus / "predicted.npz", allow_pickle=False, **mels)


if __name__ == "__main__":
    main()
