"""Count the held-out HSK words of a voice that Whisper-base recognises, by pinyin without tones.

    python training/recipes/measure_heldout.py builtin://base --output training/recipes/hsk-heldout-result.json
    python training/recipes/measure_heldout.py builtin://base --words training/recipes/everyday.csv --speaker zm_yunxi

The fifty words are in no training data. Whisper-base recognises 36 of the speaker's own recordings of them, so that is
the highest score to expect. Choose between voices by --words hsk-choosing.csv, not by these fifty. everyday.csv has a
hundred sentences that were written for this measurement and are in no training data. Choose between voices for
sentences by everyday-choosing.csv.
"""

import argparse
import csv
import datetime as dt
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import soundfile
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.voice import builtin_voice
from kubevoice_training.evaluation.recognition import compute_edit_distance, to_pinyin, transcribe

WORDS = Path(__file__).with_name("hsk-heldout.csv")


def main() -> None:
    """Synthesize and transcribe the words and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", help="folder of a bundle, or builtin://NAME")
    parser.add_argument("--speaker", help="speaker of the voice; its first by default")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--words", type=Path, default=WORDS, help="others: hsk-choosing.csv, everyday.csv")
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    parser.add_argument("--recordings", type=Path, help="folder to write the speech to")
    args = parser.parse_args()
    engine = Engine.load(builtin_voice(args.voice) if args.voice.startswith("builtin://") else Path(args.voice))
    with args.words.open(encoding="utf-8", newline="") as file:
        words = [row["text"] for row in csv.DictReader(file)]
    rows: list[dict[str, str]] = []
    edits, toned_edits, syllables, seconds, samples_count = 0, 0, 0, 0.0, 0
    for number, word in enumerate(words):
        began = time.perf_counter()
        audio = synthesize_text(engine, word, Controls(speaker=args.speaker, speed=args.speed))
        seconds, samples_count = seconds + time.perf_counter() - began, samples_count + len(audio)
        if args.recordings:
            args.recordings.mkdir(parents=True, exist_ok=True)
            samples = np.clip(audio, -1.0, 1.0)
            soundfile.write(args.recordings / f"{number:02}-{word}.wav", samples, engine.sample_rate)
        text = transcribe(audio, engine.sample_rate)
        expected, recognised = to_pinyin(word), to_pinyin(text)
        edits, syllables = edits + compute_edit_distance(expected, recognised), syllables + len(expected)
        toned_edits += compute_edit_distance(to_pinyin(word, tones=True), to_pinyin(text, tones=True))
        rows.append({"word": word, "said": " ".join(expected), "heard": " ".join(recognised)})
        print(
            f"{'ok ' if expected == recognised else '-- '} {word} {' '.join(expected)} | {' '.join(recognised)}",
            flush=True,
        )
    recognised_count = sum(row["said"] == row["heard"] for row in rows)
    result = {
        "voice": engine.manifest.name,
        "revision": engine.revision,
        "speaker": args.speaker or engine.manifest.speakers[0],
        "speed": args.speed,
        "words": len(rows),
        "recognised": recognised_count,
        "pinyinErrorRate": round(edits / syllables, 4),
        "pinyinErrorRateWithTones": round(toned_edits / syllables, 4),
        "realTimeFactor": round(seconds * engine.sample_rate / samples_count, 4),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    print(json.dumps(result, ensure_ascii=False))
    if args.output:
        args.output.write_text(json.dumps(result | {"detail": rows}, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
