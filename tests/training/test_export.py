"""The exported graphs, run by the engine, against the torch networks they were made from."""

import numpy as np
import pytest
import torch
from kubevoice.engine import Controls, Engine
from kubevoice.text import UnitTables, analyse
from kubevoice.voice import Emotion, VoiceManifest, VoiceStats, seal_bundle
from kubevoice_training.export import export_graphs
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import Sambert

SMALL = SambertConfig(
    speakers=5,
    embedding=32,
    units=32,
    encoder_layers=2,
    encoder_inner=32,
    predictor_layers=2,
    predictor_inner=32,
    predictor_memory=16,
    predictor_lstm=16,
    duration_prenet=(16, 16),
    decoder_layers=3,
    decoder_inner=32,
    decoder_prenet=(16, 16),
    n_mels=20,
    postnet_layers=2,
    postnet_inner=16,
    postnet_memory=16,
    postnet_lstm=16,
)
HAPPY, SECOND = 5, 1


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """Networks with random weights, and the engine that runs their export."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("bundle")
    acoustic = Sambert(SMALL).eval()
    acoustic.variance_adaptor.duration_predictor.fc.bias.data.fill_(1.6)  # about four frames a symbol
    vocoder = Generator(GeneratorConfig(in_channels=20, channels=16)).eval()
    export_graphs(acoustic, vocoder, folder)
    manifest = VoiceManifest(
        name="small",
        sample_rate=24000,
        hop=240,
        mels=20,
        outputs_per_step=3,
        speakers=("first", "second"),
        speaker_rows=5,
        emotions=(Emotion(label="neutral", id=1), Emotion(label="happy", id=HAPPY)),
        emotion_rows=36,
        stats=VoiceStats(pitch_mean=200.0, pitch_std=50.0, energy_mean=0.0, energy_std=1.0),
    )
    return acoustic, vocoder, Engine(seal_bundle(folder, manifest))


@pytest.mark.parametrize("text", ["嗯。", "你好，世界。", "今天天气真好，我们一起去公园散步，然后回家做饭吃吧。"])
def test_the_engine_says_what_torch_says(voice, text):
    acoustic, vocoder, engine = voice
    (sentence,) = analyse(text).sentences
    ids = UnitTables.load().encode(sentence.units)
    ling = torch.from_numpy(np.stack([ids[s] for s in ("sy", "tone", "syllable_flag", "word_segment")], axis=1))
    mel = acoustic.infer(ling, torch.full((len(ling),), HAPPY), torch.full((len(ling),), SECOND))["postnet_outputs"]
    with torch.inference_mode():
        expected = vocoder(mel.T.unsqueeze(0))[0, 0].numpy()
    found = engine.speak(sentence.units, Controls(speaker="second", emotion="happy"))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4


def test_the_vocoder_is_causal_so_that_audio_can_be_sent_before_it_is_finished(voice):
    _, vocoder, _ = voice
    mel = torch.randn(1, 20, 30, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole, part = vocoder(mel), vocoder(mel[..., :10])
    torch.testing.assert_close(whole[..., : part.shape[-1]], part)


def test_speed_stretches_every_symbol(voice):
    _, _, engine = voice
    (sentence,) = analyse("今天天气真好。").sentences
    normal = len(engine.speak(sentence.units, Controls()))
    slow = len(engine.speak(sentence.units, Controls(speed=0.5)))
    assert slow / normal == pytest.approx(2.0, rel=0.15)  # durations are whole frames
