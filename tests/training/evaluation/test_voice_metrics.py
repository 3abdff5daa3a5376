"""Metrics of utterances with known differences; a gate result and a page that name what was not measured."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from kubevoice.audio.mel import MelConfig
from kubevoice.resources.stages import GateResult
from kubevoice.resources.voicemodel import Evaluation
from kubevoice_training.evaluation import naturalness, speaker_similarity, voice_metrics
from kubevoice_training.evaluation.mel_cepstral_distortion import compare_features
from kubevoice_training.evaluation.report import build_report, read_report
from kubevoice_training.evaluation.speaker_similarity import compute_speaker_similarity, is_similarity_model_installed
from kubevoice_training.evaluation.voice_metrics import analyze_clip, check_quality_gate, compute_metrics
from kubevoice_training.features.acoustic_features import extract_features
from kubevoice_training.features.dynamic_time_warping import find_warping_path
from kubevoice_training.features.feature_store import Utterance
from kubevoice_training.pages.evaluation import render_evaluation_page

MEL = MelConfig()
WORDS = Path(__file__).resolve().parents[3] / "examples" / "hsk-words" / "wavs"


def vowels(hertz=150.0, seconds=0.6, level=0.3):
    """A buzz whose timbre changes half way, as from one vowel to the next."""
    phase = np.arange(int(MEL.sample_rate * seconds)) * hertz / MEL.sample_rate
    saw = 2.0 * (phase % 1.0) - 1.0
    half = len(saw) // 2
    return (level * np.concatenate([saw[:half], np.sign(saw[half:])])).astype(np.float32)


def distance(a, b):
    return compare_features(extract_features(a, MEL), extract_features(b, MEL), MEL)


def utterance(audio, *, emotion="neutral", name="a", text="你好", wave=None):
    kept = (audio * 32767).astype(np.int16) if wave is None else wave
    return Utterance(name, text, emotion, "mei", True, np.zeros((1, 4), np.int64), extract_features(audio, MEL), kept)


def test_the_path_goes_through_the_cheapest_cells():
    cost = np.abs(np.subtract.outer([0.0, 1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 2.0]))
    path = [tuple(pair) for pair in find_warping_path(cost)]
    assert (path[0], path[-1]) == ((0, 0), (3, 3))
    assert sum(cost[i, j] for i, j in path) == 0.0


@settings(max_examples=80, deadline=None)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.integers(0, 2**32 - 1))
def test_the_path_is_connected_and_no_other_is_cheaper(shape, seed):
    cost = np.random.default_rng(seed).integers(0, 4, shape).astype(np.float64)
    path = find_warping_path(cost)
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [shape[0] - 1, shape[1] - 1]
    assert {*map(tuple, np.diff(path, axis=0).tolist())} <= {(0, 1), (1, 0), (1, 1)}
    cheapest = np.full(np.add(shape, 1), np.inf)
    cheapest[0, 0] = 0.0
    for i, j in np.ndindex(*shape):
        cheapest[i + 1, j + 1] = cost[i, j] + min(cheapest[i, j], cheapest[i, j + 1], cheapest[i + 1, j])
    assert cost[tuple(path.T)].sum() == cheapest[-1, -1]


def test_the_same_twice_is_no_distance_nor_is_another_level_or_tempo():
    assert distance(vowels(), vowels()).distortion == 0.0
    same, other = distance(vowels(level=0.15), vowels()).distortion, distance(vowels(), np.sign(vowels())).distortion
    assert same < 0.1 < other
    assert distance(vowels(seconds=0.9), vowels()).distortion < 0.2 * other


def test_distortion_is_in_decibel_of_cepstra():
    # One cepstrum apart by d throughout: 10 sqrt(2) / ln 10 * d.
    recorded = extract_features(vowels(), MEL)
    bands = np.cos(np.pi * (np.arange(80) + 0.5) * 3 / 80)
    nepers = 0.2
    shifted = recorded.mel * 0 + 0.5 + (nepers * bands * 20 / np.log(10) / 100).astype(np.float32)
    flat = recorded.mel * 0 + 0.5
    comparison = compare_features(
        type(recorded)(shifted, recorded.f0, recorded.energy), type(recorded)(flat, recorded.f0, recorded.energy), MEL
    )
    # The third cepstrum of a cosine of amplitude a is a / 2 by this transform.
    assert comparison.distortion == pytest.approx(10 * np.sqrt(2) / np.log(10) * nepers / 2, rel=0.01)


def test_pitch_that_is_off_by_ten_hertz_is_off_by_ten_hertz():
    assert distance(vowels(160.0), vowels(150.0)).f0_error == pytest.approx(10.0, abs=1.0)
    assert np.isnan(distance(np.zeros(9600, np.float32), vowels()).f0_error)


def test_durations_are_compared_for_each_emotion():
    clips = [
        analyze_clip("你好", vowels(seconds=1.5), MEL, utterance(vowels(seconds=1.0))),
        analyze_clip("你好", vowels(seconds=1.0), MEL, utterance(vowels(seconds=1.0), emotion="sad")),
        analyze_clip("你好", vowels(), MEL),
    ]
    figures, _ = compute_metrics(clips, MEL)
    assert figures["durationError.neutral"] == pytest.approx(0.5, abs=0.03)
    assert figures["durationError.sad"] == pytest.approx(0.0, abs=0.03)
    assert figures["durationError"] == pytest.approx(0.25, abs=0.03)


@pytest.mark.skipif(not is_similarity_model_installed(), reason="needs the evaluation extra")
def test_a_speaker_resembles_himself_more_than_another():
    recordings = [soundfile.read(path, dtype="float32")[0] for path in sorted(WORDS.glob("hsk_0????.flac"))[:16]]
    first, second = np.concatenate(recordings[:8]), np.concatenate(recordings[8:])
    deeper = np.interp(np.arange(0, len(second), 0.7), np.arange(len(second)), second).astype(np.float32)
    same, other = (compute_speaker_similarity([("mei", first, recording)], 24_000) for recording in (second, deeper))
    assert other < 0.85 < same
    assert compute_speaker_similarity([], 24_000) is None


def test_what_is_not_installed_is_not_measured_and_enforcing_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(speaker_similarity, "is_similarity_model_installed", lambda: False)
    monkeypatch.setattr(voice_metrics, "is_recognizer_installed", lambda: False)
    monkeypatch.setattr(naturalness, "is_naturalness_model_installed", lambda: False)
    transcripts = voice_metrics.recognize_clips([vowels()], 24_000, lambda *_: None)
    assert transcripts == [None]
    figures, missing = compute_metrics([analyze_clip("你好", vowels(), MEL, utterance(vowels()))], MEL)
    absent = ["pinyinErrorRate", "naturalnessLoss", "speakerSimilarity", "naturalness"]
    assert figures.keys().isdisjoint(absent)
    wanted = Evaluation(
        min_speaker_similarity=0.5,
        max_pinyin_error_rate=0.5,
        min_naturalness=3.0,
        max_naturalness_loss=0.3,
        max_mel_cepstral_distortion=1.0,
    )
    result, failures = check_quality_gate(figures, wanted, missing)
    assert result is GateResult.FAILED
    assert [line.split(" ")[0] for line in failures] == absent
    assert all("was not measured" in line and "install kubevoice[evaluation]" in line for line in failures)


def test_a_voice_less_natural_than_its_base_fails_and_the_message_has_both():
    figures = {"naturalness": 1.9, "naturalnessLoss": 0.8}
    result, (failure,) = check_quality_gate(figures, Evaluation(max_naturalness_loss=0.3))
    assert result is GateResult.FAILED
    assert failure == (
        "naturalness is 1.9, 0.8 below the base voice's 2.7, spec.evaluation.maxNaturalnessLoss allows 0.3"
    )
    assert check_quality_gate(figures, Evaluation(max_naturalness_loss=0.8))[0] is GateResult.PASSED
    assert check_quality_gate(figures, Evaluation(min_naturalness=2.0))[0] is GateResult.FAILED
    assert check_quality_gate(figures, Evaluation(min_naturalness=1.9))[0] is GateResult.PASSED


def test_features_without_recordings_have_no_similarity():
    clip = analyze_clip("你好", vowels(), MEL, utterance(vowels(), wave=np.zeros(0, np.int16)))
    figures, missing = compute_metrics([clip], MEL)
    assert "speakerSimilarity" not in figures
    assert "speakerSimilarity" in missing


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_has_players_plots_and_result_and_loads_nothing():
    hostile = "<script>alert(1)</script>你好"
    clips = [
        analyze_clip(hostile, vowels(), MEL, utterance(vowels(), text=hostile)),
        analyze_clip("再见", vowels(), MEL),
    ]
    figures = compute_metrics(clips, MEL)[0], {"pinyinErrorRate": "install it"}
    stored = build_report("mei", clips, MEL, figures, {"happy": vowels()}, {"vocoder.onnx": 1e-5})
    report = read_report(stored.model_dump_json().encode())
    assert report == stored
    wanted = Evaluation(max_mel_cepstral_distortion=0.5, max_pinyin_error_rate=0.1)
    page = render_evaluation_page(
        report, "sha256:0", wanted, *check_quality_gate(report.metrics, wanted, report.missing)
    )
    links = Links()
    links.feed(page)
    assert "script" not in links.tags
    assert "&lt;script&gt;" in page
    assert (links.tags.count("audio"), links.tags.count("img")) == (4, 3)
    assert all(link.startswith(("data:audio/mpeg;base64,", "data:image/webp;base64,")) for link in links.links)
    assert "not measured" in page
    assert ">Failed</span>" in page
    assert ">met</span>" in page


def test_a_report_of_another_version_is_passed_over():
    assert read_report(b"{}") is None
    assert read_report(b"no json") is None
