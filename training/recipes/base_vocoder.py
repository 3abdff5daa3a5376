"""Train the base voice's vocoder on the corpus of base_corpus.py and base_data.py; resumes from its checkpoint.

    python training/recipes/base_vocoder.py CORPUS OUT --start voices/base/checkpoint --minutes 9 --device cuda \
        --batch 32 --judges 0.5

The mel space is that of the released voice; the network is new, or with --further the voice's own. A new one first
learns to reconstruct, then is judged too; give 0 to --judged-from for one that can do that.
As soon as base_acoustic.py has left predicted.npy in CORPUS, half of what it hears are those mels: at work the
vocoder hears the acoustic model, which is smoother than any recording. On a GPU a step is one CUDA graph, for else
launching its thousands of small kernels takes longer than they run.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from base_data import MEL, Recording, keep, recordings, texts
from kubevoice_training.checkpoint import VoiceWeights, load_weights
from kubevoice_training.features import Stats
from kubevoice_training.models.discriminators import Discriminators
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.vocoder_training import BETAS, Adversaries, Reconstruction
from torch import Tensor, nn

CONFIG = GeneratorConfig(channels=256, resblock_kernel_sizes=(3, 7), resblock_dilations=((1, 3), (1, 3)))
"""Twice the paper's V2 width with the two cheaper kernels: 0.05 of real time on one core."""
SEGMENT, CONTEXT = 40, 14
"""Frames of loss, and frames before them, as many as the network looks back."""
PREDICTED = 0.5
"""How often a clip's mel is the acoustic model's, once there is one."""
AVERAGING = 0.999
FIRST_RATE, RATE, JUDGES_RATE = 1e-3, 4e-4, 4e-4
"""Learning rates: of the generator alone and once it is judged, and of its judges."""
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
        """Draw mel [B, M, CONTEXT + SEGMENT] and the waves of the SEGMENT part [B, 1, SEGMENT * hop]."""
        device, hop = self.wave.device, MEL.hop_length
        place = torch.randint(int(self.ends[-1]), (count,), device=device)
        clip = torch.searchsorted(self.ends, place, right=True)
        start = place - torch.where(clip > 0, self.ends[(clip - 1).clamp(min=0)], 0)
        frames = (self.first_frame[clip] + start).unsqueeze(1) + torch.arange(CONTEXT + SEGMENT, device=device)
        mel = self.mels[frames]
        if self.predicted is not None:
            said = torch.rand(count, 1, 1, device=device) < PREDICTED
            mel = torch.where(said, self.predicted[frames], mel)
        begin = self.first_sample[clip] + (start + CONTEXT) * hop
        samples = begin.unsqueeze(1) + torch.arange(SEGMENT * hop, device=device)
        return mel.float().transpose(1, 2).contiguous(), (self.wave[samples].float() / 32767.0).unsqueeze(1)


class Average(nn.Module):
    """Moving average of a network's weights in place, which a CUDA graph can hold; it is what ships."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.module = Generator(network.config).to(next(network.parameters()).device)
        self.module.load_state_dict(network.state_dict())

    @torch.no_grad()
    def update_parameters(self, network: Generator) -> None:
        """Go a step towards the network."""
        torch._foreach_lerp_(list(self.module.parameters()), list(network.parameters()), 1.0 - AVERAGING)


@dataclass(slots=True)
class Training:
    """Everything that changes from step to step."""

    parties: Adversaries
    step: int = 0
    spent: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        keep(path, self.parties.state() | {"step": self.step, "spent": self.spent}, self.parties.averaged.module)

    def resume(self, path: Path, device: str) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=device, weights_only=True)
        self.step, self.spent = state["step"], state["spent"]
        self.parties.restore(state)


Step = Callable[[Tensor, Tensor], dict[str, Tensor]]


def plain_step(parties: Adversaries, losses: Reconstruction, *, judged: bool) -> Step:
    """Return a function that makes one step on a mel and a wave."""

    def step(mel: Tensor, real: Tensor) -> dict[str, Tensor]:
        fake = parties.generator(mel)[..., CONTEXT * MEL.hop_length :]
        figures = {"d": parties.teach_judges(real, fake)} if judged else {}
        return figures | parties.teach_generator(losses, real, fake, judged=judged)

    return step


def captured(step: Step, mel: Tensor, real: Tensor) -> Step:
    """Record a step as a CUDA graph; the first ones, which set the optimisers up, are made in between."""
    held_mel, held_real = mel.clone(), real.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(held_mel, held_real)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        figures = step(held_mel, held_real)

    def replay(mel: Tensor, real: Tensor) -> dict[str, Tensor]:
        held_mel.copy_(mel)
        held_real.copy_(real)
        graph.replay()
        return figures

    return replay


def parties_of(args: argparse.Namespace, voice: VoiceWeights) -> Adversaries:
    """Put new judges against a new generator, or against the voice's own."""
    generator = (voice.vocoder if args.further else Generator(CONFIG)).to(args.device).train()
    judges = Discriminators(width=args.judges, scales=args.scales).to(args.device)
    gpu = args.device != "cpu"

    def adam(network: nn.Module, rate: float) -> torch.optim.Optimizer:
        lr = torch.tensor(rate, device=args.device) if gpu else rate
        return torch.optim.AdamW(network.parameters(), lr=lr, betas=BETAS, weight_decay=0.0, capturable=gpu)

    return Adversaries(generator, judges, Average(generator), adam(generator, RATE), adam(judges, JUDGES_RATE))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, in place where a graph holds it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder of the voice whose mels it hears")
    parser.add_argument("--further", action="store_true", help="teach the vocoder of that voice more")
    parser.add_argument("--minutes", type=float, default=90.0, help="of training in all, earlier runs counted")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--judges", type=float, default=0.125, help="width of the discriminators")
    parser.add_argument("--scales", type=int, default=0, help="discriminators of scales; those of periods always judge")
    parser.add_argument("--judged-from", type=float, default=0.1, help="share of the time")
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
    run = Training(parties_of(args, voice))
    losses = Reconstruction(MEL).to(args.device)
    checkpoint, predicted = args.out / "vocoder.pt", args.corpus / "predicted.npy"
    if checkpoint.exists():
        run.resume(checkpoint, args.device)
    print(f"{len(clips)} clips, {sum(p.numel() for p in run.parties.generator.parameters()) / 1e6:.2f} M parameters")
    steps: dict[bool, Step] = {}
    began, saved = time.monotonic() - run.spent, time.monotonic()
    while (share := run.spent / (args.minutes * 60)) < 1.0:
        judged = share >= args.judged_from
        falling = 0.03 + 0.97 * (1.0 - share)
        set_rate(run.parties.g_opt, (RATE if judged else FIRST_RATE) * falling * min(1.0, (run.step + 1) / 200))
        set_rate(run.parties.d_opt, JUDGES_RATE * falling)
        mel, real = corpus.segments(args.batch)
        if judged not in steps:
            steps[judged] = plain_step(run.parties, losses, judged=judged)
            if args.device != "cpu":
                steps[judged] = captured(steps[judged], mel, real)
        figures = steps[judged](mel, real)
        run.step += 1
        if run.step % LOOK_EVERY == 0:
            shown = {name: round(float(value), 4) for name, value in figures.items()}
            print(run.step, f"{run.spent:.0f}s", shown, flush=True)
            if corpus.predicted is None and predicted.exists():
                corpus.load_predicted(predicted)
                print("hears the acoustic model from now on", flush=True)
        run.spent = time.monotonic() - began
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            run.save(checkpoint)
    run.save(checkpoint)


if __name__ == "__main__":
    main()
