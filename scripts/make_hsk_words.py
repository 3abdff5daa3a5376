"""Make the example data set: recordings of HSK words, some of them changed with WORLD to sound happy or sad.

    python scripts/make_hsk_words.py hsk-words-mandarin.tar examples/hsk-words

The archive holds words.csv (id,text,path) and one MP3 a word, read by Yue Tan (CC BY-SA 3.0 US). The output
folder gets wavs/*.flac (24 kHz, mono, 16 bit) and metadata.csv (id,text,emotion,wav_path). The same archive
and the same library versions give the same bytes. Words held out for measuring voices are written to
training/recipes/hsk-heldout.csv and never enter the data set.

A happy version is higher, wider in range, quicker and louder than the recording, a sad one the opposite.
The changes use the WORLD vocoder (Morise, Yokomori and Ozawa, 2016).
"""

import argparse
import csv
import io
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyworld
import soundfile as sf
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 24000
HELD_OUT = 50
PAIRS = 150  # words of two characters
PHRASES = 30  # words of three and four characters
HEADROOM = 10.0 ** (-3.0 / 20.0)  # -3 dB for every clip alike, so that the louder emotion does not clip
FRAME_MS = 5.0
REFERENCE_F0 = 247.0  # Hz; the speaker's median, the fixed point of the change of range
HIGHEST_F0 = 500.0  # Hz

Audio = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Word:
    """One row of words.csv."""

    id: str
    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Manner:
    """How an emotional version differs from the recording.

    F0 becomes `reference * pitch * (F0 / reference) ** pitch_range`; the rate is multiplied by `rate`
    and the level changed by `gain_db`.
    """

    pitch: float
    pitch_range: float
    rate: float
    gain_db: float


MANNERS = {
    "happy": Manner(pitch=1.22, pitch_range=1.20, rate=1.12, gain_db=2.0),
    "sad": Manner(pitch=0.83, pitch_range=0.70, rate=0.82, gain_db=-3.0),
}


