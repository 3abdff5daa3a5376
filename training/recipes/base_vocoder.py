"""Train the base voice's vocoder on the corpus that base_corpus.py wrote; resumes from its newest checkpoint.

    python training/recipes/base_vocoder.py CORPUS OUT --minutes 90 --threads 1
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig, log_mel
from kubevoice_training.models.discriminators import Discriminators
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.vocoder_losses import (
    MelLoss,
    SpectralLoss,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)

MEL = MelConfig()
CONFIG = GeneratorConfig(
    resblock_kernel_sizes=(3, 7), resblock_dilations=((1, 3), (1, 3))
)  # the paper's V2 width with the two cheaper kernels: half the work on a CPU
SEGMENT, CONTEXT, BATCH = 32, 8, 8  # frames of loss, frames of left context before them, clips


def load_corpus(corpus: Path) -> tuple[list[np.ndarray], list[np.ndarray], dict[str, np.ndarray]]:
    """Return int16 waves, normalised float16 mels and the statistics."""
    index = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    waves = [np.load(corpus / "wavs" / f"{row['id']}.npy") for row in index]
    waves = [wave for wave in waves if len(wave) > (SEGMENT + CONTEXT + 2) * MEL.hop_length]
    mels = [log_mel(wave.astype(np.float32) / 32767.0, MEL) for wave in waves]
    frames = np.concatenate(mels)
    stats = {"mel_mean": frames.mean(axis=0), "mel_std": frames.std(axis=0)}
    return waves, [((m - stats["mel_mean"]) / stats["mel_std"]).astype(np.float16) for m in mels], stats


def batch(
    waves: list[np.ndarray], mels: list[np.ndarray], odds: np.ndarray, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw mel [B, M, CONTEXT + SEGMENT] and the waves of the SEGMENT part [B, 1, SEGMENT * hop]."""
    x, y = [], []
    for i in rng.choice(len(waves), BATCH, p=odds):
        start = rng.integers(0, len(waves[i]) // MEL.hop_length - SEGMENT - CONTEXT)
        x.append(mels[i][start : start + CONTEXT + SEGMENT].T)
        begin = (start + CONTEXT) * MEL.hop_length
        y.append(waves[i][begin : begin + SEGMENT * MEL.hop_length])
    real = torch.from_numpy(np.stack(y).astype(np.float32) / 32767.0).unsqueeze(1)
    return torch.from_numpy(np.stack(x).astype(np.float32)), real


def main() -> None:
    """Train until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--adversarial-from", type=int, default=5000)
    parser.add_argument("--width", type=float, default=0.0625, help="width of the discriminators")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    waves, mels, stats = load_corpus(args.corpus)
    np.savez(args.out / "mel_stats.npz", allow_pickle=False, **stats)
    odds = np.array([len(wave) for wave in waves], np.float64)
    odds /= odds.sum()
    generator, judges = Generator(CONFIG), Discriminators(width=args.width)
    g_opt = torch.optim.AdamW(generator.parameters(), lr=1e-3, betas=(0.8, 0.99), weight_decay=0.0)
    d_opt = torch.optim.AdamW(judges.parameters(), lr=4e-4, betas=(0.8, 0.99), weight_decay=0.0)
    mel_loss = MelLoss(dataclasses.replace(MEL, fmin=0.0, fmax=12000.0))
    spectral_loss = SpectralLoss(((512, 80, 320), (1024, 180, 800), (256, 40, 160)))
    checkpoint, step = args.out / "vocoder.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        generator.load_state_dict(state["generator"])
        g_opt.load_state_dict(state["g_opt"])
        step = state["step"]
        if state.get("judges"):
            judges.load_state_dict(state["judges"])
            d_opt.load_state_dict(state["d_opt"])
    rng = np.random.default_rng(step)
    began = saved = time.monotonic()
    while (spent := time.monotonic() - began) < args.minutes * 60:
        adversarial = step >= args.adversarial_from
        for group in g_opt.param_groups:
            warm = min(1.0, (step + 1) / 200)
            group["lr"] = warm * (5e-4 if adversarial else 1e-3) * (1.0 - 0.8 * min(1.0, spent / (args.minutes * 60)))
        mel, real = batch(waves, mels, odds, rng)
        fake = generator(mel)[..., CONTEXT * MEL.hop_length :]
        report = ""
        if adversarial:
            d_opt.zero_grad()
            d_loss = discriminator_loss(judges(real), judges(fake.detach()))
            d_loss.backward()
            d_opt.step()
        g_mel, g_stft = mel_loss(fake, real), spectral_loss(fake, real)
        loss = 15.0 * g_mel + (5.0 if adversarial else 15.0) * g_stft
        if adversarial:
            judges.requires_grad_(False)
            fake_maps = judges(fake)
            with torch.no_grad():
                real_maps = judges(real)
            g_adv = adversarial_loss(fake_maps)
            loss = loss + g_adv + 2.0 * feature_matching_loss(real_maps, fake_maps)
            judges.requires_grad_(True)
            report = f" adv {g_adv.item():.3f} d {d_loss.item():.3f}"
        g_opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 20.0)
        g_opt.step()
        step += 1
        if step % 50 == 0:
            print(f"{step} {spent:.0f}s mel {g_mel.item():.4f} stft {g_stft.item():.4f}{report}", flush=True)
        if time.monotonic() - saved > 240:
            saved = time.monotonic()
            save(checkpoint, generator, judges if adversarial else None, g_opt, d_opt, step)
    save(checkpoint, generator, judges, g_opt, d_opt, step)


def save(
    path: Path,
    generator: Generator,
    judges: Discriminators | None,
    g_opt: torch.optim.Optimizer,
    d_opt: torch.optim.Optimizer,
    step: int,
) -> None:
    """Write the checkpoint beside its place, then rename."""
    state = {"generator": generator.state_dict(), "g_opt": g_opt.state_dict(), "step": step}
    if judges is not None:
        state |= {"judges": judges.state_dict(), "d_opt": d_opt.state_dict()}
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


if __name__ == "__main__":
    main()
