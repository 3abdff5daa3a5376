"""Voice bundles: sealed, read again, and refused when anything in them changed."""

import json

import pytest
from kubevoice.errors import InputError
from kubevoice.voice import GRAPHS, Emotion, VoiceManifest, VoiceStats, builtin_voice, load_bundle, seal_bundle

MANIFEST = VoiceManifest(
    name="mei",
    sample_rate=24000,
    hop=240,
    mels=80,
    outputs_per_step=3,
    speakers=("mei",),
    speaker_rows=4,
    emotions=(Emotion(label="neutral", id=1),),
    emotion_rows=36,
    stats=VoiceStats(pitch_mean=200.0, pitch_std=50.0, energy_mean=0.0, energy_std=1.0),
)


@pytest.fixture
def bundle(tmp_path):
    for graph in GRAPHS:
        (tmp_path / graph).write_bytes(graph.encode())
    return seal_bundle(tmp_path, MANIFEST)


def test_a_sealed_bundle_is_read_as_it_was_written(bundle):
    loaded = load_bundle(bundle.path)
    assert (loaded.manifest, loaded.digest) == (bundle.manifest, bundle.digest)
    assert set(loaded.manifest.files) == set(GRAPHS)


def test_the_digest_follows_the_content(bundle, tmp_path):
    (tmp_path / "encoder.onnx").write_bytes(b"another")
    assert seal_bundle(tmp_path, MANIFEST).digest != bundle.digest


def change(path):
    (path / "vocoder.onnx").write_bytes(b"?")


def remove(path):
    (path / "decoder.onnx").unlink()


def escape(path):
    manifest = json.loads((path / "voice.json").read_text())
    manifest["files"]["../secret"] = "0" * 64
    (path / "voice.json").write_text(json.dumps(manifest))


def unlist(path):
    manifest = json.loads((path / "voice.json").read_text())
    del manifest["files"]["postnet.onnx"]
    (path / "voice.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (change, "vocoder.onnx: content differs"),
        (remove, "decoder.onnx: missing"),
        (escape, "../secret: path leaves the bundle"),
        (unlist, "postnet.onnx: not listed"),
    ],
)
def test_a_damaged_bundle_is_refused_with_the_reason(bundle, damage, reason):
    damage(bundle.path)
    with pytest.raises(InputError) as caught:
        load_bundle(bundle.path)
    assert any(reason in problem for problem in caught.value.problems)


def test_a_folder_without_a_voice_and_a_voice_json_that_is_none(tmp_path):
    with pytest.raises(InputError, match=r"it has no voice\.json"):
        load_bundle(tmp_path)
    (tmp_path / "voice.json").write_text('{"name": 1}')
    with pytest.raises(InputError, match="cannot be read as a voice manifest"):
        load_bundle(tmp_path)


def test_shipped_voices_are_found_by_name_and_whole():
    assert load_bundle(builtin_voice("builtin://base")).manifest.language == "zh"
    with pytest.raises(InputError, match="there are: base"):
        builtin_voice("builtin://../base")
