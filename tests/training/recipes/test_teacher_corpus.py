"""What the base voice's corpus is made of: texts, speakers, emotions, and how its teacher's contours are changed."""

import itertools
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from kubevoice.text import UnitTables, analyse
from onnx import TensorProto, helper

RECIPES = Path(__file__).resolve().parents[3] / "training" / "recipes"


@pytest.fixture(autouse=True)
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(RECIPES)


def test_every_beginning_of_the_list_is_balanced():
    from teacher_corpus import plan_clips

    clips = list(itertools.islice(plan_clips(), 1800))
    assert len({clip.id for clip in clips}) == len(clips)
    for count in (900, 1800):
        emotions = Counter(clip.emotion for clip in clips[:count])
        speakers = Counter(clip.speaker for clip in clips[:count])
        kinds = Counter(clip.kind for clip in clips[:count])
        assert len(speakers) >= 16
        assert 0.7 < emotions.pop("neutral") / count < 0.8
        assert len(emotions) == 9
        assert min(emotions.values()) > 0.02 * count
        assert min(speakers.values()) > 0.03 * count
        assert kinds["english"] == round(0.19 * count)


def test_the_list_is_the_same_in_every_run():
    from teacher_corpus import plan_clips

    first, second = (list(itertools.islice(plan_clips(), 300)) for _ in range(2))
    assert first == second


def test_texts_that_anything_is_measured_by_are_not_read(tmp_path):
    from base_data import read_texts
    from spoken_texts import iter_texts

    measured = sorted(read_texts("everyday.csv") | read_texts("everyday-choosing.csv"))
    others = ["他们在河边▁种▁了一排柳树。", "这座城市的冬天很少下雪。"]
    (tmp_path / "sentences").write_text("\n".join([*measured, *others]), encoding="utf-8")
    read = {analysis.text for analysis in itertools.islice(iter_texts("news", tmp_path / "sentences"), 20)}
    assert read == {line.replace("▁", "") for line in others}


def test_every_pattern_can_be_filled_and_read_and_is_of_its_kind(tmp_path):
    from spoken_texts import KINDS, SLOT, iter_texts

    (tmp_path / "sentences").write_text("", encoding="utf-8")
    for kind in set(KINDS) - {"news"}:
        for analysis in itertools.islice(iter_texts(kind, tmp_path / "sentences"), 90):
            assert not SLOT.search(analysis.text)
            if kind == "english":
                words = [word for sentence in analysis.sentences for word in sentence.words]
                assert any(word.phones for word in words), analysis.text
                UnitTables.load().encode([unit for sentence in analysis.sentences for unit in sentence.units])


def test_a_slot_that_is_there_twice_gets_two_words():
    from spoken_texts import fill_pattern

    draw = random.Random(0)  # noqa: S311 - nothing secret
    for _ in range(20):
        first, second = fill_pattern("{word}{word}", {"word": ["甲", "乙"]}, draw)
        assert first != second
    assert re.fullmatch(r"\d{4}", fill_pattern("{d4}", {}, draw))
    assert 1 <= int(fill_pattern("{n7}", {}, draw)) <= 7


def test_every_english_phone_of_the_units_can_be_spelled_for_the_teacher():
    from acted_teacher import IPA, spell_english
    from kubevoice.text.english import get_english_phones

    assert set(IPA) <= set(UnitTables.load().ids["sy"])
    for word in ("measure", "toy", "hour", "this", "thing", "church", "yellow"):
        assert all(spell_english(phone, stress) for phone, stress in get_english_phones(word))
    assert "".join(spell_english(phone, stress) for phone, stress in get_english_phones("about")) == "əbˈWt"


@pytest.mark.parametrize(
    ("pinyin", "plain"),
    [("wanr2", "wa2"), ("zher4", "zhe4"), ("haizi3", None), ("er2", None), ("tangr1", "ta1"), ("pair2", "pa2")],
)
def test_erhua_replaces_a_coda(pinyin, plain):
    from acted_teacher import strip_erhua

    assert strip_erhua(pinyin) == plain


def test_erhua_of_the_words_is_one_syllable():
    from spoken_texts import FRONT_END, SPOKEN_WORDS, get_pinyin

    for word in SPOKEN_WORDS["erhua"]:
        assert "er2" not in get_pinyin(analyse(f"说起{word}，他就来劲。", FRONT_END)), word


def test_contours_change_as_asked_where_there_is_voice():
    from acted_teacher import CONTOURS, DURATIONS, add_contour_inputs

    contours = list(CONTOURS.values())
    nodes = [helper.make_node("Identity", [name], [tensor]) for name, tensor in zip("ab", contours, strict=True)]
    nodes += [
        helper.make_node("Identity", ["a"], [DURATIONS]),
        helper.make_node("Identity", [contours[0]], ["f0"]),
        helper.make_node("Identity", [contours[1]], ["energy"]),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in names]
        for names in ("ab", ("f0", "energy"))
    )
    model = helper.make_model(helper.make_graph(nodes, "contours", inputs, outputs))
    model.opset_import[0].version, model.ir_version = 17, 9
    add_contour_inputs(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    raw = np.array([100.0, 400.0, 0.0, 200.0], np.float32)
    values = {"f0_median": 200.0, "f0_range": 2.0, "f0_factor": 1.5, "energy_shift": 0.25}
    given = {name: np.array([value], np.float32) for name, value in values.items()}
    f0, energy = session.run(["f0", "energy"], {"a": raw, "b": raw, **given})
    np.testing.assert_allclose(f0, [75.0, 1200.0, 0.0, 300.0], rtol=1e-5)
    np.testing.assert_allclose(energy, raw + 0.25)


def test_an_index_loses_a_line_that_was_cut_off(tmp_path):
    from teacher_corpus import read_index

    path = tmp_path / "metadata-0.jsonl"
    path.write_text('{"id": "t00000"}\n{"id": "t0', encoding="utf-8")
    assert read_index(path) == [{"id": "t00000"}]
    assert path.read_text(encoding="utf-8") == '{"id": "t00000"}\n'
    assert read_index(tmp_path / "none") == []


def test_the_report_counts_hours_phones_and_tones():
    from corpus_coverage import measure_coverage

    line = {"text": "你好，Tom。", "speaker": "a", "emotion": "neutral", "kind": "short", "seconds": 36.0}
    report = measure_coverage([line, line | {"speaker": "b", "emotion": "sad"}])
    assert report["hours"] == 0.02
    assert report["hoursByEmotion"] == {"neutral": 0.01, "sad": 0.01}
    assert report["tonePairs"] == {"23": 2}
    assert report["rarePhones"]["aa"] == 2
    assert report["rarePhones"]["zh"] == 0
