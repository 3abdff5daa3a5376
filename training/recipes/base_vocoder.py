"""Train the base voice's vocoder on the corpus of base_corpus.py and base_data.py; resumes from its checkpoint.

    python training/recipes/base_vocoder.py CORPUS OUT --start voices/base/checkpoint --minutes 9 --device cuda \
        --batch 32 --channels 256 --discriminator-width 0.5

It goes on from the vocoder of a released voice. --channels makes that wider: a channel becomes two, say, that count
half, but for a little noise, so that they part (Chen, Goodfellow & Shlens, "Net2Net", arXiv 1511.05641 §2.2). It learns
to reconstruct alone until its discriminators, which are new, are used.
As soon as base_acoustic.py has left predicted.npy in CORPUS, half of what it hears are those mels, and newer ones when
they come: at work the vocoder hears the acoustic model, which is smoother than any recording. Their pitch is not quite
the recording's, so that harmonics are compared in the other half alone: a mean of two pitches is a hoarse voice. On a
GPU a step is one CUDA graph.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from base_data import MEL, Recording, recordings, texts
from base_steps import Average, Step, adam, captured, keep, set_rate
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.finetuning.reconstruction_losses import ReconstructionLosses
from kubevoice_training.finetuning.vocoder_step import BETAS, VocoderGan
from kubevoice_training.models.discriminators import Discriminators
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.weight_norm import (
    WeightNormConv1d,
    WeightNormConvTranspose1d,
    normalize_weight,
    set_weight,
)
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights
from torch import Tensor
from typing_extensions import override

SEGMENT, CONTEXT = 40, 14
"""Frames of loss, and frames before them, as many as the network looks back."""
PARTING = 0.2
"""Deviation of the noise that a widened network's weights are multiplied by, around 1."""
LOOK_EVERY = 100
SAVE_EVERY = 60.0


