"""Prosodic boundaries: where breath groups end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubevoice.text import analyse
from kubevoice.text.prosodic_boundaries import predict_boundaries

SIGNS = {"#1": "", "#2": "/", "#3": "，", "#4": ""}


def mark_breath_groups(text: str) -> str:
    """Return a sentence's words with a stroke where a breath group ends."""
    (sentence,) = analyse(text).sentences
    words = iter(sentence.words)
    breaks = [unit.sy for unit in sentence.units if unit.sy.startswith("#")]
    return "".join(next(words).text + SIGNS[sign] for sign in breaks)


@pytest.mark.parametrize(
    "groups",
    [
        "今天天气不错",
        "我把钥匙/忘在办公室里了",
        "妈妈正在厨房里/包饺子",
        "您的订单/已经发货，请注意查收",
        "我打算暑假/去云南旅游",
        "他已经在这家公司/工作了十年",
        "会议改到明天/下午三点开始",
    ],
)
def test_a_breath_group_ends_where_people_end_it(groups: str) -> None:
    assert mark_breath_groups(groups.replace("/", "")) == groups


@pytest.mark.parametrize("text", ["我们昨天晚上在学校门口等了三个小时的汽车", "孩子们都在院子里玩得很开心很快乐"])
def test_a_particle_is_never_parted_from_what_it_leans_on(text: str) -> None:
    groups = mark_breath_groups(text).split("/")
    assert len(groups) > 1
    assert not [group for group in groups if group[0] in "的得了们里"]


@given(st.lists(st.tuples(st.sampled_from(["的", "在", "三", "公司", "正在", "hello"]), st.integers(0, 12))))
def test_every_word_has_a_break_before_it_but_the_first(words: list[tuple[str, int]]) -> None:
    levels = predict_boundaries([word for word, _ in words], [syllables for _, syllables in words])
    assert len(levels) == len(words)
    assert levels[:1] in ([], [0])
    assert set(levels[1:]) <= {1, 2}


def test_no_group_goes_on_for_ever() -> None:
    levels = predict_boundaries(["公司"] * 60, [2] * 60)
    starts = [number for number, level in enumerate(levels) if level != 1]
    assert max(b - a for a, b in zip(starts, [*starts[1:], 60], strict=True)) <= 4
