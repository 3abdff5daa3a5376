"""Mel spectrograms with settings that the parity cases do not have."""

from dataclasses import replace

import numpy as np
import pytest
from kubevoice.audio.mel import MelConfig, log_mel

AUDIO = {"sampling_rate": 16000, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40}
WAVE = np.random.default_rng(0).uniform(-0.5, 0.5, 3217).astype(np.float32)


def test_a_configuration_without_limits_reaches_to_half_the_rate():
    config = MelConfig.from_reference(AUDIO | {"fmin": None, "fmax": None})
    assert (config.fmin, config.fmax, config.preemphasis) == (0.0, 8000.0, 0.0)
    assert log_mel(WAVE, config).shape == (3217 // 160 + 1, 40)


def test_levels_may_be_mapped_to_both_sides_of_zero():
    plain = MelConfig.from_reference(AUDIO)
    both = replace(plain, symmetric=True, max_norm=4.0)
    np.testing.assert_allclose(log_mel(WAVE, both), 8.0 * log_mel(WAVE, plain) - 4.0, atol=1e-5)
    np.testing.assert_allclose(log_mel(WAVE, replace(plain, max_norm=2.0)), 2.0 * log_mel(WAVE, plain), atol=1e-6)


def test_preemphasis_takes_part_of_the_sample_before():
    config = MelConfig.from_reference(AUDIO | {"preemphasize": True})
    assert config.preemphasis == 0.98
    emphasised = np.append(WAVE[0], WAVE[1:] - np.float32(0.98) * WAVE[:-1])
    before = WAVE.copy()
    np.testing.assert_array_equal(log_mel(WAVE, config), log_mel(emphasised, replace(config, preemphasis=0.0)))
    np.testing.assert_array_equal(WAVE, before)


@pytest.mark.parametrize("missing", ["hop_length", "n_mels"])
def test_what_a_configuration_lacks_is_named(missing):
    with pytest.raises(KeyError, match=missing):
        MelConfig.from_reference({key: value for key, value in AUDIO.items() if key != missing})
