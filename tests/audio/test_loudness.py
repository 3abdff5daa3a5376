import numpy as np
import pytest
from kubevoice.audio.loudness import loudness, to_loudness


def tone(rate, hertz=997.0, seconds=5.0, level=1.0):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100, 48000])
def test_a_full_tone_has_the_loudness_that_the_standard_says(rate):
    assert loudness(tone(rate), rate) == pytest.approx(-3.01, abs=0.05)


def test_half_the_level_is_6_decibels_less():
    assert loudness(tone(24000, level=0.5), 24000) == pytest.approx(-9.03, abs=0.05)


def test_low_tones_count_less_and_high_ones_more():
    middle, low, high = (loudness(tone(24000, hertz), 24000) for hertz in (997.0, 40.0, 6000.0))
    assert low < middle - 4
    assert high > middle + 2.5


def test_pauses_do_not_count():
    pause = np.zeros(5 * 24000, np.float32)
    assert loudness(np.concatenate([tone(24000), pause]), 24000) == pytest.approx(-3.01, abs=0.2)


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(100, np.float32), np.zeros(48000, np.float32)])
def test_silence_has_none_and_stays_silent(samples):
    assert loudness(samples, 24000) == -np.inf
    assert to_loudness(samples, 24000, -16.0) is samples


@pytest.mark.parametrize("seconds", [0.05, 0.4, 3.0])
def test_samples_come_to_the_loudness_asked_for(seconds):
    samples = to_loudness(tone(24000, seconds=seconds, level=0.01), 24000, -20.0)
    assert samples.dtype == np.float32
    assert loudness(samples, 24000) == pytest.approx(-20.0, abs=0.1)


def test_no_peak_comes_near_to_clipping():
    samples = tone(24000, level=0.05)
    samples[1000] = 0.5
    assert np.abs(to_loudness(samples, 24000, -5.0)).max() == pytest.approx(10 ** (-1 / 20), abs=1e-4)
