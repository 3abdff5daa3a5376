"""An encoder of known sums, asked for more than it was trained on."""

import numpy as np
import pytest
from kubevoice.engine.intensity import extrapolate_emotion
from kubevoice.voice import VoiceStats

STATS = VoiceStats(pitch_mean=0.0, pitch_std=1.0, energy_mean=0.0, energy_std=1.0)
REST = np.array([[1.0, 0.0]] * 3, np.float32)
TRAINED = REST[:, ::-1]
HERTZ = {"rest": [200.0, 200.0, 0.0], "trained": [250.0, 160.0, 90.0]}
ENERGY = {"rest": [0.0, 0.0, 0.0], "trained": [1.0, -1.0, 0.5]}
FRAMES = {"rest": [10.0, 10.0, 8.0], "trained": [8.0, 12.0, 8.0]}


def encoder(outputs, feeds):
    """Durations grow with a hundredth of the pitch that is added, as those of a real encoder hang on it."""
    row = "rest" if feeds["emotion_weights"][0, 0] else "trained"
    values = {
        "pitch": np.array(HERTZ[row]) + feeds["pitch_shift"],
        "energy": np.array(ENERGY[row]) + feeds["energy_shift"],
        "durations": (np.array(FRAMES[row]) + 0.01 * feeds["pitch_shift"]) * feeds["duration_scale"],
    }
    return [values[name] for name in outputs]


def run_encoder(extra, speed=1.0):
    feeds = {
        "emotion_weights": TRAINED,
        "duration_scale": np.full(3, 1.0 / speed, np.float32),
        "pitch_shift": np.zeros(3, np.float32),
        "energy_shift": np.zeros(3, np.float32),
    }
    changed = extrapolate_emotion(encoder, feeds, REST, np.array(extra, np.float32), STATS)
    return encoder(("pitch", "energy", "durations"), feeds | changed)


def test_once_more_is_as_far_again_in_semitones_energy_and_logarithms_of_durations():
    pitch, energy, durations = run_encoder([1.0, 1.0, 1.0])
    np.testing.assert_allclose(pitch[:2], [250.0 * 250 / 200, 160.0 * 160 / 200], rtol=1e-5)
    np.testing.assert_allclose(energy, [2.0, -2.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(durations, [6.4, 14.4, 8.0], rtol=1e-5)


def test_what_has_no_pitch_at_rest_keeps_its_own():
    pitch, _, _ = run_encoder([1.0, 1.0, 1.0])
    assert pitch[2] == HERTZ["trained"][2]


def test_symbols_that_ask_for_no_more_stay_as_they_are():
    pitch, energy, durations = run_encoder([1.0, 0.0, 0.0])
    for values, of in ((pitch, HERTZ), (energy, ENERGY), (durations, FRAMES)):
        np.testing.assert_allclose(values[1:], of["trained"][1:], rtol=1e-6)


def test_speed_stays_a_factor_of_its_own():
    np.testing.assert_allclose(run_encoder([1.0] * 3, speed=2.0)[2], run_encoder([1.0] * 3)[2] / 2.0, rtol=1e-5)


@pytest.mark.parametrize("extra", [0.25, 0.5, 1.0])
def test_more_is_further(extra):
    pitch, energy, durations = run_encoder([extra] * 3)
    less = run_encoder([extra / 2] * 3)
    assert pitch[0] > less[0][0] > HERTZ["trained"][0]
    assert energy[1] < less[1][1] < ENERGY["trained"][1]
    assert durations[0] < less[2][0] < FRAMES["trained"][0]
