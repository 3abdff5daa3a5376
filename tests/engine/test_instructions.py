"""Which emotions and rates OpenAI's `instructions` name."""

import pytest
from kubevoice.engine import Controls
from kubevoice.engine.instructions import apply_instructions, parse_instructions


def name_emotions(text):
    return [(named.emotion, named.intensity) for named in parse_instructions(text).emotions]


@pytest.mark.parametrize(
    ("text", "emotions"),
    [
        ("Speak in a cheerful and positive tone.", [("happy", None)]),
        ("Sound VERY angry!", [("angry", 1.5)]),
        ("Voice: a little sad, then excited.", [("sad", 0.5), ("excited", None)]),
        ("Affect: a gentle, curious narrator", [("gentle", None), ("narrative", None)]),
        ("用开心的语气说", [("happy", None)]),
        ("语气要非常生气", [("angry", 1.5)]),
        ("有点难过，但很温柔", [("sad", 0.5), ("gentle", None)]),
        ("愉快", [("happy", None)]),
        ("Don’t sound angry, be calm", [("calm", None)]),
        ("not too happy", []),
        ("不要生气，要平静", [("calm", None)]),
        ("别难过", []),
        ("speak with a British accent", []),
        ("unhappy handsome", []),
        ("特别高兴", [("happy", 1.5)]),
        ("", []),
    ],
)
def test_emotions(text, emotions):
    assert name_emotions(text) == emotions


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("speak slowly", 0.79, 0.81),
        ("very slow", 0.65, 0.78),
        ("语速稍微快一点", 1.05, 1.2),
        ("慢慢地说", 0.79, 0.81),
        ("Talk fast and excited", 1.2, 1.3),
    ],
)
def test_rates(text, low, high):
    assert low < parse_instructions(text).rate < high


@pytest.mark.parametrize("text", ["愉快地说", "语速不要太快", "do not speak too fast", "breakfast", "痛快", "傲慢"])
def test_words_that_name_no_rate(text):
    assert parse_instructions(text).rate is None


def test_instructions_choose_what_the_request_does_not(toy):
    manifest = toy.manifest
    controls, (notice,) = apply_instructions(Controls(speed=2.0), "slowly, a bit happy", manifest)
    assert (controls.emotion, controls.intensity, controls.speed) == ("happy", 0.5, 1.6)
    assert notice.message == "of `instructions` only this is obeyed: emotion happy, intensity 0.5, speed 1.6"
    assert apply_instructions(Controls(emotion="neutral"), "happy", manifest)[0].emotion == "neutral"


def test_an_emotion_that_the_voice_does_not_have_is_in_the_notice(toy):
    controls, (notice,) = apply_instructions(Controls(), "生气", toy.manifest)
    assert controls == Controls()
    assert notice.message == ("`instructions` have no effect; voice toy has no emotion angry, it has: neutral, happy")


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_no_instructions_change_nothing(toy, text):
    assert apply_instructions(Controls(), text, toy.manifest) == (Controls(), ())