def evenly(words: Sequence[Word], count: int) -> list[Word]:
    """Return `count` words at equal distances."""
    step = len(words) // count
    return list(words[step // 2 :: step][:count])


def choose(words: Iterable[Word]) -> tuple[list[Word], list[Word]]:
    """Split off the held-out words and pick the example's words, each in the archive's order."""
    multi = [word for word in words if len(word.text) >= 2]
    held_out = evenly(multi, HELD_OUT)
    hidden = {word.text for word in held_out}
    free = [word for word in multi if word.text not in hidden]
    pairs = evenly([word for word in free if len(word.text) == 2], PAIRS)
    phrases = evenly([word for word in free if len(word.text) in (3, 4)], PHRASES)
    return held_out, sorted(pairs + phrases, key=lambda word: word.id)


def read_words(archive: tarfile.TarFile) -> list[Word]:
    """Read words.csv."""
    table = io.StringIO(read_member(archive, "words.csv").decode("utf-8"))
    return [Word(row["id"], row["text"], row["path"]) for row in csv.DictReader(table)]


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """Return one file of the archive; KeyError if there is none."""
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no regular file")
    return file.read()


def decode(data: bytes) -> Audio:
    """Decode one MP3 to mono samples at 24 kHz, silence trimmed."""
    wav, rate = sf.read(io.BytesIO(data), dtype="float64", always_2d=True)
    return trim(soxr.resample(wav.mean(axis=1), rate, SAMPLE_RATE, quality="VHQ") * HEADROOM)


def trim(wav: Audio, floor_db: float = -28.0, margin: float = 0.09, fade: float = 0.01) -> Audio:
    """Cut what is more than `-floor_db` below the loudest 10 ms off both ends, less a margin; fade the cuts.

    The recordings' background lies 33 to 50 dB below the speech. `margin` and `fade` are in seconds.
    """
    frame = SAMPLE_RATE // 100
    power = np.square(wav[: len(wav) // frame * frame]).reshape(-1, frame).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10.0 ** (floor_db / 10.0))
    keep = int(margin * SAMPLE_RATE)
    cut = wav[max(0, loud[0] * frame - keep) : (loud[-1] + 1) * frame + keep].copy()
    ramp = np.linspace(0.0, 1.0, int(fade * SAMPLE_RATE))
    cut[: len(ramp)] *= ramp
    cut[-len(ramp) :] *= ramp[::-1]
    return cut


def act(wav: Audio, manner: Manner, reference: float = REFERENCE_F0) -> Audio:
    """Return `wav` [samples] spoken in another manner; `reference` is the speaker's median F0 in Hz."""
    f0, times = pyworld.harvest(wav, SAMPLE_RATE, f0_floor=80.0, f0_ceil=HIGHEST_F0, frame_period=FRAME_MS)
    envelope = pyworld.cheaptrick(wav, f0, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(wav, f0, times, SAMPLE_RATE)
    voiced = f0 > 0.0
    changed = np.zeros_like(f0)
    changed[voiced] = reference * manner.pitch * (f0[voiced] / reference) ** manner.pitch_range
    changed = np.minimum(changed, HIGHEST_F0)
    spoken = pyworld.synthesize(changed, envelope, aperiodicity, SAMPLE_RATE, FRAME_MS / manner.rate)
    # Energy in each sample, not in sum: a slower version is not louder for being longer.
    level = np.sqrt(np.mean(wav**2) / np.mean(spoken**2)) * 10.0 ** (manner.gain_db / 20.0)
    return np.asarray(spoken * min(level, 0.99 / np.abs(spoken).max()), dtype=np.float64)


def versions(word: Word, wav: Audio, *, emotional: bool) -> Iterator[tuple[dict[str, str], Audio]]:
    """Yield the recording and, where asked for, its emotional versions, each with its row of metadata.csv."""
    named = {"neutral": (word.id, wav)}
    if emotional:
        named |= {emotion: (f"{word.id}_{emotion}", act(wav, manner)) for emotion, manner in MANNERS.items()}
    for emotion, (clip, audio) in named.items():
        yield {"id": clip, "text": word.text, "emotion": emotion, "wav_path": f"wavs/{clip}.flac"}, audio


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write a CSV file with the header of the first row's keys."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make(archive_path: Path, output: Path, held_out_path: Path) -> list[dict[str, str]]:
    """Write the data set and the held-out list; return the rows of metadata.csv."""
    wavs = output / "wavs"
    wavs.mkdir(parents=True, exist_ok=True)
    for stale in wavs.glob("*.flac"):
        stale.unlink()
    rows = []
    with tarfile.open(archive_path) as archive:
        held_out, chosen = choose(read_words(archive))
        write_table(held_out_path, [{"id": word.id, "text": word.text} for word in held_out])
        for position, word in enumerate(chosen):
            recording = decode(read_member(archive, word.path))
            # Every second word in all three emotions: the same words in each keep emotion apart from content.
            for row, audio in versions(word, recording, emotional=position % 2 == 0):
                sf.write(output / row["wav_path"], audio, SAMPLE_RATE, subtype="PCM_16")
                rows.append(row)
    write_table(output / "metadata.csv", rows)
    return rows


def main() -> None:
    """Read the arguments and make the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="hsk-words-mandarin.tar")
    parser.add_argument("output", type=Path, help="folder to write, e.g. examples/hsk-words")
    default = Path(__file__).resolve().parent.parent / "training" / "recipes" / "hsk-heldout.csv"
    parser.add_argument("--held-out", type=Path, default=default, help="list of held-out words to write")
    args = parser.parse_args()
    if not args.archive.is_file():
        sys.exit(f"{args.archive}: no such file; give the path of hsk-words-mandarin.tar")
    rows = make(args.archive, args.output, args.held_out)
    seconds = sum(sf.info(args.output / row["wav_path"]).duration for row in rows)
    print(f"{args.output}: {len(rows)} clips, {seconds:.0f} s")


if __name__ == "__main__":
    main()
