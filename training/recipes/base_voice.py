"""Make the shipped base voice from what base_acoustic.py and base_vocoder.py trained.

    python training/recipes/base_voice.py voices/base --start voices/base/checkpoint --acoustic DIR --vocoder DIR

DIR is the folder packed/ of a training. What is not given stays as it was in the voice that training started from.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from base_data import EMOTION_ROWS, SPEAKERS
from base_vocoder import convolutions
from kubevoice.engine import Engine
from kubevoice.voice import load_bundle, seal_bundle
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.models.weight_norm import normalize_weight, set_weight
from kubevoice_training.stages.release import write_emotion_samples, write_voice
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights, save_weights
from pydantic import JsonValue
from torch import Tensor

FRONT_END = ("variance_adaptor.", "spk_tokenizer.", "emo_tokenizer.")
"""Parts that know speakers, emotions, pitch and durations: half of a new style is none."""
ATTRIBUTION = (
    (
        "Speaker hsk: recordings by Yue Tan (2009), Shtooka 'Collection audio libre de mots chinois (mandarin)', "
        "CC BY-SA 3.0 US; trimmed and resampled, emotional versions computed with WORLD"
    ),
    "Speakers zf_* and zm_*: synthetic speech of Kokoro-82M's Mandarin voices (hexgrad, Apache-2.0), no human",
)


def averaged(folder: Path, name: str) -> dict[str, Any]:
    """Read the averaged weights that a training left, how many steps it made, and in how many seconds."""
    state: dict[str, Any] = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)
    return state


def blend(started: Sambert, trained: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Average the weights that training began and ended with, but for those that say how it is spoken."""
    blended = {}
    for name, before in started.state_dict().items():
        after = trained[name].to(before.dtype)
        average = before.is_floating_point() and not name.startswith(FRONT_END)
        blended[name] = torch.lerp(before, after, share) if average else after
    return blended


@torch.no_grad()
def between(before: Generator, after: Generator, share: float) -> None:
    """Average the weights of two vocoders into the second."""
    for old, new in zip(convolutions(before), convolutions(after), strict=True):
        olds, news = (normalize_weight(layer.weight_v, layer.weight_g) for layer in (old, new))
        set_weight(new, torch.lerp(olds, news, share))
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(torch.lerp(old.bias, new.bias, share))


def carry(weights: VoiceWeights, manner: str) -> None:
    """Move the embedding of an emotion, of NAME=FACTOR, so much further from neutral's."""
    name, factor = manner.split("=")
    rows, emotions = weights.acoustic.emo_tokenizer.weight.data, weights.emotions
    rows[emotions[name]] = torch.lerp(rows[emotions["neutral"]], rows[emotions[name]], float(factor))


def load(args: argparse.Namespace) -> tuple[VoiceWeights, dict[str, JsonValue]]:
    """Put new weights into the voice that they were trained from; say how they were trained."""
    weights = load_weights(args.start)
    before = load_bundle(args.start.parent)
    given = {"acoustic": args.acoustic, "vocoder": args.vocoder}
    stays = ("carried", *(name for name, folder in given.items() if not folder))
    summary: dict[str, JsonValue] = {"continuedFrom": before.digest}
    summary |= {name: value for name, value in before.manifest.training.items() if name.startswith(stays)}
    if args.acoustic:
        state = averaged(args.acoustic, "acoustic")
        weights.acoustic.load_state_dict(blend(weights.acoustic, state["averaged"], args.share))
        weights.speakers, weights.emotions = {name: row for row, name in enumerate(SPEAKERS)}, dict(EMOTION_ROWS)
        summary |= {"acousticSteps": state["step"], "acousticMinutes": round(state["spent"] / 60, 1)}
        summary |= {"acousticShare": args.share}
    if args.vocoder:
        state = averaged(args.vocoder, "vocoder")
        channels = len(state["averaged"]["conv_pre.conv1d.bias"])
        started, weights.vocoder = weights.vocoder, Generator(replace(weights.vocoder.config, channels=channels)).eval()
        weights.vocoder.load_state_dict(state["averaged"])
        if args.share < 1.0:
            if channels != started.config.channels:
                raise SystemExit(
                    f"--share {args.share}: the vocoder in {args.vocoder} has {channels} channels and that in "
                    f"{args.start} {started.config.channels}, so that they have no mean; give --share 1"
                )
            between(started, weights.vocoder, args.share)
        summary |= {"vocoderSteps": state["step"], "vocoderMinutes": round(state["spent"] / 60, 1)}
        summary |= {"vocoderShare": args.share}
    for manner in args.carry:
        carry(weights, manner)
    if args.carry:
        earlier = summary.get("carried")
        summary["carried"] = [*(earlier if isinstance(earlier, list) else []), *args.carry]
    return weights, summary


def main() -> None:
    """Export, speak samples, seal, and put the folder in place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder that training started from")
    parser.add_argument("--acoustic", type=Path)
    parser.add_argument("--vocoder", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the new weights; the rest are the old")
    parser.add_argument("--carry", nargs="*", default=[], metavar="EMOTION=FACTOR", help="make emotions stand out more")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.out.parent) as scratch:
        folder = Path(scratch) / "voice"
        folder.mkdir()
        # What ships is rounded to float16, so the graphs are made from the rounded weights too.
        trained, summary = load(args)
        save_weights(trained, folder / "checkpoint")
        weights = load_weights(folder / "checkpoint")
        manifest = write_voice(weights, folder).model_copy(
            update={"name": "base", "training": summary, "attribution": ATTRIBUTION}
        )
        metrics = write_emotion_samples(Engine(seal_bundle(folder, manifest)), folder / "samples")
        bundle = seal_bundle(folder, manifest.model_copy(update={"metrics": metrics}))
        shutil.rmtree(args.out, ignore_errors=True)
        folder.replace(args.out)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {bundle.digest}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
