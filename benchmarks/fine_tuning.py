"""Measure what the example's fine-tuning gains over its base voice, on clips that neither was trained on.

    make demo
    .venv/bin/python benchmarks/fine_tuning.py .kubevoice/jobs > benchmarks/results/fine_tuning.json

Both voices are exported, and the engine's speech is compared with the recordings. The dev loss is that of training.
Then both synthesize the words of training/recipes/hsk-heldout.csv, which are in no training data, or the texts of
--words, and Whisper-base transcribes the speech; errors are counted in pinyin. The base voice was trained on other
recordings of the example's speaker, so the gain is small. It keeps its own rows for the example's emotions. For a
speaker that the base voice was not trained on, see training/recipes/new_speaker.py.
"""

import argparse
import csv
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.text import UnitTables
from kubevoice.text.units import STREAMS
from kubevoice.voice import seal_bundle
from kubevoice.voice.builtin import builtin_voice
from kubevoice_training.evaluation.recognition import compute_pinyin_error_rate, transcribe
from kubevoice_training.evaluation.voice_metrics import analyze_clip, compute_metrics
from kubevoice_training.features.feature_store import FeatureSet, read_features
from kubevoice_training.finetuning.acoustic_step import compute_losses
from kubevoice_training.finetuning.collation import collate
from kubevoice_training.finetuning.embedding_tables import add_dataset_stats, remap_embeddings
from kubevoice_training.stages.train import normalize_corpus
from kubevoice_training.stages.trained_bundle import write_voice
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights

WORDS = Path(__file__).parents[1] / "training" / "recipes" / "hsk-heldout.csv"


@torch.no_grad()
def compute_dev_losses(weights: VoiceWeights, features: FeatureSet) -> dict[str, float]:
    """Return each term of the loss over the held-out clips."""
    tables, model = UnitTables.load(), weights.acoustic.eval()
    clips, eos = normalize_corpus(features, weights).dev, [tables.eos[stream] for stream in STREAMS]
    terms = compute_losses(model, collate(clips, eos, model.config.outputs_per_step), weights.stats)
    return {name: float(getattr(terms, name)) for name in terms.__slots__}


def measure_word_errors(engine: Engine, speaker: str, path: Path) -> dict[str, float]:
    """Return the pinyin error rate of the texts of a CSV file, without tones and with them."""
    with path.open(encoding="utf-8", newline="") as file:
        words = [row["text"] for row in csv.DictReader(file)]
    pairs = [
        (word, transcribe(synthesize_text(engine, word, Controls(speaker=speaker)), engine.sample_rate))
        for word in words
    ]
    return {
        "words.pinyinErrorRate": compute_pinyin_error_rate(pairs),
        "words.pinyinErrorRateWithTones": compute_pinyin_error_rate(pairs, tones=True),
    }


def measure_voice(weights: VoiceWeights, features: FeatureSet, path: Path) -> dict[str, float]:
    """Return the metrics of a voice's speech, for the held-out clips and for the texts of a CSV file."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(seal_bundle(Path(folder), write_voice(weights, Path(folder))))
        clips = [
            analyze_clip(
                u.text, synthesize_text(engine, u.text, Controls(speaker=u.speaker, emotion=u.emotion)), features.mel, u
            )
            for u in features.utterances
            if u.dev
        ]
        words = measure_word_errors(engine, features.speakers[0], path)
    metrics, _ = compute_metrics(clips, features.mel)
    return metrics | words


def main() -> None:
    """Measure both voices and print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", type=Path, help="folder in which `make demo` wrote its stages")
    parser.add_argument("--words", type=Path, default=WORDS, help="CSV with a column text")
    args = parser.parse_args()
    folder = next(args.jobs.glob("*-train-*")) / "workspace"
    features, tuned = read_features(folder / "features"), load_weights(folder / "checkpoint")
    base = remap_embeddings(
        add_dataset_stats(load_weights(builtin_voice("builtin://base") / "checkpoint"), features),
        features.speakers,
        features.emotions,
    )
    report: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "clips": sum(u.dev for u in features.utterances),
    }
    for name, weights in (("base", base), ("fineTuned", tuned)):
        metrics = {
            f"loss.{term}": value for term, value in compute_dev_losses(weights, features).items()
        } | measure_voice(weights, features, args.words)
        report[name] = {
            key: float(np.format_float_positional(value, 4, fractional=False)) for key, value in metrics.items()
        }
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
