"""Figures, signs and addresses become words."""

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kubevoice.errors import InputError
from kubevoice.text.characters import clean
from kubevoice.text.normalisation import KINDS, normalise, say_as


def normalise_text(text):
    return normalise(clean(text)).text


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        # numbers
        ("12", "十二"), ("2000", "两千"), ("10011", "一万零一十一"), ("100000100000", "一千亿零十万"), ("-3.50", "负三点五零"),
        ("1,000,000", "一百万"), ("2个", "两个"), ("12个", "十二个"), ("第2", "第二"), ("2月2日", "二月二日"), ("10多人", "十多人"),
        # ranges, shares, fractions, formulas, ratios
        ("3~5个工作日", "三到五个工作日"), ("10%~20%", "百分之十到百分之二十"), ("3‰", "千分之三"), ("1又1/5", "一又五分之一"),
        ("½杯", "二分之一杯"), ("3+5=8", "三加五等于八"), ("10^8", "十的八次方"), ("x²+y²", "x的平方加y的平方"), ("1:1000", "一比一千"),
        # money and measures
        ("¥1,234.50", "一千二百三十四点五元"), ("$1.5万", "一点五万美元"), ("3.5元/斤", "三点五元每斤"), ("5kg", "五千克"),
        ("-5~3℃", "负五到三摄氏度"), ("10㎡", "十平方米"), ("60km/h", "六十公里每小时"), ("39°54′", "三十九度五十四分"),
        # dates, times, scores
        ("2024/5/1", "二零二四年五月一日"), ("2015-2020年", "二零一五到二零二零年"), ("公元前221年", "公元前二二一年"),
        ("90年代", "九十年代"), ("10年后", "十年后"), ("下午3:05", "下午三点零五分"), ("8:30-17:30", "八点三十分到十七点三十分"),
        ("9:00 PM", "下午九点"), ("比分3:2", "比分三比二"), ("911事件", "九一一事件"),
        # names of things
        ("电话13800138000", "电话幺三八零零幺三八零零零"), ("010-12345678", "零幺零幺二三四五六七八"), ("302房间", "三零二房间"),
        ("编号A1024", "编号A一零二四"), ("京A12345", "京A一二三四五"), ("航班CA1234", "航班CA一二三四"), ("v1.2.3", "版本一点二点三"),
        ("192.168.1.1", "一九二点一六八点一点一"), ("user@example.com", "user艾特example点com"), ("第Ⅲ章", "第三章"), ("5G", "五G"),
        ("A4纸", "A四纸"), ("A&B", "A和B"),
    ],
)  # fmt: skip
def test_what_is_said(written, spoken):
    assert normalise_text(written) == spoken


@pytest.mark.parametrize(
    ("kind", "text", "form", "spoken"),
    [
        ("cardinal", "1234", "", "一千二百三十四"),
        ("digits", "1234", "", "一二三四"),
        ("telephone", "110", "", "幺幺零"),
        ("ordinal", "3", "", "第三"),
        ("characters", "A1", "", "A一"),
        ("date", "10-9", "dm", "九月十日"),
        ("date", "19600910", "yyyymmdd", "一九六零年九月十日"),
        ("time", "2:30pm", "hms12", "下午两点三十分"),
        ("duration", "5:30", "h:m", "五小时三十分钟"),
        ("fraction", "5+1/2", "", "五又二分之一"),
        ("score", "3:2", "", "三比二"),
        ("currency", "$42.01", "", "四十二点零一美元"),
    ],
)
def test_say_as_overrules_the_guess(kind, text, form, spoken):
    assert say_as(kind, text, form) == spoken


@pytest.mark.parametrize(
    ("kind", "text", "form"),
    [
        ("cardinal", "many", ""),
        ("date", "13", "ymd"),
        ("date", "2024-13-01", "ymd"),
        ("time", "25:00", ""),
        ("fraction", "1", ""),
    ],
)
def test_text_that_is_nothing_of_the_kind_is_refused_with_an_example(kind, text, form):
    with pytest.raises(InputError, match="write it like"):
        say_as(kind, text, form)


SOUP = st.text(st.sampled_from("0123456789.:-/~%,+*=^¥$年月日点个元AaVIXkmg°²'\" ，第负"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(SOUP)
@example("1" * 4000)
@example("1:" * 200)
@example("1-" * 200)
def test_any_figures_become_words(text):
    assert not any(c in "0123456789" for c in normalise_text(text))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(KINDS)), SOUP)
def test_say_as_reads_or_refuses_anything(kind, text):
    with suppress(InputError):
        assert isinstance(say_as(kind, text), str)


def test_what_is_left_as_written_keeps_its_place():
    traced = normalise(clean("買3個"))
    assert (traced.text, traced.origins) == ("买三个", (0, None, 2))
