"""Fine-tuning from an imported voice whose mels are not those of the voice that ships."""

import numpy as np
import pytest
from kubevoice.resources.stages import PrepareResult, TrainResult
from kubevoice.resources.training import VocoderMode, VocoderSpec
from kubevoice.resources.voicemodel import BaseVoice
from kubevoice_training.features.feature_store import read_features
from kubevoice_training.modelscope.bundle import import_voices
from kubevoice_training.voice_checkpoint import load_weights
from modelscope_folder import BINS, write_voice


def test_features_are_the_base_voices_and_training_measures_them(make, tmp_path):
    write_voice(tmp_path / "model")
    import_voices(tmp_path / "model", tmp_path / "base")
    runner = make(2)
    runner.spec = runner.spec.model_copy(update={"base": BaseVoice(uri=f"file://{tmp_path / 'base'}")})
    code, prepared = runner.run("prepare", runner.prepare_spec())
    assert code == 0, runner.log("prepare")
    where = PrepareResult.model_validate(prepared).features_uri
    features = read_features(tmp_path / where.removeprefix("file://"))
    assert (features.mel.sample_rate, features.mel.n_mels) == (16000, BINS)
    code, trained = runner.run("train", runner.train_spec(prepared))
    assert code == 0, runner.log("train")
    weights = load_weights(tmp_path / TrainResult.model_validate(trained).checkpoint_uri.removeprefix("file://"))
    assert weights.measured
    assert weights.mel == features.mel
    learnt = np.concatenate([u.features.mel for u in features.utterances if not u.dev])
    np.testing.assert_allclose(weights.stats.mel_mean, learnt.mean(0), rtol=1e-3)


@pytest.mark.parametrize("kind", [{"legacy": True}, {"source": True, "personal": True}])
def test_voices_without_an_aligner_or_with_a_source_learn(make, tmp_path, kind):
    write_voice(tmp_path / "model", **kind)
    (base,) = import_voices(tmp_path / "model", tmp_path / "base")
    old = load_weights(base.path / "checkpoint")
    runner = make(4)
    tuned = VocoderSpec(mode=VocoderMode.FINE_TUNE, max_steps=2)
    recipe = runner.spec.training.model_copy(update={"trainable": ("all",), "vocoder": tuned})
    update = {"base": BaseVoice(uri=f"file://{base.path}"), "training": recipe}
    runner.spec = runner.spec.model_copy(update=update)
    code, prepared = runner.run("prepare", runner.prepare_spec())
    assert code == 0, runner.log("prepare")
    code, trained = runner.run("train", runner.train_spec(prepared))
    assert code == 0, runner.log("train")
    assert "aligned 18 of 18 recordings" in runner.log("train")
    weights = load_weights(tmp_path / TrainResult.model_validate(trained).checkpoint_uri.removeprefix("file://"))
    for name in ("variance_adaptor.duration_predictor.fc.weight", "mel_postnet.fc.weight"):
        assert not np.array_equal(weights.acoustic.state_dict()[name], old.acoustic.state_dict()[name]), name
    assert weights.vocoder.config.source == old.vocoder.config.source
