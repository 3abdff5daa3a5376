"""Labels of emotions in Chinese or English mean the emotions that people mean by them."""

import pytest
from kubevoice.text.emotion_labels import find_emotion, is_label, resolve_emotion


@pytest.mark.parametrize(
    ("label", "emotion"),
    [
        ("开心", "happy"),
        ("開心", "happy"),
        ("高兴", "happy"),
        ("Neutral", "neutral"),
        ("ＨＡＰＰＹ", "happy"),
        ("中性", "neutral"),
        ("平静", "calm"),
        ("难过", "sad"),
        ("愤怒", "angry"),
        ("严肃", "serious"),
        ("客气", "polite"),
        ("叙述", "narrative"),
        ("鼓励", "encouraging"),
        ("急切", "urgent"),
        ("撒娇", "撒娇"),
        ("Whisper_2", "whisper_2"),
    ],
)
def test_usual_words_are_known_and_others_are_emotions_themselves(label, emotion):
    assert resolve_emotion(label) == emotion
    assert is_label(emotion)


def test_the_users_own_meanings_come_first():
    mapping = {"开心": "excited", "撒娇": "温柔", "平静": "平静", "1": "sad", "joy": "happy"}
    labels = ["开心", "撒娇", "平静", "1", "Joy", "高兴"]
    assert [resolve_emotion(label, mapping) for label in labels] == [
        "excited",
        "gentle",
        "平静",
        "sad",
        "happy",
        "happy",
    ]


def test_a_voice_is_asked_for_an_emotion_in_its_own_or_usual_words():
    voice = ("neutral", "happy", "撒娇", "平静")
    requested = ["happy", "开心", "撒娇", "平静", "Neutral", "难过", "calm"]
    assert [find_emotion(label, voice) for label in requested] == [
        "happy", "happy", "撒娇", "平静", "neutral", None, None
    ]  # fmt: skip


@pytest.mark.parametrize("label", ["very happy", "a/b", "../x", "", "1", "happy,sad", "😊"])
def test_what_can_be_no_part_of_a_file_name_is_no_label(label):
    assert not is_label(resolve_emotion(label))
