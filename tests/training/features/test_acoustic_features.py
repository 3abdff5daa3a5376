"""Features of signals whose pitch, level and length are known."""

import numpy as np
import pytest
import soundfile
from kubevoice.audio.mel import MelConfig, log_mel, mel_filters
from kubevoice_training.features.acoustic_features import extract_features, load_audio, trim_silence

MEL = MelConfig()
RATE = MEL.sample_rate


def buzz(hertz, seconds=1.0, level=0.3):
    """A sawtooth: a voice's harmonics, more or less."""
    phase = np.arange(int(RATE * seconds)) * hertz / RATE
    return (level * (2.0 * (phase % 1.0) - 1.0)).astype(np.float32)


@pytest.mark.parametrize("hertz", [90.0, 200.0, 400.0])
def test_pitch_is_found_in_hertz(hertz):
    f0 = extract_features(buzz(hertz), MEL).f0
    assert (f0 > 0).mean() > 0.9
    assert np.median(f0[f0 > 0]) == pytest.approx(hertz, rel=0.01)


def test_silence_has_no_pitch_and_the_lowest_mel():
    features = extract_features(np.zeros(RATE, np.float32), MEL)
    assert not features.f0.any()
    assert features.mel.max() == 0.0


def test_all_features_share_one_time_grid():
    features = extract_features(buzz(150.0, 0.777), MEL)
    frames = int(RATE * 0.777) // MEL.hop_length + 1
    assert features.mel.shape == (frames, MEL.n_mels)
    assert features.f0.shape == features.energy.shape == (frames,)


def test_twice_the_amplitude_is_six_decibels_more_in_every_band():
    quiet, loud = log_mel(buzz(150.0, level=0.1), MEL), log_mel(buzz(150.0, level=0.2), MEL)
    inside = (quiet > 0.05) & (loud < 0.95)
    np.testing.assert_allclose((loud - quiet)[inside], 6.0206 / -MEL.min_level_db, atol=1e-4)


def test_a_tone_lights_the_mel_band_around_it():
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(RATE) / RATE).astype(np.float32) * 0.5
    filters = mel_filters(RATE, MEL.n_fft, MEL.n_mels, MEL.fmin, MEL.fmax)
    nearest = filters[:, round(1000.0 * MEL.n_fft / RATE)].argmax()
    assert abs(int(log_mel(tone, MEL)[50].argmax()) - int(nearest)) <= 1


def test_silence_around_speech_is_trimmed_to_a_margin():
    quiet = np.zeros(RATE // 2, np.float32)
    trimmed = trim_silence(np.concatenate([quiet, buzz(200.0), quiet]), RATE)
    assert len(trimmed) / RATE == pytest.approx(1.06, abs=0.045)
    assert len(trim_silence(np.zeros(100, np.float32), RATE)) == 100


def test_sound_files_are_read_as_mono_at_the_wanted_rate(tmp_path):
    stereo = np.stack([buzz(200.0), np.zeros(RATE, np.float32)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    samples = load_audio(tmp_path / "a.wav", RATE // 2)
    assert len(samples) == RATE // 2
    assert np.abs(samples).max() == pytest.approx(0.15, abs=0.03)
