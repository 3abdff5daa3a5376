"""KAN-TTS' standard folder is read like any dataset, with its own pinyin and breaks."""

import numpy as np
import pytest
import soundfile as sf
from kubevoice.resources.voicemodel import PinyinTones
from kubevoice.storage import connect
from kubevoice.text import analyse
from kubevoice_training.dataset import check_dataset

PROSODY = "a\t今天#1天气#2真好#4\n\tjin1 tian1/tian1 qi4/zhen1 hao3\nb\t再见#4\n\tzai4 jian4\n"


@pytest.fixture
def folder(tmp_path):
    """A folder as KAN-TTS' tutorials lay it out."""
    (tmp_path / "wav").mkdir()
    for name in "ab":
        sf.write(tmp_path / "wav" / f"{name}.wav", 0.3 * np.sin(np.arange(12_000) * 0.05), 24_000)
    (tmp_path / "prosody").mkdir()
    (tmp_path / "prosody" / "prosody.txt").write_text(PROSODY, encoding="utf-8")
    return tmp_path


def read_folder(folder, prosody=PROSODY):
    (folder / "prosody" / "prosody.txt").write_text(prosody, encoding="utf-8")
    return check_dataset(connect(str(folder)), {})


def breaks(clip):
    return [unit.sy for unit in clip.units if unit.sy.startswith("#")]


def test_clips_have_their_text_pinyin_and_breaks(folder):
    first, second = read_folder(folder).clips
    assert (first.id, first.text, first.emotion, first.path) == ("a", "今天天气真好", "neutral", "wav/a.wav")
    assert breaks(first) == ["#1", "#2", "#4"]
    assert second.units == analyse("再见").sentences[0].units


def test_the_pinyin_given_wins_over_our_own_reading(folder):
    given = read_folder(folder, "a\t银行#4\n\tyin2 xing2\n").clips[0].units
    ours = [unit for s in analyse("银行").sentences for unit in s.units]
    assert [u.sy for u in given[:2]] == [u.sy for u in ours[:2]]
    assert [u.sy for u in given] != [u.sy for u in ours]


@pytest.mark.parametrize(
    ("written", "tones"),
    [("ni6 hao3", ["tone2", "tone3"]), ("ni3 hao35", ["tone3", "tone5"]), ("ni3.hao3", ["tone3", "tone3"])],
)
def test_its_spellings_of_tones_are_understood(folder, written, tones):
    units = read_folder(folder, f"a\t你好#4\n\t{written}\n").clips[0].units
    assert [u.tone for u in units if u.syllable_flag == "s_begin"] == tones


def test_other_signs_for_breaks_words_and_erhua_are_understood(folder):
    clip = read_folder(folder, "a\t花儿%开 了/好\n\thuar1/kai1/le5/hao3\n").clips[0]
    assert clip.text == "花儿开了好"
    assert breaks(clip) == ["#2", "#1", "#2", "#4"]


def test_lines_for_filled_pauses_are_passed_over(folder):
    assert len(read_folder(folder, PROSODY.replace("\nb", "\n\tFP\n\tFP\n\tFP\nb")).clips) == 2


def test_emotions_come_from_their_file(folder):
    (folder / "emotion_tag.txt").write_text("b emotion_happy\n")
    assert [clip.emotion for clip in read_folder(folder).clips] == ["neutral", "happy"]


@pytest.mark.parametrize(
    ("prosody", "complaint"),
    [
        ("a\t你好#4\n\tni3\n", "2 characters, its pinyin covers 1"),
        ("a\t你好#4\n\tni3 hello\n", "'hello' is not a pinyin syllable"),
        ("a\t你好#4\n\tni3 xyz3\n", "'xyz' does not exist"),
        ("a\t你好#4\n", "has no pinyin"),
        ("c\t你好#4\n\tni3 hao3\n", "wav/c.wav: there is no such file"),
        ("../c\t你好#4\n\tni3 hao3\n", "leaves the dataset"),
    ],
)
def test_a_fault_is_named_with_its_line(folder, prosody, complaint):
    problems = read_folder(folder, "b\t再见#4\n\tzai4 jian4\n" + prosody).problems
    assert any(p.startswith("prosody/prosody.txt line 3") and complaint in p for p in problems)


@pytest.mark.parametrize(
    ("prosody", "spoken"),
    [
        ("a\t你好#4\n\tni3 hao3\n", ["2", "3"]),
        ("a\t很#1好#3你好#4\n\then3/hao3/ni3 hao3\n", ["2", "3", "2", "3"]),
        ("a\t不是花儿#4\n\tbu4 shi4/huar1\n", ["2", "4", "1"]),
    ],
)
def test_pinyin_of_the_dictionary_is_changed_as_speech_changes_it(folder, prosody, spoken):
    (folder / "prosody" / "prosody.txt").write_text(prosody, encoding="utf-8")
    (clip,) = check_dataset(connect(str(folder)), {}, tones=PinyinTones.AS_WRITTEN).clips
    assert [u.tone[-1] for u in clip.units if u.syllable_flag in ("s_begin", "s_both")] == spoken
    (unchanged,) = check_dataset(connect(str(folder)), {}).clips
    assert [u.tone for u in unchanged.units] != [u.tone for u in clip.units]
