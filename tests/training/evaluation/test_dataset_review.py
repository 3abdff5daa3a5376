"""A review measures what is there and names each clip that lies apart; a page shows hostile text as text."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile as sf
from kubevoice.storage import connect
from kubevoice.text import analyse
from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.evaluation import dataset_groups, dataset_review, noise
from kubevoice_training.evaluation.recording_metrics import compute_modified_z_scores, measure_recording
from kubevoice_training.pages.dataset import render_dataset_page

RATE = 24_000
HOSTILE = '<script>alert("你好")</script>'


def buzz(seconds=1.0, level=0.1):
    """A harmonic tone: a voice, more or less."""
    phase = np.arange(int(RATE * seconds)) * 150 / RATE
    return (level * (2.0 * (phase % 1.0) - 1.0)).astype(np.float32)


def measure_samples(samples, text="你好"):
    return measure_recording(Waveform(samples, RATE), list(analyse(text).sentences[0].units))


@pytest.fixture
def write(tmp_path):
    """Write a dataset of rows (id, text, emotion, samples)."""

    def write(rows, rate=RATE):
        lines = ["id,text,emotion,wav_path"]
        for name, text, emotion, samples in rows:
            sf.write(tmp_path / f"{name}.wav", samples, rate, subtype="FLOAT")
            quoted = text.replace('"', '""')
            lines.append(f'{name},"{quoted}",{emotion},{name}.wav')
        (tmp_path / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
        return dataset_review.review_dataset(connect(str(tmp_path)), {})

    return write


def kinds(review):
    return {item.kind: item for item in review.advice}


def test_loudness_follows_the_standard():
    # EBU Tech 3341, case 1: a sine of -23 dBFS at 1 kHz in both channels is -23 LUFS; in one it is 3 LU less.
    sine = 10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * np.arange(5 * RATE) / RATE)
    assert measure_samples(sine.astype(np.float32)).lufs == pytest.approx(-26.0, abs=0.1)
    assert measure_samples(sine[: RATE // 5].astype(np.float32)).lufs == pytest.approx(-26.0, abs=0.3)


def test_only_runs_at_full_scale_are_clipping():
    clean, cut = buzz(), buzz()
    clean[[10, 20, 30]] = 1.0
    cut[100:107] = -1.0
    assert measure_samples(clean).clipped_samples == 0
    assert measure_samples(cut).clipped_samples == 7


def test_pauses_and_rate_leave_out_the_ends():
    quiet = np.zeros(RATE, np.float32)
    clip = measure_samples(np.concatenate([quiet, buzz(), quiet, quiet, buzz(), quiet]), "你好世界")
    assert clip.pause == pytest.approx(2.0, abs=0.05)
    assert clip.speech == pytest.approx(4.0, abs=0.05)
    assert clip.syllables_per_second == pytest.approx(1.0, abs=0.02)


def test_an_outlier_does_not_hide_itself():
    scores = compute_modified_z_scores([4.0, 4.1, 3.9, 4.2, 3.8, 4.0, 4.1, 40.0])
    assert abs(scores[:-1]).max() < 3.5 < scores[-1]
    assert not compute_modified_z_scores([1.0, 1.0, 1.0, 9.0]).any()


def test_each_way_to_be_worse_is_advised_on(write):
    rows = [(f"n{i}", "你好", "neutral", buzz(0.9 + i / 50)) for i in range(10)]
    rows.append(("fast", "我们今天一起学习中文", "neutral", buzz()))
    rows.append(("loud", "你好", "neutral", buzz(level=0.9)))
    rows.append(("cut", "你好", "neutral", np.clip(buzz(level=0.11) * 20, -1, 1)))
    rows.append(("pause", "你好世界", "neutral", np.concatenate([buzz(), np.zeros(2 * RATE, np.float32), buzz()])))
    review = write(rows)
    advice = kinds(review)
    assert review.trainable
    assert "0.3 minutes" in advice["minutes"].message
    for kind, name, row in (
        ("rate", "fast", 11),
        ("loudness", "loud", 12),
        ("clipping", "cut", 13),
        ("pauses", "pause", 14),
    ):
        assert any(line.startswith(f"{name}.wav, metadata.csv row {row}: ") for line in advice[kind].clips), kind


def test_low_sample_rates_are_advised_on(write):
    advice = kinds(write([("a", "你好", "neutral", buzz())], rate=16_000))
    assert advice["rate of samples"].clips == ("a.wav, metadata.csv row 1: 16000 Hz",)


def test_noise_is_rated_where_the_network_is_installed(write):
    if not noise.is_noise_model_installed():
        pytest.skip("needs the evaluation extra")
    hiss = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    (group,) = write([("a", "你好", "neutral", buzz() + hiss)]).groups
    assert 1.0 <= group.noise.background < dataset_review.NOISY_BACKGROUND


def test_noise_that_cannot_be_rated_is_said_not_to_be_measured(write, monkeypatch):
    for module in (dataset_groups, dataset_review):
        monkeypatch.setattr(module, "is_noise_model_installed", lambda: False)
    review = write([("a", "你好", "neutral", buzz())])
    assert review.groups[0].noise is None
    assert "not measured" in kinds(review)["noise"].message
    assert "not measured" in render_dataset_page(review)


def test_a_sample_of_many_recordings_is_bounded_and_does_not_depend_on_their_order():
    sounds = {f"c{i}": Waveform(buzz(2.0) * (1 + i / 100), RATE) for i in range(60)}
    samples = [noise.NoiseSample(), noise.NoiseSample()]
    for sample, names in zip(samples, (list(sounds), list(sounds)[::-1]), strict=True):
        for name in names:
            sample.consider(name, sounds[name])
    first, second = (sample.build_windows() for sample in samples)
    assert first.shape == (noise.WINDOWS, noise.WINDOW)
    np.testing.assert_array_equal(first, second)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_shows_hostile_text_as_text_and_loads_nothing(write):
    rows = [(f"n{i}", "你好", "neutral", buzz(0.9 + i / 50)) for i in range(10)]
    review = write([*rows, ("bad", "再见", HOSTILE, buzz()), ("odd", f"你{HOSTILE}", "neutral", buzz(0.2))])
    page = render_dataset_page(review)
    tags = Tags()
    tags.feed(page)
    assert "<script" not in page
    assert "script" not in tags.tags
    assert "&lt;script&gt;alert(" in page
    assert tags.links == []
    assert "metadata.csv row 11 (id bad)" in page
    assert "cannot be trained on" in page


def test_json_says_everything(write):
    review = write([("a", "你好", "neutral", buzz()), ("b", "abc", "happy", buzz())])
    data = json.loads(json.dumps(dataset_review.dump_review(review)))
    assert (data["trainable"], data["clips"]) == (False, 1)
    assert [fault.split(":")[0] for fault in data["faults"]] == ["metadata.csv row 2 (id b)"]
    assert data["groups"][0]["sampleRates"] == {"24000": 1}
    assert data["groups"][0]["lufs"]["median"] == pytest.approx(-25, abs=2)


def test_an_empty_review_is_a_page_too(write):
    page = render_dataset_page(write([("b", "abc", "happy", buzz())]))
    assert "0</b><span>usable clips" in page