class Corpus:
    """Frames and samples of all clips in the device's memory, and segments drawn from them."""

    def __init__(self, clips: list[tuple[int, Recording]], stats: Stats, device: str) -> None:
        """Take clips with the number of their first frame in the corpus."""
        mels = torch.cat([torch.from_numpy(np.asarray(each.mel)) for _, each in clips]).to(device)
        mean, deviation = (torch.from_numpy(x).to(device) for x in (stats.mel_mean, stats.mel_std))
        # In parts, for all of it in float32 may not fit.
        self.mels = torch.cat([((part.float() - mean) / deviation).half() for part in mels.split(1 << 18)])
        self.wave = torch.cat([torch.from_numpy(np.asarray(each.wave)) for _, each in clips]).to(device)
        frames = torch.tensor([len(each.mel) for _, each in clips])
        samples = torch.tensor([len(each.wave) for _, each in clips])
        self.first_frame = (frames.cumsum(0) - frames).to(device)
        self.first_sample = (samples.cumsum(0) - samples).to(device)
        self.ends = (samples // MEL.hop_length - SEGMENT - CONTEXT).cumsum(0).to(device)
        self.places = [slice(first, first + len(each.mel)) for first, each in clips]
        self.predicted: Tensor | None = None

    def load_predicted(self, path: Path) -> None:
        """Take the acoustic model's mels too."""
        said = np.load(path, mmap_mode="r")
        self.predicted = torch.from_numpy(np.concatenate([said[place] for place in self.places])).to(self.mels.device)

    def segments(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw mel [B, M, CONTEXT + SEGMENT] and the waves of the SEGMENT part [B, 1, SEGMENT * hop].

        Once there are predicted mels, every other one is.
        """
        device, hop = self.wave.device, MEL.hop_length
        place = torch.randint(int(self.ends[-1]), (count,), device=device)
        clip = torch.searchsorted(self.ends, place, right=True)
        start = place - torch.where(clip > 0, self.ends[(clip - 1).clamp(min=0)], 0)
        frames = (self.first_frame[clip] + start).unsqueeze(1) + torch.arange(CONTEXT + SEGMENT, device=device)
        mel = self.mels[frames]
        if self.predicted is not None:
            mel[1::2] = self.predicted[frames[1::2]]
        begin = self.first_sample[clip] + (start + CONTEXT) * hop
        samples = begin.unsqueeze(1) + torch.arange(SEGMENT * hop, device=device)
        return mel.float().transpose(1, 2).contiguous(), (self.wave[samples].float() / 32767.0).unsqueeze(1)


class Closeness(ReconstructionLosses):
    """How far waves are from the recordings; harmonics only of every other one, whose mel has their pitch."""

    @override
    def harmonics(self, fake: Tensor, real: Tensor) -> Tensor:
        return super().harmonics(fake[::2], real[::2])


class Bf16Discriminators(Discriminators):
    """The discriminators, on a GPU in bfloat16: they take most of a step."""

    @override
    def forward(self, wav: Tensor) -> list[list[Tensor]]:
        # A graph may hold no cast that was made outside of it.
        with torch.autocast(wav.device.type, torch.bfloat16, enabled=wav.is_cuda, cache_enabled=False):
            maps = super().forward(wav)
        return [[each.float() for each in some] for some in maps]


@dataclass(slots=True)
class Training:
    """Everything that changes from step to step."""

    gan: VocoderGan
    step: int = 0
    spent: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        keep(path, self.gan.state_dict() | {"step": self.step, "spent": self.spent}, self.gan.averaged.module)

    def resume(self, path: Path, device: str) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=device, weights_only=True)
        self.step, self.spent = state["step"], state["spent"]
        self.gan.load_state_dict(state)


def plain_step(gan: VocoderGan, losses: ReconstructionLosses, *, adversarial: bool) -> Step:
    """Return a function that makes one step on a mel and a wave."""

    def step(mel: Tensor, real: Tensor) -> dict[str, Tensor]:
        fake = gan.generator(mel)[..., CONTEXT * MEL.hop_length :]
        figures = {"d": gan.discriminator_step(real, fake)} if adversarial else {}
        return figures | gan.generator_step(losses, real, fake, adversarial=adversarial)

    return step


def convolutions(network: Generator) -> list[WeightNormConv1d | WeightNormConvTranspose1d]:
    """Return every layer with weights."""
    return [each for each in network.modules() if isinstance(each, WeightNormConv1d | WeightNormConvTranspose1d)]


@torch.no_grad()
def widened(narrow: Generator, channels: int) -> Generator:
    """Return a generator of a multiple of the channels that makes nearly the same wave."""
    wide = Generator(replace(narrow.config, channels=channels))
    for into, layer in zip(convolutions(wide), convolutions(narrow), strict=True):
        times = [a // b for a, b in zip(into.weight_v.shape, layer.weight_v.shape, strict=True)]
        shared = times[0] if isinstance(into, WeightNormConvTranspose1d) else times[1]
        weight = normalize_weight(layer.weight_v, layer.weight_g).repeat(times) / shared
        set_weight(into, weight * (1.0 + PARTING * torch.randn_like(weight)))
        if into.bias is not None and layer.bias is not None:
            into.bias.copy_(layer.bias.repeat(len(into.bias) // len(layer.bias)))
    return wide


def build_gan(args: argparse.Namespace, voice: VoiceWeights) -> VocoderGan:
    """Add new discriminators to the voice's generator."""
    generator, own = voice.vocoder, voice.vocoder.config.channels
    if args.channels and args.channels % own:
        raise SystemExit(f"--channels {args.channels}: give a multiple of {own}, which the vocoder of {args.start} has")
    if args.channels and args.channels != own:
        generator = widened(generator, args.channels)
    generator = generator.to(args.device).train()
    discriminators = Bf16Discriminators(width=args.discriminator_width, scales=args.scales).to(args.device)
    average = Average(generator)
    return VocoderGan(
        generator, discriminators, average, adam(generator, args.rate, BETAS), adam(discriminators, args.rate, BETAS)
    )


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder of the voice whose mels it hears")
    parser.add_argument("--channels", type=int, help="a multiple of those that the voice's vocoder has")
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in all, earlier runs counted")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8, help="of 1, no predicted mel is heard")
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--discriminator-width", type=float, default=0.125, help="width of the discriminators")
    parser.add_argument("--scales", type=int, default=0, help="discriminators of scales; those of periods always judge")
    parser.add_argument("--adversarial-from", type=float, default=0.05, help="share of the time")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train until the time is over; the rates fall with the share of the time spent."""
    args = options()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    args.out.mkdir(parents=True, exist_ok=True)
    first, clips, apart = 0, [], texts("hsk-choosing.csv")
    for each in recordings(args.corpus):
        # What is acted was made by another vocoder; by the words to choose by vocoders are compared.
        usable = each.row.emotion == "neutral" and each.row.text not in apart
        if usable and len(each.wave) > (SEGMENT + CONTEXT + 2) * MEL.hop_length:
            clips.append((first, each))
        first += len(each.mel)
    voice = load_weights(args.start)
    corpus = Corpus(clips, voice.stats, args.device)
    run = Training(build_gan(args, voice))
    losses = Closeness(MEL).to(args.device)
    checkpoint, predicted = args.out / "vocoder.pt", args.corpus / "predicted.npy"
    if checkpoint.exists():
        run.resume(checkpoint, args.device)
    print(f"{len(clips)} clips, {sum(p.numel() for p in run.gan.generator.parameters()) / 1e6:.2f} M parameters")
    steps, heard = dict[bool, Step](), 0
    began, saved = time.monotonic() - run.spent, time.monotonic()
    while (share := run.spent / (args.minutes * 60)) < 1.0:
        adversarial = share >= args.adversarial_from
        falling = 0.03 + 0.97 * (1.0 - share)
        set_rate(run.gan.generator_optimizer, args.rate * falling * min(1.0, (run.step + 1) / 200))
        set_rate(run.gan.discriminator_optimizer, args.rate * falling)
        mel, real = corpus.segments(args.batch)
        if adversarial not in steps:
            steps[adversarial] = plain_step(run.gan, losses, adversarial=adversarial)
            if args.device != "cpu":
                steps[adversarial] = captured(steps[adversarial], (mel, real))
        figures = steps[adversarial](mel, real)
        run.step += 1
        if run.step % LOOK_EVERY == 0:
            shown = {name: round(float(value), 4) for name, value in figures.items()}
            print(run.step, f"{run.spent:.0f}s", shown, flush=True)
            if predicted.exists() and predicted.stat().st_mtime_ns != heard:
                corpus.load_predicted(predicted)
                heard = predicted.stat().st_mtime_ns
                print("hears the acoustic model from now on", flush=True)
        run.spent = time.monotonic() - began
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            run.save(checkpoint)
    run.save(checkpoint)


if __name__ == "__main__":
    main()
