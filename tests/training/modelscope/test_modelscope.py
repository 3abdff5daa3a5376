"""ModelScope voice folders: imported, synthesized with, fine-tuned from."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Controls, Engine
from kubevoice.errors import InputError
from kubevoice.text import EMOTIONS, UnitTables, analyse
from kubevoice.text.units import STREAMS
from kubevoice.voice import builtin_voice, load_bundle
from kubevoice.voice.modelscope import find_voices
from kubevoice_training.features.acoustic_features import Features
from kubevoice_training.features.feature_store import FeatureSet, Utterance
from kubevoice_training.finetuning.embedding_tables import add_dataset_stats, remap_embeddings
from kubevoice_training.models.nsf import denormalize_f0
from kubevoice_training.modelscope.bundle import import_voices, load_voice
from kubevoice_training.voice_checkpoint import load_weights
from modelscope_folder import COMMAND, write_model, write_voice

SENTENCES = ("嗯。", "你好，世界。", "今天天气真好，我们一起去公园散步。")
KINDS = ("zhitian_emo", "nsf", "personal", "legacy")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("modelscope") / "model")


@pytest.fixture(scope="module")
def imported(model, tmp_path_factory):
    return {voice.name: voice for voice in import_voices(model, tmp_path_factory.mktemp("voices") / "out")}


def synthesize_in_torch(weights, units, emotion, speaker, noise):
    ids = UnitTables.load().encode(units)
    ling = torch.from_numpy(np.stack([ids[s] for s in STREAMS], axis=1))
    row = torch.ones(len(ling), dtype=torch.int64)
    mel = weights.acoustic.infer(ling, row * weights.emotions[emotion], row * weights.speakers[speaker])
    mel, source = mel.postnet_mel, weights.vocoder.config.source
    drawn = ()
    if source is not None:
        mel, drawn = denormalize_f0(mel, source), noise(len(mel) * 200, source.overtones + 1)
    with torch.inference_mode():
        return weights.vocoder(mel.T.unsqueeze(0), *drawn)[0, 0].numpy()


def source_noise(samples, harmonics):
    """What the engine draws for the harmonic source."""
    draw = np.random.default_rng(20)
    phase = draw.uniform(0.0, 2.0 * np.pi, harmonics).astype(np.float32)
    phase[0] = 0.0
    noise = draw.standard_normal((samples, harmonics), np.float32)
    return torch.from_numpy(noise.T.copy()).unsqueeze(0), torch.from_numpy(phase).unsqueeze(1)


@pytest.mark.parametrize("name", KINDS)
def test_an_imported_voice_says_what_its_networks_say(model, imported, name):
    engine = Engine.load(imported[name].path)
    (voice,) = [each for each in find_voices(model) if each.name == name]
    weights = load_voice(voice)
    speaker = list(weights.speakers)[-1]
    for text in SENTENCES:
        (sentence,) = analyse(text).sentences
        expected = synthesize_in_torch(weights, sentence.units, "sad", speaker, source_noise)
        audio = engine.synthesize(sentence.units, Controls(speaker=speaker, emotion="sad"))
        assert audio.shape == expected.shape
        assert np.abs(audio - expected).max() < 1e-4
        again = engine.synthesize(sentence.units, Controls(speaker=speaker, emotion="sad"))
        assert (again == audio).all()  # a source's noise, too


@pytest.mark.parametrize("name", KINDS)
def test_streamed_pieces_are_the_whole(imported, name):
    engine = Engine.load(imported[name].path)
    (sentence,) = analyse(SENTENCES[-1]).sentences
    whole = engine.synthesize(sentence.units, Controls(volume=0.5))
    pieces = list(engine.stream(sentence.units, Controls(volume=0.5), first_chunk_frames=7))
    assert len(pieces) > 3 if name in ("zhitian_emo", "legacy") else len(pieces) == 1
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_a_bundle_tells_where_it_comes_from(imported):
    manifest = imported["zhitian_emo"].bundle.manifest
    assert (manifest.name, manifest.sample_rate, manifest.hop) == ("zhitian_emo", 16000, 200)
    assert manifest.speakers == ("F7", "M7")
    assert manifest.emotions[0].label == "neutral"
    assert {e.label: e.id for e in manifest.emotions}["happy"] == EMOTIONS.index("happy")
    assert manifest.training["acousticCheckpoint"] == "checkpoint_980000.pth"
    assert any("Alibaba" in line for line in manifest.attribution)
    assert imported["personal"].bundle.manifest.speakers == ("personal",)


def test_one_voice_of_several_and_the_emotions_offered(model, tmp_path):
    (voice,) = import_voices(model, tmp_path / "out", names=["legacy"], emotions=["happy", "neutral"])
    assert voice.path == tmp_path / "out"
    assert [e.label for e in load_bundle(tmp_path / "out").manifest.emotions] == ["neutral", "happy"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_real_voice_comes_back_as_it_was(tmp_path):
    """The worked example of docs/import.md."""
    base = builtin_voice("builtin://base")
    script = Path(__file__).parents[3] / "scripts" / "make_modelscope_voice.py"
    subprocess.run([sys.executable, script, base, tmp_path / "model", "--name", "mei"], check=True)
    words = [tmp_path / "model", tmp_path / "mei", "--emotion", "neutral", "--emotion", "happy"]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'mei'}  {load_bundle(tmp_path / 'mei').digest}\n"
    original, engine = Engine.load(base), Engine.load(tmp_path / "mei")
    assert engine.manifest.speakers == original.manifest.speakers
    for text in SENTENCES:
        (sentence,) = analyse(text).sentences
        wanted = Controls(speaker=engine.manifest.speakers[1], emotion="happy", speed=1.1)
        np.testing.assert_allclose(
            engine.synthesize(sentence.units, wanted), original.synthesize(sentence.units, wanted), atol=1e-4
        )


@pytest.mark.parametrize("halves", [("sambert", "hifigan"), ("tmp_am", "tmp_voc")])
def test_base_models_and_trainers_folders_are_voices_too(tmp_path, halves):
    folder = tmp_path / "basemodel_16k"
    write_voice(folder)
    for new, old in zip(halves, ("am", "voc"), strict=True):
        (folder / old).rename(folder / new)
    (voice,) = find_voices(folder)
    assert voice.name == "basemodel_16k"
    assert voice.acoustic.checkpoint.name == "checkpoint_980000.pth"
    if halves[0] == "sambert":
        assert find_voices(tmp_path)[0].acoustic == voice.acoustic


def test_a_file_may_name_the_parts_of_a_voice(model, imported, tmp_path):
    """ModelScope's `custom_ckpt`."""
    folder = model / "voices" / "personal"
    shutil.move(shutil.copytree(folder, tmp_path / "parts") / "am" / "se.npy", tmp_path / "me.npy")
    for half in ("am", "voc"):
        config = yaml.safe_load((tmp_path / "parts" / half / "config.yaml").read_text())
        audio = {"audio_config": config.pop("audio_config")}
        (tmp_path / "parts" / half / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "audio.yaml").write_text(yaml.safe_dump(audio))
    named = {
        "voice_name": "personal",
        "am_ckpt": "parts/am/ckpt",
        "am_config": "parts/am/config.yaml",
        "voc_ckpt": str(tmp_path / "parts" / "voc" / "ckpt" / "checkpoint_0.pth"),
        "voc_config": "parts/voc/config.yaml",
        "audio_config": "audio.yaml",
        "se_file": "me.npy",
    }
    path = tmp_path / "custom.json"
    path.write_text(json.dumps(named))
    (voice,) = import_voices(path, tmp_path / "out")
    assert voice.bundle.digest == imported["personal"].bundle.digest
    for change, reason in (
        ({"am_ckpt": None}, "custom.json: am_ckpt or am_config is missing"),
        ({"voc_config": 3}, "custom.json: voc_config is 3"),
        ({"voice_name": "../x"}, "custom.json: voice_name is '../x'"),
        ({"se_file": "gone.npy"}, "se.npy is missing"),
    ):
        path.write_text(json.dumps(named | change))
        with pytest.raises(InputError, match=re.escape(reason)):
            import_voices(path, tmp_path / "other")


