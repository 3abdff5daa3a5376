"""Build the corpus of the base voice: HSK words (one human speaker) and Kokoro sentences (seven synthetic ones).

    python training/recipes/base_corpus.py OUT --hsk HSK_DIR --kokoro KOKORO_DIR --sentences SENTENCES_DIR

HSK_DIR holds words.csv and mp3/, KOKORO_DIR metadata.csv and audio/, SENTENCES_DIR what base_sentences.py wrote. Some
clips are added again in each emotion and style, acted with WORLD as in scripts/make_hsk_words.py, so that the base
knows what they may change. Held-out words and everyday sentences never enter. zf_xiaoni is left out: her tones are
wrong. Restartable.

OUT is small enough to carry to a machine with a GPU, and that machine needs no front end: audio/ID.{mp3,ogg} as
recorded or as Opus, clips.json with a row of labels for each clip, features.npz with its symbols' ids and its F0.
"""

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from base_data import MEL, STREAMS, Row, read_audio, texts
from kubevoice.errors import KubeVoiceError
from kubevoice.text import UnitTables, analyse
from kubevoice_training.features.acoustic_features import extract_features, load_audio

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from make_hsk_words import PROSODY_CHANGES, ProsodyChange, change_prosody  # a script, not a package

ACTED = {
    **PROSODY_CHANGES,
    "angry": ProsodyChange(pitch=1.10, pitch_range=1.45, rate=1.18, gain_db=4.0),
    "serious": ProsodyChange(pitch=0.93, pitch_range=0.80, rate=0.92, gain_db=0.0),
    "polite": ProsodyChange(pitch=1.06, pitch_range=0.90, rate=0.95, gain_db=-1.0),
    "narrative": ProsodyChange(pitch=0.96, pitch_range=1.15, rate=0.90, gain_db=0.0),
    "encouraging": ProsodyChange(pitch=1.12, pitch_range=1.30, rate=1.05, gain_db=1.5),
    "calm": ProsodyChange(pitch=0.92, pitch_range=0.65, rate=0.86, gain_db=-2.5),
    "urgent": ProsodyChange(pitch=1.16, pitch_range=0.95, rate=1.30, gain_db=3.0),
}
SENTENCES_ACTED, WORDS_ACTED = 60, 40
"""Clips of each emotion and style; the sentences are those that came with the first corpus."""
FIRST = tuple(f"{sex}_" for sex in ("zf", "zm"))
TARGET_RMS = 0.08
HUMAN = "hsk"
LEFT_OUT_SPEAKER = "zf_xiaoni"
MEDIAN_OF = 20
"""Clips of a speaker that his median F0 is taken from."""


@dataclass(frozen=True, slots=True)
class Source:
    """One recording as it was delivered."""

    id: str
    text: str
    speaker: str
    path: Path


def sources(hsk: Path, kokoro: Path, sentences: Path, share: float) -> Iterator[Source]:
    """List every usable clip, of the words a share."""
    hidden = texts("hsk-heldout.csv") | texts("everyday.csv")
    with (hsk / "words.csv").open(encoding="utf-8") as file:
        words = [row for row in csv.DictReader(file) if row["text"] not in hidden]
    chosen = np.random.default_rng(0).permutation(len(words))[: round(share * len(words))]
    for row in (words[i] for i in sorted(chosen)):
        yield Source(row["id"], row["text"], HUMAN, hsk / row["path"])
    with (kokoro / "metadata.csv").open(encoding="utf-8") as file:
        rows = [row | {"path": str(kokoro / row["path"])} for row in csv.DictReader(file)]
    for index in sorted(sentences.glob("metadata-*.jsonl")):
        lines = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
        rows += [line | {"path": str(sentences / "wavs" / f"{line['id']}.flac")} for line in lines]
    for row in rows:
        if row["speaker"] != LEFT_OUT_SPEAKER and row["text"] not in hidden:
            yield Source(row["id"], row["text"], row["speaker"], Path(row["path"]))


def store(out: Path, source: Source) -> Row:
    """Put a recording into the corpus, as it is if it is compressed already."""
    name = f"{source.id}{source.path.suffix if source.path.suffix in ('.mp3', '.ogg', '.opus') else '.ogg'}"
    target = out / "audio" / name
    if not target.exists():
        if target.suffix == source.path.suffix:
            shutil.copyfile(source.path, target)
        else:
            write_opus(target, load_audio(source.path, MEL.sample_rate))
    return Row(source.id, source.text, source.speaker, "neutral", name)


def write_opus(path: Path, wav: np.ndarray) -> None:
    """Write beside its place, then rename."""
    scratch = path.with_suffix(".tmp")
    soundfile.write(scratch, np.clip(wav, -0.99, 0.99), MEL.sample_rate, format="OGG", subtype="OPUS")
    scratch.replace(path)


