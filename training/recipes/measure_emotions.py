"""Measure how a voice's emotions and styles differ, and the effect of intensity on each.

    python training/recipes/measure_emotions.py builtin://base --output training/recipes/emotions-result.json

The voice synthesizes the first sentences of everyday.csv in every emotion at intensity 1 and 2 (0 is neutral). The
script prints the medians of F0, its range, the speaking rate and the loudness. "stepsToNearest" is the number of just
noticeable steps (`kubevoice_training.evaluation.prosody_metrics.count_noticeable_steps`) to the most similar emotion.
"""

import argparse
import csv
import datetime as dt
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

from kubevoice.engine import Controls, Engine
from kubevoice.voice import builtin_voice
from kubevoice_training.evaluation.prosody_metrics import (
    ProsodyMetrics,
    compute_median,
    count_noticeable_steps,
    synthesize_and_measure,
)

SENTENCES = Path(__file__).with_name("everyday.csv")
INTENSITIES = (1.0, 2.0)


def measure_emotions(engine: Engine, speaker: str, sentences: list[str]) -> dict[str, dict[float, ProsodyMetrics]]:
    """Return the median prosody of each emotion, by intensity."""
    metrics: dict[str, dict[float, ProsodyMetrics]] = {}
    for emotion in (each.label for each in engine.manifest.emotions):
        metrics[emotion] = {}
        for intensity in INTENSITIES[:1] if emotion == "neutral" else INTENSITIES:
            controls = Controls(speaker=speaker, emotion=emotion, intensity=intensity)
            metrics[emotion][intensity] = compute_median(
                [synthesize_and_measure(engine, text, controls).prosody for text in sentences]
            )
            print(speaker, emotion, intensity, metrics[emotion][intensity], flush=True)
    return metrics


def round_metrics(metrics: ProsodyMetrics) -> dict[str, float]:
    """Return metrics with the keys and the rounding of the report."""
    units = {"f0": "f0Hz", "f0_range": "f0RangeSemitones", "rate": "syllablesPerSecond", "level": "lufs"}
    return {units[name]: round(value, 2) for name, value in asdict(metrics).items()}


def build_table(metrics: dict[str, dict[float, ProsodyMetrics]]) -> dict[str, dict[str, object]]:
    """Return the report of each emotion: its metrics, and the nearest other emotion."""
    rows: dict[str, dict[str, object]] = {}
    for emotion, by_intensity in metrics.items():
        others = {
            name: count_noticeable_steps(by_intensity[1.0], other[1.0])
            for name, other in metrics.items()
            if name != emotion
        }
        nearest = min(others, key=others.__getitem__)
        rows[emotion] = {f"intensity{level:g}": round_metrics(each) for level, each in by_intensity.items()}
        rows[emotion] |= {"nearest": nearest, "stepsToNearest": round(others[nearest], 2)}
    return rows


def main() -> None:
    """Measure all speakers and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", help="folder of a bundle, or builtin://NAME")
    parser.add_argument("--speaker", action="append", help="may be repeated; zf_xiaoxiao, zm_yunxi and hsk by default")
    parser.add_argument("--sentences", type=int, default=15)
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    args = parser.parse_args()
    engine = Engine.load(builtin_voice(args.voice) if args.voice.startswith("builtin://") else Path(args.voice))
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        sentences = [row["text"] for row in csv.DictReader(file)][: args.sentences]
    speakers = args.speaker or ["zf_xiaoxiao", "zm_yunxi", "hsk"]
    result = {
        "voice": engine.manifest.name,
        "revision": engine.revision,
        "sentences": len(sentences),
        "speakers": {speaker: build_table(measure_emotions(engine, speaker, sentences)) for speaker in speakers},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    if args.output:
        args.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