def utterance(frames, mel, *, dev=False):
    draw = np.random.default_rng(frames)
    values, f0 = draw.uniform(0.2, 0.9, (frames, mel.n_mels)).astype(np.float32), np.full(frames, 200.0, np.float32)
    f0[::2] = 0.0
    features = Features(values, f0, np.ones(frames, np.float32))
    return Utterance("a", "你好", "happy", "M7", dev, np.zeros((4, 4), np.int64), features, np.zeros(1, np.int16))


def test_training_goes_on_from_the_bundles_checkpoint(imported):
    base = load_weights(imported["zhitian_emo"].path / "checkpoint")
    features = FeatureSet(base.mel, (utterance(40, base.mel), utterance(60, base.mel, dev=True)))
    fitted = add_dataset_stats(base, features)
    np.testing.assert_allclose(fitted.stats.mel_mean, features.utterances[0].features.mel.mean(0), rtol=1e-5)
    assert fitted.stats.pitch_mean == pytest.approx(100.0)  # half of the frames are unvoiced, and count
    assert add_dataset_stats(fitted, features) is fitted
    adapted = remap_embeddings(fitted, ["M7", "new"], ["neutral", "happy"])
    old, table = base.acoustic.spk_tokenizer.weight, adapted.acoustic.spk_tokenizer.weight
    assert torch.equal(table[:2], old[[1, 0]])  # the known speaker, and the first for a new one
    assert torch.equal(table[2:], old[2:])
    assert adapted.stats is fitted.stats


def test_features_of_another_rate_are_refused(imported):
    base = load_weights(imported["zhitian_emo"].path / "checkpoint")
    with pytest.raises(InputError, match="16000 Hz with a hop of 200, but the features have 24000 Hz"):
        add_dataset_stats(base, FeatureSet(MelConfig(), ()))


def test_the_range_of_a_sources_f0_is_the_voices_own(imported):
    weights = load_weights(imported["nsf"].path / "checkpoint")
    assert (weights.vocoder.config.source.f0_offset, weights.vocoder.config.source.f0_scale) == (200.0, 50.0)
