"""Make the example dataset: recordings of HSK words, some of them changed with WORLD to sound happy or sad.

    python scripts/make_hsk_words.py hsk-words-mandarin.tar examples/hsk-words

The archive has words.csv (id,text,path) and one MP3 for each word, read by Yue Tan (CC BY-SA 3.0 US). The output
folder gets wavs/*.flac (24 kHz, mono, 16 bit) and metadata.csv (id,text,emotion,wav_path). The same archive
and the same library versions give the same bytes. The words held out for evaluation are written to
training/recipes/hsk-heldout.csv and are not in the dataset.

A happy version has a higher F0 with a wider range, and is faster and louder than the recording; a sad one is the
opposite. The changes use the WORLD vocoder (Morise, Yokomori and Ozawa, 2016).
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
HEADROOM = 10.0 ** (-3.0 / 20.0)  # -3 dB for all clips, so that the louder emotion does not clip
FRAME_MS = 5.0
REFERENCE_F0 = 247.0  # Hz; the speaker's median; a change of range leaves it as it is
HIGHEST_F0 = 500.0  # Hz

Audio = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Word:
    """One row of words.csv."""

    id: str
    text: str
    path: str


@dataclass(frozen=True, slots=True)
class ProsodyChange:
    """How an emotional version differs from the recording.

    Attributes
    ----------
    pitch, pitch_range
        F0 becomes `reference * pitch * (F0 / reference) ** pitch_range`.
    rate
        Factor of the speaking rate.
    gain_db
        Change of the level in dB.
    """

    pitch: float
    pitch_range: float
    rate: float
    gain_db: float


PROSODY_CHANGES = {
    "happy": ProsodyChange(pitch=1.22, pitch_range=1.20, rate=1.12, gain_db=2.0),
    "sad": ProsodyChange(pitch=0.83, pitch_range=0.70, rate=0.82, gain_db=-3.0),
}


def sample_evenly(words: Sequence[Word], count: int) -> list[Word]:
    """Return `count` words at equal distances in the list."""
    step = len(words) // count
    return list(words[step // 2 :: step][:count])


def choose_words(words: Iterable[Word]) -> tuple[list[Word], list[Word]]:
    """Choose words at equal distances in the archive, without a text in both lists.

    Parameters
    ----------
    words
        All words, in the archive's order.

    Returns
    -------
    held_out : list of Word
        `HELD_OUT` words of two or more characters.
    chosen : list of Word
        The dataset's words: `PAIRS` of two characters and `PHRASES` of three or four, sorted by id.
    """
    longer = [word for word in words if len(word.text) >= 2]
    held_out = sample_evenly(longer, HELD_OUT)
    held_out_texts = {word.text for word in held_out}
    available = [word for word in longer if word.text not in held_out_texts]
    pairs = sample_evenly([word for word in available if len(word.text) == 2], PAIRS)
    phrases = sample_evenly([word for word in available if len(word.text) in (3, 4)], PHRASES)
    return held_out, sorted(pairs + phrases, key=lambda word: word.id)


def read_words(archive: tarfile.TarFile) -> list[Word]:
    """Read words.csv."""
    table = io.StringIO(read_member(archive, "words.csv").decode("utf-8"))
    return [Word(row["id"], row["text"], row["path"]) for row in csv.DictReader(table)]


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """Return the bytes of a file of the archive.

    Raises
    ------
    KeyError
        If there is no such file.
    """
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is not a regular file")
    return file.read()


def decode(data: bytes) -> Audio:
    """Decode an MP3 to mono [samples] at 24 kHz, and trim silence."""
    wav, rate = sf.read(io.BytesIO(data), dtype="float64", always_2d=True)
    return trim(soxr.resample(wav.mean(axis=1), rate, SAMPLE_RATE, quality="VHQ") * HEADROOM)


def trim(wav: Audio, floor_db: float = -28.0, margin: float = 0.09, fade: float = 0.01) -> Audio:
    """Cut silence off both ends and fade the cuts.

    The recordings' background is 33 to 50 dB below the speech.

    Parameters
    ----------
    wav
        [samples] at 24 kHz.
    floor_db
        The level of silence relative to the loudest 10 ms, in dB.
    margin
        Seconds of silence that stay at each end.
    fade
        Seconds of the fade at each end.
    """
    frame = SAMPLE_RATE // 100
    power = np.square(wav[: len(wav) // frame * frame]).reshape(-1, frame).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10.0 ** (floor_db / 10.0))
    padding = int(margin * SAMPLE_RATE)
    cut = wav[max(0, loud[0] * frame - padding) : (loud[-1] + 1) * frame + padding].copy()
    ramp = np.linspace(0.0, 1.0, int(fade * SAMPLE_RATE))
    cut[: len(ramp)] *= ramp
    cut[-len(ramp) :] *= ramp[::-1]
    return cut


def change_prosody(wav: Audio, change: ProsodyChange, reference: float = REFERENCE_F0) -> Audio:
    """Return a recording with F0, speaking rate and level changed by WORLD (Morise, Yokomori and Ozawa, 2016).

    Parameters
    ----------
    wav
        [samples] at 24 kHz.
    change
        The change.
    reference
        The speaker's median F0 in Hz.

    Returns
    -------
    Audio
        [samples] at 24 kHz; their number depends on the rate.
    """
    f0, times = pyworld.harvest(wav, SAMPLE_RATE, f0_floor=80.0, f0_ceil=HIGHEST_F0, frame_period=FRAME_MS)
    envelope = pyworld.cheaptrick(wav, f0, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(wav, f0, times, SAMPLE_RATE)
    voiced = f0 > 0.0
    new_f0 = np.zeros_like(f0)
    new_f0[voiced] = reference * change.pitch * (f0[voiced] / reference) ** change.pitch_range
    new_f0 = np.minimum(new_f0, HIGHEST_F0)
    speech = pyworld.synthesize(new_f0, envelope, aperiodicity, SAMPLE_RATE, FRAME_MS / change.rate)
    # Compare the mean energy, not the sum, because a slower version has more samples.
    level = np.sqrt(np.mean(wav**2) / np.mean(speech**2)) * 10.0 ** (change.gain_db / 20.0)
    return np.asarray(speech * min(level, 0.99 / np.abs(speech).max()), dtype=np.float64)


def iter_versions(word: Word, wav: Audio, *, emotional: bool) -> Iterator[tuple[dict[str, str], Audio]]:
    """Make the clips of a word.

    Parameters
    ----------
    word
        The word.
    wav
        Its recording [samples] at 24 kHz.
    emotional
        Whether there are versions with other emotions, too.

    Yields
    ------
    tuple
        The row of metadata.csv, and the audio [samples].
    """
    clips = {"neutral": (word.id, wav)}
    if emotional:
        clips |= {
            emotion: (f"{word.id}_{emotion}", change_prosody(wav, change))
            for emotion, change in PROSODY_CHANGES.items()
        }
    for emotion, (clip, audio) in clips.items():
        yield {"id": clip, "text": word.text, "emotion": emotion, "wav_path": f"wavs/{clip}.flac"}, audio


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write a CSV file with the header of the first row's keys."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make_dataset(archive_path: Path, output: Path, held_out_path: Path) -> list[dict[str, str]]:
    """Write the dataset and the list of held-out words; return the rows of metadata.csv."""
    wavs = output / "wavs"
    wavs.mkdir(parents=True, exist_ok=True)
    for old in wavs.glob("*.flac"):
        old.unlink()
    rows = []
    with tarfile.open(archive_path) as archive:
        held_out, chosen = choose_words(read_words(archive))
        write_table(held_out_path, [{"id": word.id, "text": word.text} for word in held_out])
        for position, word in enumerate(chosen):
            recording = decode(read_member(archive, word.path))
            # Every second word is in all three emotions, so that emotion does not depend on content.
            for row, audio in iter_versions(word, recording, emotional=position % 2 == 0):
                sf.write(output / row["wav_path"], audio, SAMPLE_RATE, subtype="PCM_16")
                rows.append(row)
    write_table(output / "metadata.csv", rows)
    return rows


def main() -> None:
    """Read the arguments and make the dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="hsk-words-mandarin.tar")
    parser.add_argument("output", type=Path, help="folder to write, e.g. examples/hsk-words")
    default = Path(__file__).resolve().parent.parent / "training" / "recipes" / "hsk-heldout.csv"
    parser.add_argument("--held-out", type=Path, default=default, help="list of held-out words to write")
    args = parser.parse_args()
    if not args.archive.is_file():
        sys.exit(f"{args.archive}: no such file; give the path of hsk-words-mandarin.tar")
    rows = make_dataset(args.archive, args.output, args.held_out)
    seconds = sum(sf.info(args.output / row["wav_path"]).duration for row in rows)
    print(f"{args.output}: {len(rows)} clips, {seconds:.0f} s")


if __name__ == "__main__":
    main()
