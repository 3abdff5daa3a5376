"""Make the built-in base voice of the weights that base_acoustic.py and base_vocoder.py trained.

    python training/recipes/base_voice.py voices/base --start voices/base/checkpoint --acoustic DIR --vocoder DIR

DIR is the folder packed/ of a training. A network that is not given stays that of the voice in --start.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from base_data import EMOTION_ROWS, SPEAKERS
from base_vocoder import list_convolutions
from kubevoice.engine import Engine
from kubevoice.voice import load_bundle, seal_bundle
from kubevoice_training.evaluation.emotion_samples import write_emotion_samples
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.models.weight_norm import normalize_weight, set_weight
from kubevoice_training.stages.trained_bundle import write_voice
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights, save_weights
from pydantic import JsonValue
from torch import Tensor

PROSODY_PARTS = ("variance_adaptor.", "spk_tokenizer.", "emo_tokenizer.")
"""Modules of speakers, emotions, pitch and durations. They are not averaged, because a mean of styles is no style."""
ATTRIBUTION = (
    (
        "Speaker hsk: recordings by Yue Tan (2009), Shtooka 'Collection audio libre de mots chinois (mandarin)', "
        "CC BY-SA 3.0 US; trimmed and resampled, emotional versions computed with WORLD"
    ),
    "Speakers zf_* and zm_*: synthetic speech of Kokoro-82M's Mandarin voices (hexgrad, Apache-2.0), no human",
)


def load_averaged(folder: Path, name: str) -> dict[str, Any]:
    """Return the averaged weights of a training, its number of steps, and its seconds."""
    state: dict[str, Any] = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)
    return state


def blend(before_model: Sambert, trained: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Interpolate the weights before and after training, except those of PROSODY_PARTS, which are the trained ones.

    Parameters
    ----------
    share
        Weight of the trained weights, 0 to 1.
    """
    weights = {}
    for name, before in before_model.state_dict().items():
        after = trained[name].to(before.dtype)
        average = before.is_floating_point() and not name.startswith(PROSODY_PARTS)
        weights[name] = torch.lerp(before, after, share) if average else after
    return weights


@torch.no_grad()
def interpolate_vocoders(before: Generator, after: Generator, share: float) -> None:
    """Set the weights of `after` to an interpolation of both vocoders' weights.

    Parameters
    ----------
    share
        Weight of `after`, 0 to 1.
    """
    for old, new in zip(list_convolutions(before), list_convolutions(after), strict=True):
        olds, news = (normalize_weight(layer.weight_v, layer.weight_g) for layer in (old, new))
        set_weight(new, torch.lerp(olds, news, share))
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(torch.lerp(old.bias, new.bias, share))


def move_emotion(weights: VoiceWeights, setting: str) -> None:
    """Move the embedding of an emotion away from neutral's.

    Parameters
    ----------
    setting
        NAME=FACTOR; the factor of the distance.
    """
    name, factor = setting.split("=")
    rows, emotions = weights.acoustic.emo_tokenizer.weight.data, weights.emotions
    rows[emotions[name]] = torch.lerp(rows[emotions["neutral"]], rows[emotions[name]], float(factor))


def load_trained_voice(args: argparse.Namespace) -> tuple[VoiceWeights, dict[str, JsonValue]]:
    """Put new weights into the voice in --start; return it, and how it was trained."""
    weights = load_weights(args.start)
    before = load_bundle(args.start.parent)
    folders = {"acoustic": args.acoustic, "vocoder": args.vocoder}
    unchanged = ("carried", *(name for name, folder in folders.items() if not folder))
    summary: dict[str, JsonValue] = {"continuedFrom": before.digest}
    summary |= {name: value for name, value in before.manifest.training.items() if name.startswith(unchanged)}
    if args.acoustic:
        state = load_averaged(args.acoustic, "acoustic")
        weights.acoustic.load_state_dict(blend(weights.acoustic, state["averaged"], args.share))
        weights.speakers, weights.emotions = {name: row for row, name in enumerate(SPEAKERS)}, dict(EMOTION_ROWS)
        summary |= {"acousticSteps": state["step"], "acousticMinutes": round(state["spent"] / 60, 1)}
        summary |= {"acousticShare": args.share}
    if args.vocoder:
        state = load_averaged(args.vocoder, "vocoder")
        channels = len(state["averaged"]["conv_pre.conv1d.bias"])
        start_vocoder, weights.vocoder = (
            weights.vocoder,
            Generator(replace(weights.vocoder.config, channels=channels)).eval(),
        )
        weights.vocoder.load_state_dict(state["averaged"])
        if args.share < 1.0:
            if channels != start_vocoder.config.channels:
                raise SystemExit(
                    f"--share {args.share}: the vocoder in {args.vocoder} has {channels} channels and that in "
                    f"{args.start} {start_vocoder.config.channels}, so they cannot be averaged; give --share 1"
                )
            interpolate_vocoders(start_vocoder, weights.vocoder, args.share)
        summary |= {"vocoderSteps": state["step"], "vocoderMinutes": round(state["spent"] / 60, 1)}
        summary |= {"vocoderShare": args.share}
    for setting in args.carry:
        move_emotion(weights, setting)
    if args.carry:
        earlier = summary.get("carried")
        summary["carried"] = [*(earlier if isinstance(earlier, list) else []), *args.carry]
    return weights, summary


def main() -> None:
    """Export the voice, synthesize samples, seal the bundle and replace the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="checkpoint folder that training started from")
    parser.add_argument("--acoustic", type=Path)
    parser.add_argument("--vocoder", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="weight of the trained weights, 0 to 1")
    parser.add_argument(
        "--carry",
        nargs="*",
        default=[],
        metavar="EMOTION=FACTOR",
        help="move the embedding of an emotion away from neutral's",
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.out.parent) as scratch:
        folder = Path(scratch) / "voice"
        folder.mkdir()
        # The checkpoint is rounded to float16. Export the rounded weights, too.
        trained, summary = load_trained_voice(args)
        save_weights(trained, folder / "checkpoint")
        weights = load_weights(folder / "checkpoint")
        manifest = write_voice(weights, folder).model_copy(
            update={"name": "base", "training": summary, "attribution": ATTRIBUTION}
        )
        metrics = write_emotion_samples(Engine(seal_bundle(folder, manifest)), folder / "samples").metrics
        bundle = seal_bundle(folder, manifest.model_copy(update={"metrics": metrics}))
        shutil.rmtree(args.out, ignore_errors=True)
        folder.replace(args.out)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {bundle.digest}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
