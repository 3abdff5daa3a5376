"""Measure the recognition error of the teacher's own speech, a bound for a voice that is trained on it.

    python training/recipes/measure_teacher.py training/recipes/everyday.csv --speakers zf_xiaoxiao af_heart \
        --teacher teacher/lib/python3.11/site-packages --voices package/voices

Teacher and voices are those of base_sentences.py; the teacher gets the readings of our front end. The script prints a
JSON line for each speaker, with pinyin error rates computed as in measure_heldout.py. Texts that the teacher cannot
spell are left out.
"""

import argparse
import csv
import json
from pathlib import Path

from base_sentences import SAMPLE_RATE, Teacher
from kubevoice.text import analyse
from kubevoice_training.evaluation.recognition import compute_pinyin_error_rate, transcribe


def main() -> None:
    """Synthesize and transcribe the texts and print the error rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, help="CSV with a column text")
    parser.add_argument("--speakers", nargs="+", required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--voices", type=Path, required=True)
    args = parser.parse_args()
    with args.texts.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    teacher = Teacher(args.teacher, args.voices, args.speakers)
    for speaker in args.speakers:
        speech = ((text, teacher.try_synthesize(analyse(text), speaker)) for text in texts)
        pairs = [(text, transcribe(audio, SAMPLE_RATE)) for text, audio in speech if audio is not None]
        result = {
            "speaker": speaker,
            "texts": len(pairs),
            "pinyinErrorRate": round(compute_pinyin_error_rate(pairs), 4),
            "pinyinErrorRateWithTones": round(compute_pinyin_error_rate(pairs, tones=True), 4),
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
