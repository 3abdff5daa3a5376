"""ModelScope voice folders: imported, synthesized with, fine-tuned from; faults of a folder are named."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
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
from modelscope_folder import write_model, write_voice

SENTENCES = ("嗯。", "你好，世界。", "今天天气真好，我们一起去公园散步。")
COMMAND = (sys.executable, "-c", "from kubevoice_cli.main import run; run()", "voice", "import")
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


# What may be wrong with a folder: a change to it, and what the message must name.


def yaml_of(path, change):
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def tensors_of(path, change):
    state = torch.load(path, weights_only=True)
    change(state["model"].get("generator", state["model"]))
    torch.save(state, path)


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def with_code(path):
    torch.save({"model": {"text": Hostile()}}, path)


def as_bare_pickle(path):
    path.write_bytes(pickle.dumps(Hostile()))


def with_a_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10_000_000)


LEVELS = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
ENDLESS = f"l0: &l0 [x]\n{LEVELS}Model: {{KanTtsSAMBERT: {{params: {{encoder_num_heads: *l29}}}}}}"
MERGED = "".join(f"l{n}: &l{n} {{<<: [*l{n - 1}, *l{n - 1}]}}\n" for n in range(1, 30))
HUGE = torch.ones(1).as_strided((10**9, 1000), (0, 0))  # a shape that four bytes are said to fill
AM, VOC = "am/ckpt/checkpoint_980000.pth", "voc/ckpt/checkpoint_0.pth"
FAULTS = {
    "empty": (AM, lambda p: p.write_bytes(b""), "is empty"),
    "cut short": (AM, lambda p: p.write_bytes(p.read_bytes()[:-2000]), "damaged"),
    "cut in half": (VOC, lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "damaged"),
    "text": (AM, lambda p: p.write_text("version https://git-lfs"), "checkpoint_980000"),
    "code": (AM, with_code, "could run code"),
    "bare code": (VOC, as_bare_pickle, "could run code"),
    "bomb": (AM, with_a_bomb, "claims to unpack"),
    "no model": (AM, lambda p: torch.save({"steps": 3}, p), "model is missing"),
    "no generator": (VOC, lambda p: torch.save({"model": {}}, p), "model.generator is missing"),
    "no tensor": (AM, lambda p: tensors_of(p, lambda s: s.update({"mel_postnet.fc.bias": "x"})), "mel_postnet.fc.bias"),
    "missing key": (AM, lambda p: tensors_of(p, lambda s: s.pop("mel_postnet.fc.bias")), "mel_postnet.fc.bias is"),
    "missing size": (AM, lambda p: tensors_of(p, lambda s: s.pop("emo_tokenizer.weight")), "emo_tokenizer.weight"),
    "unknown key": (AM, lambda p: tensors_of(p, lambda s: s.update(fp=torch.ones(1))), "fp has no place"),
    "other shape": (
        VOC,
        lambda p: tensors_of(p, lambda s: s.update({"conv_post.conv1d.bias": torch.ones(2)})),
        "conv_post.conv1d.bias",
    ),
    "other dimensions": (
        AM,
        lambda p: tensors_of(p, lambda s: s.update({"emo_tokenizer.weight": torch.ones(3)})),
        "emo_tokenizer.weight",
    ),
    "huge shape": (
        AM,
        lambda p: tensors_of(
            p,
            lambda s: s.update({"emo_tokenizer.weight": HUGE}),
        ),
        "emo_tokenizer.weight claims",
    ),
    "not a number": (AM, lambda p: tensors_of(p, lambda s: s["mel_postnet.fc.bias"].fill_(np.nan)), "mel_postnet.fc"),
    "foreign speakers": (
        AM,
        lambda p: tensors_of(p, lambda s: s.update({"spk_tokenizer.weight": torch.ones(50, 32)})),
        "speaker_list",
    ),
    "no yaml": ("am/config.yaml", lambda p: p.write_text("a: [1"), "am/config.yaml"),
    "unsafe yaml": ("am/config.yaml", lambda p: p.write_text("!!python/object/apply:os.system ['x']"), "config.yaml"),
    "endless yaml": ("am/config.yaml", lambda p: p.write_text(ENDLESS), "encoder_num_heads"),
    "merged yaml": ("am/config.yaml", lambda p: p.write_text(f"l0: &l0 {{x: 1}}\n{MERGED}"), "am/config.yaml"),
    "pipe": ("am/config.yaml", lambda p: (p.unlink(), os.mkfifo(p)), "is not a file"),
    "no config": ("voc/config.yaml", lambda p: p.unlink(), "voc/config.yaml"),
    "huge config": ("voc/config.yaml", lambda p: p.write_bytes(b"#" * 2_000_000), "voc/config.yaml"),
    "wrong heads": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["Model"]["KanTtsSAMBERT"]["params"].update(encoder_num_heads=5)),
        "encoder_num_heads",
    ),
    "huge heads": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["Model"]["KanTtsSAMBERT"]["params"].update(postnet_shift=10**12)),
        "postnet_shift",
    ),
    "wrong scales": (
        "voc/config.yaml",
        lambda p: yaml_of(p, lambda c: c["Model"]["Generator"]["params"].update(upsample_scales=[10**9, 1, 1])),
        "upsample_scales",
    ),
    "wrong hop": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["audio_config"].update(hop_length=240)),
        "hop_length is 240",
    ),
    "no audio": ("am/config.yaml", lambda p: yaml_of(p, lambda c: c.pop("audio_config")), "audio_config"),
    "language": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["linguistic_unit"].update(language="ZhHK")),
        "linguistic_unit.language",
    ),
    "no checkpoint": (VOC, lambda p: p.unlink(), "checkpoint_NUMBER.pth"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "voice"
    write_voice(folder)
    return folder


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_leaves_nothing_behind(plain, tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "voice"
    shutil.copytree(plain, folder)
    name, change, message = FAULTS[fault]
    change(folder / name)
    with pytest.raises(InputError) as error:
        import_voices(folder, tmp_path / "out")
    assert message in str(error.value)
    assert str(folder) in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["voice"]


@pytest.mark.parametrize(
    "names", [["../plain"], ["/etc"], ["a/b"], [".."], [""], [3], [], "zhitian", ["gone"], ["a\u0000b"]]
)
def test_names_in_voices_json_do_not_lead_away(plain, tmp_path, names):
    shutil.copytree(plain, tmp_path / "model" / "plain")
    (tmp_path / "model" / "voices").mkdir()
    (tmp_path / "model" / "voices" / "voices.json").write_text(json.dumps({"voices": names}))
    with pytest.raises(InputError, match="voices"):
        import_voices(tmp_path / "model", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", pickle.dumps([1]), b"x" * 2_000_000])
def test_a_speakers_vector_is_read_with_care(tmp_path, content):
    write_voice(tmp_path / "voice", personal=True, source=True)
    (tmp_path / "voice" / "am" / "se.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"se\.npy"):
        load_voice(find_voices(tmp_path / "voice")[0])


def test_the_command_says_what_is_wrong_and_where(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "voice")
    (tmp_path / "voice" / AM).write_bytes(b"")
    done = subprocess.run([*COMMAND, tmp_path / "voice", tmp_path / "out"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "checkpoint_980000.pth is empty" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_there_is_not_written_over(plain, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match="is there already"):
        import_voices(plain, tmp_path / "out")
