"""The toy voice's samples show what its decoder was given; see tests/shared/toy_voice.py."""

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.text import FrontEndConfig, ReadingOptions, Unit, UnitTables, analyse
from kubevoice.voice import load_bundle, seal_bundle
from toy_voice import BINS, SCALE

SYLLABLE = [Unit("n_c", "tone3", "s_begin", "word_begin"), Unit("i_c", "tone3", "s_end", "word_end")]
UNITS = [*SYLLABLE * 4, Unit("#4", "tone_none", "s_none", "word_none")]
NEUTRAL_FRAMES = 5
"""Frames of a unit spoken neutrally by the first speaker."""


@pytest.fixture(scope="module")
def engine(toy):
    return Engine.load(toy.path)


def columns(audio):
    """The five columns of the mel, one row a frame."""
    return (audio * SCALE).reshape(-1, BINS).T


def frames(engine, **controls):
    return len(engine.synthesize(UNITS, Controls(**controls))) / BINS / len(UNITS)


def test_audio_has_hop_samples_for_every_frame_of_every_unit(engine):
    audio = engine.synthesize(UNITS)
    assert audio.dtype == np.float32
    assert audio.shape == (len(UNITS) * NEUTRAL_FRAMES * BINS,)


def test_steps_run_in_order_and_each_is_fed_the_last_frame_of_the_one_before(engine):
    steps = columns(engine.synthesize(UNITS))[0]
    np.testing.assert_array_equal(steps, np.arange(len(steps)) // 3 + 1)


def test_windows_are_the_band_of_the_longest_unit(engine):
    # Units of 5 frames at 3 frames a step: band = int(5 / 3 + 0.5) = 2 steps.
    _, _, first, ahead, past = columns(engine.synthesize(UNITS))[:, ::3]
    steps = np.arange(len(first))
    oldest = np.maximum(steps - 2, 0)
    np.testing.assert_array_equal(first, steps)
    np.testing.assert_array_equal(ahead, np.minimum(steps + 2, steps[-1]) - steps + 1)
    np.testing.assert_array_equal(past, steps - oldest + oldest / 64)


def test_emotion_and_intensity_mix_the_rows_of_the_emotion_table_and_beyond_it_durations_go_on(engine):
    assert frames(engine, emotion="neutral") == 4 + 1
    assert frames(engine, emotion="happy") == 4 + 5
    assert frames(engine, emotion="高兴") == 4 + 5
    assert frames(engine, emotion="happy", intensity=0.5) == 4 + 3
    assert frames(engine, emotion="happy", intensity=2.0) == 16, "9 is 9 / 5 times 5, and 9 / 5 times 9 is 16.2"
    assert frames(engine, emotion="neutral", intensity=2.0) == 4 + 1


def test_speakers_are_known_by_name_and_by_row(engine):
    assert frames(engine, speaker="first") == frames(engine, speaker=0) == frames(engine) == NEUTRAL_FRAMES
    assert frames(engine, speaker="second") == frames(engine, speaker=1) == NEUTRAL_FRAMES + 1


def test_double_speed_halves_every_duration(engine):
    # Happy units of 9 frames: 4.5 rounds up to 5, as the reference's int(d + 0.5) does.
    assert frames(engine, emotion="happy", speed=2.0) == 5
    assert frames(engine, speed=0.25) == 20


def test_an_octave_up_doubles_the_pitch_in_hertz(engine):
    stats = engine.manifest.stats

    def hertz(**controls):
        return columns(engine.synthesize(UNITS, Controls(**controls)))[1, 0] * stats.pitch_std + stats.pitch_mean

    assert hertz(pitch=12.0) == pytest.approx(2 * hertz(), rel=1e-5)
    assert hertz(pitch=-12.0) == pytest.approx(hertz() / 2, rel=1e-5)


def test_volume_is_a_factor(engine):
    np.testing.assert_array_equal(engine.synthesize(UNITS, Controls(volume=0.5)), engine.synthesize(UNITS) * 0.5)
    assert not engine.synthesize(UNITS, Controls(volume=0.0)).any()


def test_the_same_request_gives_the_same_samples(engine):
    np.testing.assert_array_equal(engine.synthesize(UNITS), engine.synthesize(UNITS))


def test_what_the_voice_cannot_do_is_refused_with_what_it_can(engine):
    with pytest.raises(InputError, match=r"no emotion 'angry'; it has: neutral, happy"):
        engine.synthesize(UNITS, Controls(emotion="angry"))
    with pytest.raises(InputError, match=r"no speaker 'third'; it has: first, second"):
        engine.synthesize(UNITS, Controls(speaker="third"))
    with pytest.raises(InputError, match=r"no speaker number 2; give 0 to 1"):
        engine.synthesize(UNITS, Controls(speaker=2))
    with pytest.raises(InputError, match="nothing to synthesize"):
        engine.synthesize([])


def test_every_control_out_of_range_is_listed(engine):
    with pytest.raises(InputError) as caught:
        engine.synthesize(UNITS, Controls(speed=5.0, volume=-1.0, intensity=float("nan"), pitch=13.0))
    named = [problem.split(" is ")[0] for problem in caught.value.problems]
    assert named == ["intensity", "speed", "pitch", "volume"]


def test_a_graph_that_is_none_is_named(toy, tmp_path):
    shutil.copytree(toy.path, tmp_path / "broken")
    (tmp_path / "broken" / "decoder.onnx").write_bytes(b"not a graph")
    seal_bundle(tmp_path / "broken", load_bundle(toy.path).manifest)
    with pytest.raises(KubeVoiceError, match=r"decoder\.onnx cannot be run"):
        Engine.load(tmp_path / "broken")


@pytest.mark.parametrize(("graph", "known"), [("decoder", "past_mask"), ("postnet", "late")])
def test_a_graph_of_an_earlier_version_says_what_to_do(graph, known, toy, tmp_path):
    shutil.copytree(toy.path, tmp_path / "earlier")
    path = tmp_path / "earlier" / f"{graph}.onnx"
    model = onnx.load(path)
    for named in (*model.graph.input, *model.graph.output):
        named.name = named.name.replace(known, "unknown")
    for node in model.graph.node:
        node.input[:] = [name.replace(known, "unknown") for name in node.input]
        node.output[:] = [name.replace(known, "unknown") for name in node.output]
    onnx.save(model, path)
    seal_bundle(tmp_path / "earlier", toy.manifest)
    with pytest.raises(KubeVoiceError, match=rf"{graph}\.onnx .*; release the voice again"):
        Engine.load(tmp_path / "earlier")


def test_speaking_imports_no_torch(toy):
    program = f"""
import sys
from pathlib import Path
import kubevoice_serving.app, kubevoice_serving.http.application
from kubevoice.text import analyse
from kubevoice.engine import Controls, Engine, synthesize_text
engine = Engine.load(Path({str(toy.path)!r}))
assert engine.synthesize(analyse("你好。").sentences[0].units).size
assert "torch" not in sys.modules, "torch was imported"
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)


def test_units_reach_the_encoder_without_an_end_symbol(engine):
    encoded = UnitTables.load("PinYin").encode(UNITS)
    pitch = columns(engine.synthesize(UNITS))[1, 0]
    assert pitch == pytest.approx(encoded["sy"].mean() / 8)


def test_a_voice_reads_by_its_own_lexicon_and_a_request_before_it(toy, tmp_path):
    shutil.copytree(toy.path, folder := tmp_path / "own")
    (folder / "lexicon.txt").write_text("好\thao3 hao3\n坏\thuai4 huai4 huai4\n", encoding="utf-8")
    engine = Engine(seal_bundle(folder, toy.manifest))

    def synthesize(text, lexicon):
        return engine.synthesize(analyse(text, FrontEndConfig(lexicon)).sentences[0].units, Controls())

    theirs = {"好": ("hao3", "hao3", "hao3")}
    np.testing.assert_array_equal(
        synthesize_text(engine, "好。", Controls()), synthesize("好。", {"好": ("hao3", "hao3")})
    )
    np.testing.assert_array_equal(
        synthesize_text(engine, "好。", Controls(), options=ReadingOptions(theirs)), synthesize("好。", theirs)
    )
    audio = synthesize_text(engine, "坏。", Controls(), options=ReadingOptions(theirs))
    np.testing.assert_array_equal(audio, synthesize("坏。", {"坏": ("huai4",) * 3}))


@pytest.mark.parametrize(("english", "same"), [(True, True), (False, False)])
def test_a_voice_that_knows_english_speaks_its_phones(toy, tmp_path, english, same):
    shutil.copytree(toy.path, folder := tmp_path / "own")
    engine = Engine(seal_bundle(folder, toy.manifest.model_copy(update={"english": english})))
    phones = analyse("我用Windows", FrontEndConfig(english="phones")).sentences[0].units
    audio = synthesize_text(engine, "我用Windows", Controls())
    assert np.array_equal(audio, engine.synthesize(phones, Controls())) is same


def test_a_damaged_lexicon_of_a_voice_is_reported(toy, tmp_path):
    shutil.copytree(toy.path, folder := tmp_path / "own")
    (folder / "lexicon.txt").write_text("好 hao3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"lexicon\.txt line 1"):
        Engine(seal_bundle(folder, toy.manifest))


def test_a_gpu_that_is_given_and_not_used_is_reported_once(toy):
    program = f"from kubevoice.engine import Engine; from pathlib import Path; Engine.load(Path({str(toy.path)!r}))"
    messages = {
        given: subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": given},
            capture_output=True,
            text=True,
            check=True,
        ).stderr.count("this process has a GPU")
        for given in ("", "0")
    }
    assert messages == {"": 0, "0": int("CUDAExecutionProvider" not in onnxruntime.get_available_providers())}
