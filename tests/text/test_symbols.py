"""Unit strings of KAN-TTS's front end, read with a voice's own streams."""

import pytest
from kubevoice.errors import InputError
from kubevoice.text import EMOTIONS
from kubevoice.text.symbols import SymbolReader

UNIT = "{a_c$tone1$s_both$word_both$emotion_happy$M7}"


def test_every_stream_ends_with_the_end_of_a_sentence():
    ids = SymbolReader.from_config({"speaker_list": "F7,M7"}).encode(UNIT)
    assert {name: row.tolist() for name, row in ids.items()} == {
        "sy": [0, 145],
        "tone": [0, 8],
        "syllable_flag": [3, 6],
        "word_segment": [3, 6],
        "emo_category": [EMOTIONS.index("happy"), 34],
        "speaker_category": [1, 3],
    }


def test_streams_come_in_the_configurations_order_and_further_fields_are_ignored():
    reader = SymbolReader.from_config({"lfeat_type_list": "tone,sy", "speaker_list": "F7"})
    ids = reader.encode("{tone4$a_c$more$and more} {tone_none$#4}")
    assert list(ids) == ["tone", "sy"]
    assert ids["sy"].tolist() == [0, 143, 145]


def test_bytes_are_symbols_too():
    reader = SymbolReader.from_config(
        {"lfeat_type_list": "byte_index,emo_category,speaker_category", "speaker_list": "F7"}
    )
    assert reader.encode("{228$emotion_none$F7} {0$emotion_none$F7}")["byte_index"].tolist() == [228, 0, 257]


@pytest.mark.parametrize(("language", "size"), [("Sichuan", 116), ("ZhHK", 107), ("WuuShanghai", 157)])
def test_other_languages_have_tables_of_their_own(language, size):
    assert len(SymbolReader.from_config({"language": language}).vocabularies["sy"]) == size


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        (UNIT.replace("a_c", "nope"), "unit 0 .*'nope' is not a sy"),
        (UNIT + " " + UNIT.replace("happy", "joy"), "unit 1 .*emo_category"),
        (UNIT.replace("$M7", ""), "needs the fields"),
    ],
)
def test_what_cannot_be_read_is_named(symbols, message):
    with pytest.raises(InputError, match=message):
        SymbolReader.from_config({"speaker_list": "F7,M7"}).encode(symbols)


def test_an_unknown_stream_or_language_is_named():
    with pytest.raises(InputError, match="no stream 'pitch'"):
        SymbolReader.from_config({"lfeat_type_list": "sy,pitch"})
    with pytest.raises(InputError, match="Klingon"):
        SymbolReader.from_config({"language": "Klingon"})
