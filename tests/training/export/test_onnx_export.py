"""The exported graphs, run by the engine, against the torch networks they were made from."""

import json

import numpy as np
import onnx
import pytest
import torch
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Controls, Engine
from kubevoice.errors import InputError
from kubevoice.text import UnitTables, analyse
from kubevoice.voice import Emotion, VoiceManifest, VoiceStats, load_bundle, seal_bundle
from kubevoice_training.export.equivalence import TEXTS, measure_export_differences
from kubevoice_training.export.onnx_export import export_graphs
from kubevoice_training.export.torchscript import export_torchscript
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights, save_weights

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
        vocoder_context=vocoder.config.receptive_field,
        stats=VoiceStats(pitch_mean=200.0, pitch_std=50.0, energy_mean=0.0, energy_std=1.0),
    )
    return acoustic, vocoder, Engine(seal_bundle(folder, manifest))


@pytest.mark.parametrize("text", ["嗯。", "你好，世界。", "今天天气真好，我们一起去公园散步，然后回家做饭吃吧。"])
def test_the_engine_says_what_torch_says(voice, text):
    acoustic, vocoder, engine = voice
    (sentence,) = analyse(text).sentences
    ids = UnitTables.load().encode(sentence.units)
    ling = torch.from_numpy(np.stack([ids[s] for s in ("sy", "tone", "syllable_flag", "word_segment")], axis=1))
    mel = acoustic.infer(ling, torch.full((len(ling),), HAPPY), torch.full((len(ling),), SECOND)).postnet_mel
    with torch.inference_mode():
        expected = vocoder(mel.T.unsqueeze(0))[0, 0].numpy()
    audio = engine.synthesize(sentence.units, Controls(speaker="second", emotion="happy"))
    assert audio.shape == expected.shape
    assert np.abs(audio - expected).max() < 1e-4


def test_weights_that_were_rounded_are_stored_in_half_the_room(voice, tmp_path):
    acoustic, vocoder, _ = voice
    labels = {"speakers": {"first": 0}, "emotions": {"neutral": 1}}
    stats = Stats(np.zeros(20, np.float32), np.ones(20, np.float32), 200.0, 50.0, 0.0, 1.0)
    save_weights(VoiceWeights(acoustic, vocoder, MelConfig(n_mels=20), stats, **labels), tmp_path / "checkpoint")
    rounded = load_weights(tmp_path / "checkpoint")
    export_graphs(rounded.acoustic, rounded.vocoder, tmp_path)
    for name in ("encoder", "decoder", "postnet", "vocoder"):
        initializers = onnx.load(tmp_path / f"{name}.onnx").graph.initializer
        # What up-samples has sums of weights, which need not be half numbers.
        big = [x for x in initializers if np.prod(x.dims) >= 1000 and not x.name.startswith("upsamplers.")]
        kinds = {x.data_type for x in big} - {onnx.TensorProto.INT64}
        assert kinds == {onnx.TensorProto.FLOAT16}, name


@pytest.mark.parametrize("frames", [1, 7, 10_000])
def test_pieces_are_what_all_at_once_gives_however_they_are_cut(voice, frames):
    _, _, engine = voice
    (sentence,) = analyse("今天天气真好，我们一起去公园散步。").sentences
    whole = engine.synthesize(sentence.units, Controls(volume=0.5))
    pieces = list(engine.stream(sentence.units, Controls(volume=0.5), first_chunk_frames=frames))
    assert (len(pieces) > 3) == (frames < 10_000)
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_the_vocoder_is_causal_so_that_audio_can_be_sent_before_it_is_finished(voice):
    _, vocoder, _ = voice
    mel = torch.randn(1, 20, 30, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole, part = vocoder(mel), vocoder(mel[..., :10])
    torch.testing.assert_close(whole[..., : part.shape[-1]], part)


def test_speed_stretches_every_symbol(voice):
    _, _, engine = voice
    (sentence,) = analyse("今天天气真好。").sentences
    normal = len(engine.synthesize(sentence.units, Controls()))
    slow = len(engine.synthesize(sentence.units, Controls(speed=0.5)))
    assert slow / normal == pytest.approx(2.0, rel=0.15)  # durations are whole frames


@pytest.fixture(scope="module")
def released(voice, tmp_path_factory):
    """The same voice as a bundle with its checkpoint."""
    acoustic, vocoder, engine = voice
    stats = Stats(np.zeros(20, np.float32), np.ones(20, np.float32), 200.0, 50.0, 0.0, 1.0)
    speakers, emotions = {"first": 0, "second": SECOND}, {"neutral": 1, "happy": HAPPY}
    weights = VoiceWeights(acoustic, vocoder, MelConfig(n_mels=20), stats, speakers, emotions)
    folder = tmp_path_factory.mktemp("released")
    save_weights(weights, folder / "checkpoint")
    export_graphs(*networks(load_weights(folder / "checkpoint")), folder)
    return seal_bundle(folder, engine.manifest)


def networks(weights):
    return weights.acoustic, weights.vocoder


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:FutureWarning")
def test_torchscript_says_what_torch_says_over_ten_texts(released):
    target = released.path / "torchscript"
    differences = export_torchscript(released, target)
    assert (
        set(differences.torchscript)
        == set(differences.onnx)
        == {f"{n}.onnx" for n in ("encoder", "decoder", "postnet", "vocoder")}
    )
    assert max(differences.torchscript.values()) < 1e-5
    assert max(differences.onnx.values()) < 1e-3
    assert json.loads((target / "export.json").read_text())["texts"] == len(TEXTS) == 10
    assert load_bundle(released.path).digest == released.digest
    vocoder = torch.jit.load(target / "vocoder.pt")
    assert vocoder(torch.randn(7, 20)).shape == (7 * 240,)


class Silent(torch.nn.Module):
    def forward(self, mel):
        return torch.zeros(len(mel) * 240)


def test_a_graph_that_is_not_the_networks_is_found_out(released):
    weights = load_weights(released.path / "checkpoint")
    weights.acoustic.mel_postnet.fc.bias.data += 0.1
    differences = measure_export_differences(released, weights, {"vocoder.onnx": Silent()})
    assert differences.onnx["postnet.onnx"] == pytest.approx(0.1, rel=0.01)
    assert differences.onnx["vocoder.onnx"] < 1e-3
    assert differences.torchscript["vocoder.onnx"] > 1e-3


def test_a_bundle_without_checkpoint_is_not_exported(voice, tmp_path):
    _, _, engine = voice
    with pytest.raises(InputError, match="without its checkpoint"):
        export_torchscript(engine._bundle, tmp_path)
