"""The example dataset is complete and licensed, and its emotions differ as its README says."""

import csv
import importlib.util
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import pyworld
import soundfile as sf

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "hsk-words"
ARCHIVE = ROOT.parent / "shared" / "data" / "hsk-words-mandarin.tar"


def read_table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = read_table(DATA / "metadata.csv")
HELD_OUT = read_table(ROOT / "training" / "recipes" / "hsk-heldout.csv")


def measure_clip(row):
    """Measure a clip: median F0 in Hz, standard deviation of F0 in semitones, length in seconds, level in dB."""
    wav, rate = sf.read(DATA / row["wav_path"])
    coarse, times = pyworld.dio(wav, rate, f0_floor=80.0, f0_ceil=500.0)
    f0 = pyworld.stonemask(wav, coarse, times, rate)
    f0 = f0[f0 > 0]
    level = 10.0 * np.log10(np.mean(wav**2))
    return np.array([np.median(f0), 12.0 * np.std(np.log2(f0)), len(wav) / rate, level])


@pytest.fixture(scope="module")
def measurements():
    """Measurements [clips, 4] of the same words in each emotion."""
    rows = {row["id"]: row for row in ROWS}
    ids = [row["id"] for row in ROWS if f"{row['id']}_happy" in rows][::8]
    suffixes = {"neutral": "", "happy": "_happy", "sad": "_sad"}
    return {
        emotion: np.array([measure_clip(rows[id_ + suffix]) for id_ in ids]) for emotion, suffix in suffixes.items()
    }


def test_rows_and_files_match_one_to_one():
    assert [row["wav_path"] for row in ROWS] == [f"wavs/{row['id']}.flac" for row in ROWS]
    assert sorted(row["wav_path"] for row in ROWS) == sorted(f"wavs/{path.name}" for path in DATA.glob("wavs/*"))


def test_ids_are_unique_and_columns_are_the_documented_ones():
    assert list(ROWS[0]) == ["id", "text", "emotion", "wav_path"]
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert {row["emotion"] for row in ROWS} == {"neutral", "happy", "sad"}


def test_every_clip_is_24_khz_mono_16_bit_and_about_a_second():
    for row in ROWS:
        info = sf.info(DATA / row["wav_path"])
        assert (info.samplerate, info.channels, info.subtype) == (24000, 1, "PCM_16"), row
        assert 0.4 < info.duration < 2.5, row


def test_held_out_words_are_not_in_the_example():
    assert len(HELD_OUT) == 50
    assert not {row["text"] for row in HELD_OUT} & {row["text"] for row in ROWS}
    assert not {row["id"] for row in HELD_OUT} & {row["id"].split("_")[1] for row in ROWS}


def test_the_folder_is_small():
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 12_000_000


def test_licence_and_changes_are_beside_the_data():
    for name in ("LICENSE", "README.md"):
        text = (DATA / name).read_text(encoding="utf-8")
        assert all(phrase in text for phrase in ("Yue Tan", "CC BY-SA 3.0 US", "hugolpz/audio-cmn", "WORLD")), name


@pytest.mark.parametrize(
    ("column", "happy", "sad"),
    [(0, (1.10, 1.30), (0.75, 0.92)), (1, (1.02, 1.35), (0.55, 0.90)), (2, (0.85, 0.93), (1.17, 1.27))],
    ids=["f0", "f0-range", "duration"],
)
def test_emotions_change_pitch_range_and_rate_as_documented(measurements, column, happy, sad):
    ratio = {
        name: np.median(measurements[name][:, column] / measurements["neutral"][:, column]) for name in ("happy", "sad")
    }
    assert happy[0] < ratio["happy"] < happy[1]
    assert sad[0] < ratio["sad"] < sad[1]


def test_emotions_change_the_level_as_documented(measurements):
    assert np.median(measurements["happy"][:, 3] - measurements["neutral"][:, 3]) == pytest.approx(2.0, abs=0.2)
    assert np.median(measurements["sad"][:, 3] - measurements["neutral"][:, 3]) == pytest.approx(-3.0, abs=0.2)


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="needs the recordings in ../shared/data")
def test_the_script_still_makes_these_clips():
    spec = importlib.util.spec_from_file_location("make_hsk_words", ROOT / "scripts" / "make_hsk_words.py")
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # dataclasses look up their module
    spec.loader.exec_module(script)
    with tarfile.open(ARCHIVE) as archive:
        held_out, chosen = script.choose_words(script.read_words(archive))
        recording = script.decode(script.read_member(archive, chosen[0].path))
    assert [(word.id, word.text) for word in held_out] == [(row["id"], row["text"]) for row in HELD_OUT]
    assert {word.id for word in chosen} == {row["id"] for row in ROWS if row["emotion"] == "neutral"}
    for row, audio in script.iter_versions(chosen[0], recording, emotional=True):
        assert row in ROWS
        np.testing.assert_allclose(audio, sf.read(DATA / row["wav_path"])[0], atol=1e-3)
