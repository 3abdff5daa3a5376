"""Build the corpus of the base voice: HSK words (one human speaker) and Kokoro sentences (seven synthetic ones).

    python training/recipes/base_corpus.py OUT --hsk HSK_DIR --kokoro KOKORO_DIR --sentences SENTENCES_DIR

HSK_DIR has words.csv and mp3/, KOKORO_DIR metadata.csv and audio/, SENTENCES_DIR the output of base_sentences.py. Some
clips are added again in each emotion and style; WORLD changes their prosody, as in scripts/make_hsk_words.py. Held-out
words and everyday sentences are excluded. zf_xiaoni is excluded because her tones are wrong. A run that was stopped can
be started again.

OUT is small enough to copy to a machine with a GPU, and that machine needs no front end. It gets audio/ID.{mp3,ogg}, as
recorded or as Opus, clips.json with a row of labels for each clip, and features.npz with the ids of its symbols and its
F0.
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
from base_data import MEL, STREAMS, Row, read_audio, read_texts
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
"""Clips of each emotion and style. The sentences are those of KOKORO_DIR."""
KOKORO_PREFIXES = tuple(f"{sex}_" for sex in ("zf", "zm"))
TARGET_RMS = 0.08
HUMAN = "hsk"
LEFT_OUT_SPEAKER = "zf_xiaoni"
MEDIAN_CLIPS = 20
"""Clips of a speaker from which the median F0 is measured."""


@dataclass(frozen=True, slots=True)
class Source:
    """A recording of one of the three sources."""

    id: str
    text: str
    speaker: str
    path: Path


def iter_sources(hsk: Path, kokoro: Path, sentences: Path, share: float) -> Iterator[Source]:
    """Yield every usable recording.

    Parameters
    ----------
    share
        How many of the words to use, 0 to 1.
    """
    held_out_texts = read_texts("hsk-heldout.csv") | read_texts("everyday.csv")
    with (hsk / "words.csv").open(encoding="utf-8") as file:
        words = [row for row in csv.DictReader(file) if row["text"] not in held_out_texts]
    chosen = np.random.default_rng(0).permutation(len(words))[: round(share * len(words))]
    for row in (words[i] for i in sorted(chosen)):
        yield Source(row["id"], row["text"], HUMAN, hsk / row["path"])
    with (kokoro / "metadata.csv").open(encoding="utf-8") as file:
        rows = [row | {"path": str(kokoro / row["path"])} for row in csv.DictReader(file)]
    for index in sorted(sentences.glob("metadata-*.jsonl")):
        lines = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
        rows += [line | {"path": str(sentences / "wavs" / f"{line['id']}.flac")} for line in lines]
    for row in rows:
        if row["speaker"] != LEFT_OUT_SPEAKER and row["text"] not in held_out_texts:
            yield Source(row["id"], row["text"], row["speaker"], Path(row["path"]))


def store_recording(out: Path, source: Source) -> Row:
    """Write a recording into the corpus and return its row; compressed files are copied."""
    name = f"{source.id}{source.path.suffix if source.path.suffix in ('.mp3', '.ogg', '.opus') else '.ogg'}"
    target = out / "audio" / name
    if not target.exists():
        if target.suffix == source.path.suffix:
            shutil.copyfile(source.path, target)
        else:
            write_opus(target, load_audio(source.path, MEL.sample_rate))
    return Row(source.id, source.text, source.speaker, "neutral", name)


def write_opus(path: Path, wav: np.ndarray) -> None:
    """Write samples at the voice's sample rate as Opus, atomically."""
    scratch = path.with_suffix(".tmp")
    soundfile.write(scratch, np.clip(wav, -0.99, 0.99), MEL.sample_rate, format="OGG", subtype="OPUS")
    scratch.replace(path)


def store_acted_copy(out: Path, job: tuple[Row, str, float]) -> Row:
    """Write a copy of a clip in another emotion or style and return its row.

    Parameters
    ----------
    job
        The clip, the emotion or style, and the speaker's median F0 in Hz.
    """
    row, emotion, reference = job
    copy = replace(row, id=f"{row.id}_{emotion}", emotion=emotion, audio=f"{row.id}_{emotion}.ogg")
    if not (out / "audio" / copy.audio).exists():
        wav = read_audio(out, replace(row, gain=1.0)).astype(np.float64)
        write_opus(out / "audio" / copy.audio, change_prosody(wav, ACTED[emotion], reference))
    return copy


