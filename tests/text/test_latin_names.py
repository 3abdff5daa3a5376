"""Chinese names in Latin letters are pinyin; English stays English."""

import pytest
from kubevoice.text import FrontEndConfig, analyse


def read(text, **settings):
    """Return the words that are names with their readings."""
    return " ".join(
        s.base
        for sentence in analyse(text, FrontEndConfig(**settings)).sentences
        for word in sentence.words
        for s in word.syllables
        if s.by == "names"
    )


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("Zhang", "zhang1"),
        ("住在Beijing", "bei3 jing1"),
        ("Xiaomi手机", "xiao3 mi3"),
        ("taobao", "tao2 bao3"),
        ("HUAWEI", "hua2 wei2"),
        ("在Xi'an", "xi1 an1"),
        ("Xi’an", "xi1 an1"),
        ("XiaoMi", "xiao3 mi3"),
        ("DiDi", "di1 di1"),
        ("Hong Kong", "xiang1 gang3"),
        ("Hangzhou", "hang2 zhou1"),
        ("Sun Xiaoming", "sun1 xiao3 ming2"),
        ("Long Wei", "long2 wei4"),
        ("Zhang San", "zhang1 san1"),
        ("Li Na", "li3 na4"),
        ("Ma Huateng", "ma3 hua2 teng2"),
        ("Xi Jinping", "xi2 jin4 ping2"),
        ("Zhuozhou", "zhuo2 zhou1"),
    ],
)
def test_names_are_pinyin(text, reading):
    assert read(text) == reading


@pytest.mark.parametrize(
    "text",
    [
        *[
            "She",
            "Long",
            "Sun",
            "Can",
            "Me",
            "Fan",
            "He",
            "Song",
            "data",
            "China",
            "anime",
            "meme",
            "Taxi",
            "Pixie",
            "NASA",
            "Sora",
            "Gemini",
            "Lang",
            "zhang",
            "Ai",
            "MA",
            "Tokyo",
        ],
        "KING KONG",
        "she can run",
        "Long time no see",
    ],
)
def test_english_words_stay_english(text):
    assert not read(text)


def test_a_voice_with_english_reads_names_as_pinyin_too():
    assert read("Zhang Wei likes Taobao", english="phones").split()[0] == "zhang1"
    (sentence,) = analyse("Zhang likes it", FrontEndConfig(english="phones")).sentences
    assert [bool(word.phones) for word in sentence.words] == [False, True, True]
