"""Make the shipped base voice from what base_acoustic.py and base_vocoder.py trained.

    python training/recipes/base_voice.py ACOUSTIC_DIR VOCODER_DIR voices/base --start voices/base/checkpoint

What --pack writes, the averaged weights alone, serves as such a folder too: it is what comes back from a lent GPU.

    python training/recipes/base_voice.py ACOUSTIC_DIR VOCODER_DIR OUT --pack
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from base_data import EMOTION_ROWS, SPEAKERS
from base_vocoder import CONFIG as VOCODER
from kubevoice_training.checkpoint import VoiceWeights, load_weights, save_weights
from kubevoice_training.models.hifigan import Generator

if TYPE_CHECKING:
    from pydantic import JsonValue

ATTRIBUTION = (
    (
        "Speaker hsk: recordings by Yue Tan (2009), Shtooka 'Collection audio libre de mots chinois (mandarin)', "
        "CC BY-SA 3.0 US; trimmed and resampled, emotional versions computed with WORLD"
    ),
    "Speakers zf_* and zm_*: synthetic speech of Kokoro-82M's Mandarin voices (hexgrad, Apache-2.0), no human",
)


def averaged(folder: Path, name: str) -> dict[str, Any]:
    """Read the averaged weights that a training left, how many steps it made, and in how many seconds."""
    state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)
    return {key: state[key] for key in ("averaged", "step", "spent")}


def pack(args: argparse.Namespace) -> None:
    """Write the averaged weights of both networks, in float16, as small files."""
    args.out.mkdir(parents=True, exist_ok=True)
    for folder, name in ((args.acoustic, "acoustic"), (args.vocoder, "vocoder")):
        state = averaged(folder, name)
        halves = {key: x.half() if x.is_floating_point() else x for key, x in state["averaged"].items()}
        torch.save(state | {"averaged": halves}, args.out / f"{name}.pt")


def load(args: argparse.Namespace) -> tuple[VoiceWeights, dict[str, "JsonValue"]]:
    """Put both networks together with what the acoustic one started from, and say how they were trained."""
    started = load_weights(args.start)
    acoustic, vocoder = averaged(args.acoustic, "acoustic"), averaged(args.vocoder, "vocoder")
    started.acoustic.load_state_dict(acoustic["averaged"])
    generator = Generator(VOCODER)
    generator.load_state_dict(vocoder["averaged"])
    weights = VoiceWeights(
        acoustic=started.acoustic.eval(),
        vocoder=generator.eval(),
        mel=started.mel,
        stats=started.stats,
        speakers={name: row for row, name in enumerate(SPEAKERS)},
        emotions=EMOTION_ROWS,
    )
    return weights, {
        "acousticSteps": acoustic["step"],
        "acousticMinutes": round(acoustic["spent"] / 60, 1),
        "vocoderSteps": vocoder["step"],
        "vocoderMinutes": round(vocoder["spent"] / 60, 1),
    }


def main() -> None:
    """Export, speak samples, seal, and put the folder in place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("acoustic", "vocoder", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--start", type=Path, help="checkpoint folder that base_acoustic.py started from")
    parser.add_argument("--pack", action="store_true", help="only write the averaged weights to OUT")
    args = parser.parse_args()
    if args.pack:
        pack(args)
        return
    # What only a machine that speaks has; to pack needs none of it.
    from kubevoice.engine import Engine
    from kubevoice.voice import seal_bundle
    from kubevoice_training.stages.release import emotion_samples, write_voice

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
        metrics = emotion_samples(Engine(seal_bundle(folder, manifest)), folder / "samples")
        bundle = seal_bundle(folder, manifest.model_copy(update={"metrics": metrics}))
        shutil.rmtree(args.out, ignore_errors=True)
        folder.replace(args.out)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {bundle.digest}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
