"""Count how many of the fifty held-out HSK words of a voice Whisper-base recognises, by toneless pinyin.

    python training/recipes/measure_heldout.py builtin://base --output training/recipes/hsk-heldout-result.json
    python training/recipes/measure_heldout.py builtin://base --words training/recipes/everyday.csv --speaker zm_yunxi

The words were in no training data. The speaker's own recordings of them reach 36 of 50 under the same rule, so that
is the ceiling of the instrument, not 50. Voices are chosen by --words hsk-choosing.csv, never by these fifty.
everyday.csv has a hundred sentences of everyday life, written for this measurement and in no training data.
By those of everyday-choosing.csv voices for sentences are chosen.
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
    """Speak, recognise, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", help="folder of a bundle, or builtin://NAME")
    parser.add_argument("--speaker", help="speaker of the voice; the first if none is named")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--words", type=Path, default=WORDS, help="others: hsk-choosing.csv, everyday.csv")
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    parser.add_argument("--recordings", type=Path, help="folder to keep what was spoken in")
    args = parser.parse_args()
    engine = Engine.load(builtin_voice(args.voice) if args.voice.startswith("builtin://") else Path(args.voice))
    with args.words.open(encoding="utf-8", newline="") as file:
        words = [row["text"] for row in csv.DictReader(file)]
    rows: list[dict[str, str]] = []
    edits, toned_edits, syllables, spent, spoken = 0, 0, 0, 0.0, 0
    for number, word in enumerate(words):
        began = time.perf_counter()
        audio = synthesize_text(engine, word, Controls(speaker=args.speaker, speed=args.speed))
        spent, spoken = spent + time.perf_counter() - began, spoken + len(audio)
        if args.recordings:
            args.recordings.mkdir(parents=True, exist_ok=True)
            samples = np.clip(audio, -1.0, 1.0)
            soundfile.write(args.recordings / f"{number:02}-{word}.wav", samples, engine.sample_rate)
        text = transcribe(audio, engine.sample_rate)
        said, heard = to_pinyin(word), to_pinyin(text)
        edits, syllables = edits + compute_edit_distance(said, heard), syllables + len(said)
        toned_edits += compute_edit_distance(to_pinyin(word, tones=True), to_pinyin(text, tones=True))
        rows.append({"word": word, "said": " ".join(said), "heard": " ".join(heard)})
        print(f"{'ok ' if said == heard else '-- '} {word} {' '.join(said)} | {' '.join(heard)}", flush=True)
    right = sum(row["said"] == row["heard"] for row in rows)
    result = {
        "voice": engine.manifest.name,
        "revision": engine.revision,
        "speaker": args.speaker or engine.manifest.speakers[0],
        "speed": args.speed,
        "words": len(rows),
        "recognised": right,
        "pinyinErrorRate": round(edits / syllables, 4),
        "pinyinErrorRateWithTones": round(toned_edits / syllables, 4),
        "realTimeFactor": round(spent * engine.sample_rate / spoken, 4),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    print(json.dumps(result, ensure_ascii=False))
    if args.output:
        args.output.write_text(json.dumps(result | {"detail": rows}, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
