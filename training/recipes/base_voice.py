"""Make the shipped base voice from the checkpoints of base_acoustic.py and base_vocoder.py.

    python training/recipes/base_voice.py CORPUS ACOUSTIC_DIR VOCODER_DIR voices/base

ACOUSTIC_DIR may be the checkpoint folder of a released voice, such as voices/base/checkpoint: then only the vocoder
is new.
"""

import argparse
import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import torch
from base_acoustic import CONFIG as ACOUSTIC
from base_acoustic import SPEAKERS
from base_vocoder import CONFIG as VOCODER
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Engine
from kubevoice.text import EMOTIONS
from kubevoice.voice import load_bundle, seal_bundle
from kubevoice_training.checkpoint import VoiceWeights, load_weights, save_weights
from kubevoice_training.features import Stats
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.stages.release import emotion_samples, write_voice
from pydantic import JsonValue

ATTRIBUTION = (
    (
        "Speaker hsk: recordings by Yue Tan (2009), Shtooka 'Collection audio libre de mots chinois (mandarin)', "
        "CC BY-SA 3.0 US; trimmed and resampled, emotional versions computed with WORLD"
    ),
    "Speakers zf_* and zm_*: synthetic speech of Kokoro-82M's Mandarin voices (hexgrad, Apache-2.0), no human",
)


def load(acoustic: Path, vocoder: Path, emotions: list[str]) -> tuple[VoiceWeights, dict[str, JsonValue]]:
    """Read both networks and how the vocoder was trained."""
    state = torch.load(vocoder / "vocoder.pt", weights_only=True)
    generator = Generator(VOCODER)
    generator.load_state_dict(state["averaged"])
    summary: dict[str, JsonValue] = {"vocoderSteps": state["step"], "vocoderMinutes": round(state["spent"] / 60)}
    if (acoustic / "labels.json").exists():
        summary["continuedFrom"] = load_bundle(acoustic.parent).digest
        return dataclasses.replace(load_weights(acoustic), vocoder=generator.eval()), summary
    sambert = Sambert(ACOUSTIC)
    sambert.load_state_dict(torch.load(acoustic / "acoustic.pt", weights_only=True)["averaged"])
    stats = json.loads((acoustic / "stats.json").read_text(encoding="utf-8"))
    weights = VoiceWeights(
        acoustic=sambert.eval(),
        vocoder=generator.eval(),
        mel=MelConfig(),
        stats=Stats.from_json(stats),
        speakers={name: row for row, name in enumerate(SPEAKERS)},
        emotions={label: EMOTIONS.index(label) for label in emotions},
    )
    return weights, summary


def main() -> None:
    """Export, speak samples, seal, and put the folder in place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("corpus", "acoustic", "vocoder", "out"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    rows = json.loads((args.corpus / "corpus.json").read_text(encoding="utf-8"))
    labels = sorted({row["emotion"] for row in rows}, key=lambda label: (label != "neutral", label))
    with tempfile.TemporaryDirectory(dir=args.out.parent) as scratch:
        folder = Path(scratch) / "voice"
        folder.mkdir()
        # What ships is rounded to float16, so the graphs are made from the rounded weights too.
        trained, summary = load(args.acoustic, args.vocoder, labels)
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
