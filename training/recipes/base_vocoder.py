"""Train the base voice's vocoder on the corpus of base_corpus.py and base_data.py; resumes from its checkpoint.

    python training/recipes/base_vocoder.py CORPUS OUT --start voices/base/checkpoint --minutes 9 --device cuda \
        --batch 32 --channels 256 --discriminator-width 0.5

Training starts from the vocoder of a released voice. --channels widens it: a channel becomes for example two with half
the weight each, and a little noise makes them differ (Chen, Goodfellow & Shlens, "Net2Net", arXiv 1511.05641 §2.2). The
discriminators are new. Until --adversarial-from only the reconstruction losses are used.

When base_acoustic.py has written predicted.npy into CORPUS, half of each batch has these mels, because in inference the
vocoder reads the mels of the acoustic model, which are smoother than those of recordings. A newer file is loaded, too.
The F0 of predicted mels differs from the recording's a little. Harmonics are therefore compared in the other half only;
otherwise the vocoder would learn a mean of two F0s, which sounds hoarse. On a GPU a step is one CUDA graph.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from base_data import MEL, Recording, iter_recordings, read_texts
from base_steps import Average, Step, build_optimizer, capture_graph, save_checkpoint, set_learning_rate
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
"""Frames of a segment with loss, and frames before them: the receptive field."""
NOISE_DEVIATION = 0.2
"""Standard deviation of the factors, around 1, of the weights of a widened network."""
LOG_EVERY = 100
SAVE_EVERY = 60.0


class Corpus:
    """Frames and samples of all clips in the device's memory; draws segments from them."""

    def __init__(self, clips: list[tuple[int, Recording]], stats: Stats, device: str) -> None:
        """Copy clips to the device.

        Parameters
        ----------
        clips
            Each with the number of its first frame in the corpus.
        stats
            The statistics that mels are normalized by.
        device
            A torch device.
        """
        mels = torch.cat([torch.from_numpy(np.asarray(each.mel)) for _, each in clips]).to(device)
        mean, deviation = (torch.from_numpy(x).to(device) for x in (stats.mel_mean, stats.mel_std))
        # In parts, because all of it in float32 may not fit.
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
        """Load the acoustic model's mels of the same clips."""
        predicted = np.load(path, mmap_mode="r")
        self.predicted = torch.from_numpy(np.concatenate([predicted[place] for place in self.places])).to(
            self.mels.device
        )

    def draw_segments(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw random segments.

        Returns
        -------
        tuple[Tensor, Tensor]
            Mels [B, M, CONTEXT + SEGMENT], every other one predicted if predicted mels are loaded, and the waves of the
            SEGMENT part [B, 1, SEGMENT * hop].
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


class RecordedPitchLosses(ReconstructionLosses):
    """Reconstruction losses that compare harmonics of every other wave only: those whose mel is the recording's."""

    @override
    def harmonics(self, fake: Tensor, real: Tensor) -> Tensor:
        return super().harmonics(fake[::2], real[::2])


class Bf16Discriminators(Discriminators):
    """The discriminators, computed in bfloat16 on a GPU, because they take most of a step."""

    @override
    def forward(self, wav: Tensor) -> list[list[Tensor]]:
        # A graph must not use casts that were cached outside of it.
        with torch.autocast(wav.device.type, torch.bfloat16, enabled=wav.is_cuda, cache_enabled=False):
            maps = super().forward(wav)
        return [[each.float() for each in activations] for activations in maps]


@dataclass(slots=True)
class TrainingState:
    """The networks, optimizers and progress of a run: all that a checkpoint has."""

    gan: VocoderGan
    step: int = 0
    spent: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        save_checkpoint(
            path, self.gan.state_dict() | {"step": self.step, "spent": self.spent}, self.gan.averaged.module
        )

    def resume(self, path: Path, device: str) -> None:
        """Load a checkpoint."""
        state = torch.load(path, map_location=device, weights_only=True)
        self.step, self.spent = state["step"], state["spent"]
        self.gan.load_state_dict(state)


def build_step(gan: VocoderGan, losses: ReconstructionLosses, *, adversarial: bool) -> Step:
    """Return a function that makes a training step on mels and waves."""

    def step(mel: Tensor, real: Tensor) -> dict[str, Tensor]:
        fake = gan.generator(mel)[..., CONTEXT * MEL.hop_length :]
        losses_by_name = {"d": gan.discriminator_step(real, fake)} if adversarial else {}
        return losses_by_name | gan.generator_step(losses, real, fake, adversarial=adversarial)

    return step


def list_convolutions(network: Generator) -> list[WeightNormConv1d | WeightNormConvTranspose1d]:
    """Return the layers with weights, in order."""
    return [each for each in network.modules() if isinstance(each, WeightNormConv1d | WeightNormConvTranspose1d)]


@torch.no_grad()
def widen(narrow: Generator, channels: int) -> Generator:
    """Return a generator with a multiple of the channels and nearly the same output (Net2Net, §2.2)."""
    wide = Generator(replace(narrow.config, channels=channels))
    for into, layer in zip(list_convolutions(wide), list_convolutions(narrow), strict=True):
        times = [a // b for a, b in zip(into.weight_v.shape, layer.weight_v.shape, strict=True)]
        shared = times[0] if isinstance(into, WeightNormConvTranspose1d) else times[1]
        weight = normalize_weight(layer.weight_v, layer.weight_g).repeat(times) / shared
        set_weight(into, weight * (1.0 + NOISE_DEVIATION * torch.randn_like(weight)))
        if into.bias is not None and layer.bias is not None:
            into.bias.copy_(layer.bias.repeat(len(into.bias) // len(layer.bias)))
    return wide


def build_gan(args: argparse.Namespace, voice: VoiceWeights) -> VocoderGan:
    """Add new discriminators to the voice's generator."""
    generator, own = voice.vocoder, voice.vocoder.config.channels
    if args.channels and args.channels % own:
        raise SystemExit(
            f"--channels {args.channels}: give a multiple of {own}, the channels of the vocoder in {args.start}"
        )
    if args.channels and args.channels != own:
        generator = widen(generator, args.channels)
    generator = generator.to(args.device).train()
    discriminators = Bf16Discriminators(width=args.discriminator_width, scales=args.scales).to(args.device)
    average = Average(generator)
    return VocoderGan(
        generator,
        discriminators,
        average,
        build_optimizer(generator, args.rate, BETAS),
        build_optimizer(discriminators, args.rate, BETAS),
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder of the voice to start from")
    parser.add_argument("--channels", type=int, help="a multiple of the channels of the voice's vocoder")
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in total, with earlier runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8, help="in a batch of 1 no mel is predicted")
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--discriminator-width", type=float, default=0.125, help="width of the discriminators")
    parser.add_argument(
        "--scales", type=int, default=0, help="multi-scale discriminators, besides the multi-period ones"
    )
    parser.add_argument("--adversarial-from", type=float, default=0.05, help="share of the time")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train until the time is over; the learning rates fall with the share of the time."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    args.out.mkdir(parents=True, exist_ok=True)
    first, clips, excluded = 0, [], read_texts("hsk-choosing.csv")
    for each in iter_recordings(args.corpus):
        # Acted clips come from another vocoder; hsk-choosing.csv is for comparing vocoders.
        usable = each.row.emotion == "neutral" and each.row.text not in excluded
        if usable and len(each.wave) > (SEGMENT + CONTEXT + 2) * MEL.hop_length:
            clips.append((first, each))
        first += len(each.mel)
    voice = load_weights(args.start)
    corpus = Corpus(clips, voice.stats, args.device)
    run = TrainingState(build_gan(args, voice))
    losses = RecordedPitchLosses(MEL).to(args.device)
    checkpoint, predicted = args.out / "vocoder.pt", args.corpus / "predicted.npy"
    if checkpoint.exists():
        run.resume(checkpoint, args.device)
    print(f"{len(clips)} clips, {sum(p.numel() for p in run.gan.generator.parameters()) / 1e6:.2f} M parameters")
    steps, loaded_at = dict[bool, Step](), 0
    began, saved = time.monotonic() - run.spent, time.monotonic()
    while (share := run.spent / (args.minutes * 60)) < 1.0:
        adversarial = share >= args.adversarial_from
        decay = 0.03 + 0.97 * (1.0 - share)
        set_learning_rate(run.gan.generator_optimizer, args.rate * decay * min(1.0, (run.step + 1) / 200))
        set_learning_rate(run.gan.discriminator_optimizer, args.rate * decay)
        mel, real = corpus.draw_segments(args.batch)
        if adversarial not in steps:
            steps[adversarial] = build_step(run.gan, losses, adversarial=adversarial)
            if args.device != "cpu":
                steps[adversarial] = capture_graph(steps[adversarial], (mel, real))
        values = steps[adversarial](mel, real)
        run.step += 1
        if run.step % LOG_EVERY == 0:
            rounded_values = {name: round(float(value), 4) for name, value in values.items()}
            print(run.step, f"{run.spent:.0f}s", rounded_values, flush=True)
            if predicted.exists() and predicted.stat().st_mtime_ns != loaded_at:
                corpus.load_predicted(predicted)
                loaded_at = predicted.stat().st_mtime_ns
                print(f"loaded {predicted}", flush=True)
        run.spent = time.monotonic() - began
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            run.save(checkpoint)
    run.save(checkpoint)


if __name__ == "__main__":
    main()