def choose_acted_clips(rows: list[Row], medians: dict[str, float]) -> list[tuple[Row, str, float]]:
    """Choose clips to copy in each emotion and style; no clip is chosen twice."""
    words = [row for row in rows if row.speaker == HUMAN and len(row.text) >= 2]
    sentences = [row for row in rows if row.id.startswith(KOKORO_PREFIXES)]
    rng = np.random.default_rng(1)
    orders = {"words": (words, rng.permutation(len(words))), "sentences": (sentences, rng.permutation(len(sentences)))}
    jobs = []
    for number, emotion in enumerate(ACTED):
        for kind, count in (("words", WORDS_ACTED), ("sentences", SENTENCES_ACTED)):
            clips, order = orders[kind]
            places = order[number * count : (number + 1) * count]
            jobs += [(clips[i], emotion, medians[clips[i].speaker]) for i in places]
    return jobs


def measure_median_f0(out: Path, rows: list[Row]) -> float:
    """Return the median F0 in Hz of a speaker's first clips."""
    f0 = np.concatenate([extract_features(read_audio(out, row), MEL).f0 for row in rows[:MEDIAN_CLIPS]])
    return float(np.median(f0[f0 > 0]))


@dataclass(frozen=True, slots=True)
class ClipAnalysis:
    """The units and measurements of a clip.

    Attributes
    ----------
    ling
        Ids [N, 4].
    f0
        [T] in Hz.
    energy
        Sum of the squares of the samples.
    samples
        Number of samples.
    """

    ling: np.ndarray
    f0: np.ndarray
    energy: float
    samples: int


def analyse_clip(out: Path, row: Row) -> ClipAnalysis | None:
    """Analyse a clip's text and audio; None if the text has no units or the clip too few frames."""
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
        return None  # Each symbol needs a frame.
    return ClipAnalysis(ling, f0.astype(np.float16), float(np.square(wav, dtype=np.float64).sum()), len(wav))


def compute_gains(rows: list[Row], analyses: list[ClipAnalysis]) -> dict[str, float]:
    """Return a gain for each speaker that gives all neutral clips the same RMS level."""
    gains = {}
    for speaker in sorted({row.speaker for row in rows}):
        own = [
            one for row, one in zip(rows, analyses, strict=True) if row.speaker == speaker and row.emotion == "neutral"
        ]
        energy, samples = sum(one.energy for one in own), sum(one.samples for one in own)
        gains[speaker] = TARGET_RMS / (energy / samples) ** 0.5
        print(f"{speaker}: {len(own)} clips, {samples / MEL.sample_rate / 60:.1f} min")
    return gains


def main() -> None:
    """Read the arguments and build the corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("hsk", "kokoro", "sentences"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--hsk-share", type=float, default=1.0, help="share of the words to use, to save space")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    (args.out / "audio").mkdir(parents=True, exist_ok=True)
    sources = list(iter_sources(args.hsk, args.kokoro, args.sentences, args.hsk_share))
    with ProcessPoolExecutor(args.processes) as pool:
        rows = list(pool.map(partial(store_recording, args.out), sources, chunksize=16))
        by_speaker = {name: [row for row in rows if row.speaker == name] for name in sorted({r.speaker for r in rows})}
        jobs = choose_acted_clips(
            rows, {name: measure_median_f0(args.out, clips) for name, clips in by_speaker.items()}
        )
        rows += list(pool.map(partial(store_acted_copy, args.out), jobs, chunksize=4))
        print(f"{len(jobs)} acted clips", flush=True)
        results = list(pool.map(partial(analyse_clip, args.out), rows, chunksize=16))
    rows = [row for row, result in zip(rows, results, strict=True) if result]
    analyses = [result for result in results if result]
    gains = compute_gains(rows, analyses)
    rows = [replace(row, gain=gains[row.speaker]) for row in rows]
    np.savez_compressed(
        args.out / "features.npz",
        symbols=np.array([len(analysis.ling) for analysis in analyses]),
        ling=np.concatenate([analysis.ling for analysis in analyses]),
        frames=np.array([len(analysis.f0) for analysis in analyses]),
        f0=np.concatenate([analysis.f0 for analysis in analyses]),
        eos=np.array([UnitTables.load().eos[stream] for stream in STREAMS]),
    )
    listing = json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=0)
    (args.out / "clips.json").write_text(listing, encoding="utf-8")
    print(f"{len(rows)} clips, {sum(analysis.samples for analysis in analyses) / MEL.sample_rate / 3600:.2f} h")


if __name__ == "__main__":
    main()