def act_copy(out: Path, job: tuple[Row, str, float]) -> Row:
    """Store a clip in another emotion or style; the reference is the speaker's median F0."""
    row, emotion, reference = job
    copy = replace(row, id=f"{row.id}_{emotion}", emotion=emotion, audio=f"{row.id}_{emotion}.ogg")
    if not (out / "audio" / copy.audio).exists():
        wav = read_audio(out, replace(row, gain=1.0)).astype(np.float64)
        write_opus(out / "audio" / copy.audio, change_prosody(wav, ACTED[emotion], reference))
    return copy


def acted(rows: list[Row], medians: dict[str, float]) -> list[tuple[Row, str, float]]:
    """Choose what is acted: other clips in each emotion, all speakers in turn."""
    words = [row for row in rows if row.speaker == HUMAN and len(row.text) >= 2]
    said = [row for row in rows if row.id.startswith(FIRST)]
    draw = np.random.default_rng(1)
    orders = {"words": (words, draw.permutation(len(words))), "said": (said, draw.permutation(len(said)))}
    jobs = []
    for number, emotion in enumerate(ACTED):
        for kind, count in (("words", WORDS_ACTED), ("said", SENTENCES_ACTED)):
            clips, order = orders[kind]
            places = order[number * count : (number + 1) * count]
            jobs += [(clips[i], emotion, medians[clips[i].speaker]) for i in places]
    return jobs


def median_f0(out: Path, rows: list[Row]) -> float:
    """Return the median F0 in Hz over some clips."""
    f0 = np.concatenate([extract_features(read_audio(out, row), MEL).f0 for row in rows[:MEDIAN_OF]])
    return float(np.median(f0[f0 > 0]))


@dataclass(frozen=True, slots=True)
class Read:
    """What a clip says and how: ids [N, 4], F0 [T] in Hz, the sum of its squares and its samples."""

    ling: np.ndarray
    f0: np.ndarray
    energy: float
    samples: int


def read(out: Path, row: Row) -> Read | None:
    """Analyse a clip's text and audio; None if it cannot be learned from."""
    try:
        units = [unit for sentence in analyse(row.text).sentences for unit in sentence.units]
    except KubeVoiceError as error:
        print(f"{row.id} left out: {error}")
        return None
    ids = UnitTables.load().encode(units)
    ling = np.stack([ids[stream] for stream in STREAMS], axis=1).astype(np.int16)
    wav = read_audio(out, row)
    f0 = extract_features(wav, MEL).f0
    if len(f0) < len(ling):
        return None  # each symbol needs a frame
    return Read(ling, f0.astype(np.float16), float(np.square(wav, dtype=np.float64).sum()), len(wav))


def levels(rows: list[Row], found: list[Read]) -> dict[str, float]:
    """Return what each speaker's samples are multiplied by, that all are equally loud when neutral."""
    gains = {}
    for speaker in sorted({row.speaker for row in rows}):
        own = [one for row, one in zip(rows, found, strict=True) if row.speaker == speaker and row.emotion == "neutral"]
        energy, samples = sum(one.energy for one in own), sum(one.samples for one in own)
        gains[speaker] = TARGET_RMS / (energy / samples) ** 0.5
        print(f"{speaker}: {len(own)} clips, {samples / MEL.sample_rate / 60:.1f} min")
    return gains


def main() -> None:
    """Store, level, act, analyse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("hsk", "kokoro", "sentences"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--hsk-share", type=float, default=1.0, help="how many of the words, to save room")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    (args.out / "audio").mkdir(parents=True, exist_ok=True)
    listed = list(sources(args.hsk, args.kokoro, args.sentences, args.hsk_share))
    with ProcessPoolExecutor(args.processes) as pool:
        rows = list(pool.map(partial(store, args.out), listed, chunksize=16))
        by_speaker = {name: [row for row in rows if row.speaker == name] for name in sorted({r.speaker for r in rows})}
        jobs = acted(rows, {name: median_f0(args.out, clips) for name, clips in by_speaker.items()})
        rows += list(pool.map(partial(act_copy, args.out), jobs, chunksize=4))
        print(f"{len(jobs)} acted", flush=True)
        analysed = list(pool.map(partial(read, args.out), rows, chunksize=16))
    rows = [row for row, one in zip(rows, analysed, strict=True) if one]
    found = [one for one in analysed if one]
    gains = levels(rows, found)
    rows = [replace(row, gain=gains[row.speaker]) for row in rows]
    np.savez_compressed(
        args.out / "features.npz",
        symbols=np.array([len(one.ling) for one in found]),
        ling=np.concatenate([one.ling for one in found]),
        frames=np.array([len(one.f0) for one in found]),
        f0=np.concatenate([one.f0 for one in found]),
        eos=np.array([UnitTables.load().eos[stream] for stream in STREAMS]),
    )
    listing = json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=0)
    (args.out / "clips.json").write_text(listing, encoding="utf-8")
    print(f"{len(rows)} clips, {sum(one.samples for one in found) / MEL.sample_rate / 3600:.2f} h")


if __name__ == "__main__":
    main()
