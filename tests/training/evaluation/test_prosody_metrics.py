"""Emotions of the built-in voice, measured on its speech."""

import pytest
from kubevoice.engine import Controls, Engine
from kubevoice.voice import builtin_voice
from kubevoice_training.evaluation.prosody_metrics import (
    ProsodyMetrics,
    compute_median,
    count_noticeable_steps,
    synthesize_and_measure,
)

TEXTS = ("今天天气不错，我们出去走走吧。", "请稍等一下，我马上就到。", "晚饭想吃什么，我来做。")


@pytest.fixture(scope="module")
def prosody():
    engine = Engine.load(builtin_voice("builtin://base"))

    def speak(emotion, intensity=1.0):
        controls = Controls(speaker="zf_xiaoxiao", emotion=emotion, intensity=intensity)
        return compute_median([synthesize_and_measure(engine, text, controls).prosody for text in TEXTS])

    return speak


def test_happy_is_higher_quicker_and_louder_than_sad(prosody):
    happy, sad = prosody("happy"), prosody("sad")
    assert happy.f0 > 1.2 * sad.f0
    assert happy.rate > 1.1 * sad.rate
    assert happy.level > sad.level + 2.0


def test_urgent_is_higher_and_quicker_than_calm(prosody):
    urgent, calm = prosody("urgent"), prosody("calm")
    assert urgent.f0 > 1.1 * calm.f0
    assert urgent.rate > 1.1 * calm.rate


def test_intensity_leads_from_neutral_through_the_emotion_and_beyond(prosody):
    for emotion, sign in (("happy", 1), ("serious", -1)):
        f0 = [sign * prosody(emotion, intensity).f0 for intensity in (0.0, 1.0, 2.0)]
        assert f0 == sorted(f0)
        assert prosody(emotion, 0.0) == prosody("neutral")


@pytest.mark.parametrize(("emotion", "sign"), [("angry", 1), ("urgent", 1), ("sad", -1), ("calm", -1), ("serious", -1)])
def test_beyond_what_was_trained_rate_and_loudness_go_on_the_same_way(prosody, emotion, sign):
    rest, trained, beyond = (prosody(emotion, intensity) for intensity in (0.0, 1.0, 2.0))
    assert sign * (beyond.rate - trained.rate) > 0.0
    assert sign * (trained.rate - rest.rate) > 0.0
    assert sign * (beyond.level - trained.level) > 0.0


def test_a_step_is_what_can_be_noticed():
    plain = ProsodyMetrics(f0=200.0, f0_range=8.0, rate=5.0, level=-24.0)
    assert count_noticeable_steps(plain, plain) == 0.0
    assert count_noticeable_steps(
        plain, ProsodyMetrics(f0=200.0 * 2 ** (2 / 12), f0_range=8.0, rate=5.0, level=-23.0)
    ) == pytest.approx(2)
    assert count_noticeable_steps(
        plain, ProsodyMetrics(f0=200.0, f0_range=8.0, rate=5.0 * 1.05**3, level=-24.0)
    ) == pytest.approx(3)
