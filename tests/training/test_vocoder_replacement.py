"""A vocoder in HiFi-GAN's own format replaces that of a bundle, if both have the same mel."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.errors import InputError
from kubevoice.voice import Emotion, VoiceManifest, VoiceStats, load_bundle, seal_bundle
from kubevoice.voice.modelscope import find_voices
from kubevoice_training.modelscope.bundle import load_voice
from kubevoice_training.vocoder_replacement import import_vocoder
from kubevoice_training.voice_checkpoint import load_weights, save_weights
from modelscope_folder import AUDIO, BINS, write_voice
from published_vocoder import CONFIG, PublishedGenerator

# The old weight normalisation has the format's names for its two parts; torch warns that there is a newer one.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
VOICE_CONFIG = CONFIG | {
    "upsample_rates": [10, 5, 4],
    "upsample_kernel_sizes": [20, 11, 8],
    "num_mels": BINS,
    "n_fft": AUDIO["n_fft"],
    "win_size": AUDIO["win_length"],
    "hop_size": AUDIO["hop_length"],
    "sampling_rate": AUDIO["sampling_rate"],
}
NATURAL_PER_DB = np.log(10.0) / 20.0


def make_bundle(folder, weights):
    """Write a bundle without graphs: what is imported does not depend on them."""
    save_weights(weights, folder / "checkpoint")
    (folder / "lexicon.txt").write_text("你好\tni3 hao4\n", encoding="utf-8")
    config, stats = weights.acoustic.config, weights.stats
    manifest = VoiceManifest(
        name="voice",
        sample_rate=weights.mel.sample_rate,
        hop=weights.mel.hop_length,
        mels=BINS,
        outputs_per_step=config.outputs_per_step,
        speakers=tuple(weights.speakers),
        speaker_rows=config.speakers,
        emotions=tuple(Emotion(label=label, id=row) for label, row in weights.emotions.items()),
        emotion_rows=config.emotions,
        stats=VoiceStats(
            pitch_mean=stats.pitch_mean,
            pitch_std=stats.pitch_std,
            energy_mean=stats.energy_mean,
            energy_std=stats.energy_std,
        ),
        metrics={"naturalness": 2.0},
        attribution=("someone's recordings",),
    )
    return seal_bundle(folder, manifest)


def load_small_voice(folder, **kind):
    write_voice(folder / "model", **kind)
    return load_voice(find_voices(folder / "model")[0], ["neutral", "happy"])


@pytest.fixture
def other(tmp_path):
    """A voice whose mel has KAN-TTS's levels."""
    return make_bundle(tmp_path / "other", load_small_voice(tmp_path))


@pytest.fixture
def voice(tmp_path):
    """A voice with the vocoder's mel, normalised."""
    weights = load_small_voice(tmp_path)
    weights.mel = dataclasses.replace(weights.mel, min_level_db=-120.0)
    weights.stats.mel_mean[:] = np.linspace(0.4, 0.6, BINS)
    weights.stats.mel_std[:] = np.linspace(0.1, 0.2, BINS)
    return make_bundle(tmp_path / "voice", weights)


@pytest.fixture
def vocoder(tmp_path):
    torch.manual_seed(1)
    network = PublishedGenerator(VOICE_CONFIG)
    folder = tmp_path / "vocoder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(VOICE_CONFIG), encoding="utf-8")
    torch.save({"generator": network.state_dict()}, folder / "g_00000100")
    return folder, network.eval()


def test_the_voice_has_the_new_vocoder_and_keeps_the_rest(voice, vocoder, tmp_path):
    folder, network = vocoder
    (folder / "g_00000020").write_bytes(b"an earlier step")
    (folder / "do_00000100").write_bytes(b"discriminators")
    imported = import_vocoder(folder, voice, tmp_path / "out")
    assert load_bundle(tmp_path / "out").digest == imported.digest != voice.digest
    before, after = (load_weights(path / "checkpoint") for path in (voice.path, tmp_path / "out"))
    assert all(map(torch.equal, before.acoustic.parameters(), after.acoustic.parameters()))
    mel = torch.randn(60, BINS)
    level = (mel.numpy() * before.stats.mel_std + before.stats.mel_mean) * 120.0 - 100.0
    natural = torch.from_numpy((level * NATURAL_PER_DB).astype(np.float32)).T.unsqueeze(0)
    first, last = after.vocoder.config.receptive_field
    inner = slice(first * 200, (60 - last) * 200)
    with torch.inference_mode():
        torch.testing.assert_close(
            after.vocoder(mel.T.unsqueeze(0))[..., inner], network(natural)[..., inner], atol=2e-3, rtol=0.02
        )
    engine = Engine.load(tmp_path / "out")
    assert engine.manifest.vocoder_context == (first, last)
    assert engine.front_end_config.lexicon == {"你好": ("ni3", "hao4")}
    assert len(synthesize_text(engine, "你好。", Controls())) > 0
    assert "naturalness" not in engine.manifest.metrics
    first, *others = engine.manifest.attribution
    assert first == "someone's recordings"
    assert others[0].startswith("Vocoder imported from vocoder")


def test_another_mel_is_refused_with_both_named(other, vocoder, tmp_path):
    folder, _ = vocoder
    changed = VOICE_CONFIG | {"fmax": 7600}
    (folder / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(InputError) as error:
        import_vocoder(folder, other, tmp_path / "out")
    message = str(error.value)
    assert str(folder) in message
    assert str(other.path) in message
    assert "fmax 7600.0 / 8000.0" in message
    assert "min_level_db -120.0 / -100.0" in message
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_is_not_what_it_says_is_refused(voice, vocoder, tmp_path):
    folder, _ = vocoder
    wider = PublishedGenerator(VOICE_CONFIG | {"upsample_initial_channel": 32})
    torch.save({"generator": wider.state_dict()}, folder / "g_00000100")
    with pytest.raises(InputError, match=r"g_00000100 does not fit the network"):
        import_vocoder(folder, voice, tmp_path / "out")
    (folder / "g_00000100").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=r"g_00000100 (is damaged|holds more than tensors)"):
        import_vocoder(folder, voice, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "vocoder", "voice"]


def test_with_several_generators_one_must_be_named(voice, vocoder, tmp_path):
    folder, _ = vocoder
    (folder / "g_00000100").rename(folder / "generator_v1")
    (folder / "generator_v2").write_bytes(b"another")
    with pytest.raises(InputError, match=r"--checkpoint: generator_v1, generator_v2"):
        import_vocoder(folder, voice, tmp_path / "out")
    with pytest.raises(InputError, match=r"generator_v2 (is damaged|holds more than tensors)"):
        import_vocoder(folder, voice, tmp_path / "out", "generator_v2")


def test_a_harmonic_source_cannot_be_replaced(vocoder, tmp_path):
    bundle = make_bundle(tmp_path / "nsf", load_small_voice(tmp_path, source=True))
    with pytest.raises(InputError, match="harmonic source"):
        import_vocoder(vocoder[0], bundle, tmp_path / "out")
