"""What the voice that ships does with emotions, measured on what it speaks."""

import pytest
from kubevoice.engine import Controls, Engine
from kubevoice.voice import builtin_voice
from kubevoice_training.evaluation.prosody_metrics import Delivery, steps_apart, take, typical

TEXTS = ("今天天气不错，我们出去走走吧。", "请稍等一下，我马上就到。", "晚饭想吃什么，我来做。")


@pytest.fixture(scope="module")
def delivered():
    engine = Engine.load(builtin_voice("builtin://base"))

    def speak(emotion, intensity=1.0):
        controls = Controls(speaker="zf_xiaoxiao", emotion=emotion, intensity=intensity)
        return typical([take(engine, text, controls).delivery for text in TEXTS])

    return speak


def test_happy_is_higher_quicker_and_louder_than_sad(delivered):
    happy, sad = delivered("happy"), delivered("sad")
    assert happy.f0 > 1.2 * sad.f0
    assert happy.rate > 1.1 * sad.rate
    assert happy.level > sad.level + 2.0


def test_urgent_is_higher_and_quicker_than_calm(delivered):
    urgent, calm = delivered("urgent"), delivered("calm")
    assert urgent.f0 > 1.1 * calm.f0
    assert urgent.rate > 1.1 * calm.rate


def test_intensity_leads_from_neutral_through_the_emotion_and_beyond(delivered):
    for emotion, sign in (("happy", 1), ("serious", -1)):
        f0 = [sign * delivered(emotion, intensity).f0 for intensity in (0.0, 1.0, 2.0)]
        assert f0 == sorted(f0)
        assert delivered(emotion, 0.0) == delivered("neutral")


@pytest.mark.parametrize(("emotion", "sign"), [("angry", 1), ("urgent", 1), ("sad", -1), ("calm", -1), ("serious", -1)])
def test_beyond_what_was_trained_rate_and_loudness_go_on_the_same_way(delivered, emotion, sign):
    rest, trained, beyond = (delivered(emotion, intensity) for intensity in (0.0, 1.0, 2.0))
    assert sign * (beyond.rate - trained.rate) > 0.0
    assert sign * (trained.rate - rest.rate) > 0.0
    assert sign * (beyond.level - trained.level) > 0.0


def test_a_step_is_what_can_be_noticed():
    plain = Delivery(f0=200.0, f0_range=8.0, rate=5.0, level=-24.0)
    assert steps_apart(plain, plain) == 0.0
    assert steps_apart(plain, Delivery(f0=200.0 * 2 ** (2 / 12), f0_range=8.0, rate=5.0, level=-23.0)) == pytest.approx(
        2
    )
    assert steps_apart(plain, Delivery(f0=200.0, f0_range=8.0, rate=5.0 * 1.05**3, level=-24.0)) == pytest.approx(3)
