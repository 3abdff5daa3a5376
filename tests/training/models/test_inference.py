"""Several utterances at once, and speech piece by piece, against one utterance at a time, with the shipped voice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from kubevoice.engine import Controls, Engine
from kubevoice.text import UnitTables, analyse
from kubevoice.text.units import STREAMS
from kubevoice.voice import builtin_voice, load_bundle
from kubevoice_training.models.config import SourceConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.nsf import HarmonicSource, denormalize_f0
from kubevoice_training.voice_checkpoint import load_weights

TEXTS = ("嗯。", "今天天气真好，我们一起去公园散步，然后回家做饭吃吧。", "你好。", "请问火车站怎么走？")


@pytest.fixture(scope="module")
def weights():
    return load_weights(builtin_voice("builtin://base") / "checkpoint")


@pytest.fixture(scope="module")
def utterances(weights):
    """Units as ids, with an emotion and a speaker of their own."""
    emotions, speakers = list(weights.emotions.values()), list(weights.speakers.values())
    inputs = []
    for number, text in enumerate(TEXTS):
        ids = UnitTables.load().encode([unit for s in analyse(text).sentences for unit in s.units])
        ling = torch.from_numpy(np.stack([ids[stream] for stream in STREAMS], axis=1))
        row = torch.ones(len(ling), dtype=torch.int64)
        inputs.append((ling, row * emotions[number], row * speakers[number]))
    return inputs


def test_a_batch_is_spoken_as_each_alone(weights, utterances):
    batched = weights.acoustic.infer_batch(*zip(*utterances, strict=True))
    assert len({int(output.band_width) for output in batched}) > 1  # attention reaches as far as each one's own band
    for utterance, output in zip(utterances, batched, strict=True):
        alone = weights.acoustic.infer(*utterance)
        assert output.durations.tolist() == alone.durations.tolist()
        for name in ("log_durations", "pitch", "energy", "decoder_mel", "postnet_mel"):
            torch.testing.assert_close(getattr(output, name), getattr(alone, name), atol=2e-5, rtol=1e-4, msg=name)


def test_one_symbol_is_spoken(weights, utterances):
    ling, emotion, speaker = (item[:1] for item in utterances[1])
    alone = weights.acoustic.infer(ling, emotion, speaker)
    batched = weights.acoustic.infer_batch(
        [ling, utterances[2][0]], [emotion, utterances[2][1]], [speaker] * 1 + [utterances[2][2]]
    )
    torch.testing.assert_close(batched[0].postnet_mel, alone.postnet_mel, atol=2e-5, rtol=1e-4)


def test_a_causal_vocoders_batch_is_each_alone(weights, utterances):
    mels = [weights.acoustic.infer(*utterance).postnet_mel for utterance in utterances]
    padded = torch.nn.utils.rnn.pad_sequence(mels, batch_first=True).transpose(1, 2)
    with torch.inference_mode():
        batched = weights.vocoder(padded)[:, 0]
        for wave, mel in zip(batched, mels, strict=True):
            alone = weights.vocoder(mel.T.unsqueeze(0))[0, 0]
            torch.testing.assert_close(wave[: len(alone)], alone, atol=1e-5, rtol=0.0)


def test_the_engine_streams_what_it_speaks(weights):
    bundle = load_bundle(builtin_voice("builtin://base"))
    manifest = bundle.manifest.model_copy(update={"vocoder_context": weights.vocoder.config.receptive_field})
    engine = Engine(type(bundle)(bundle.path, manifest, bundle.digest))
    units = [unit for sentence in analyse(TEXTS[1]).sentences for unit in sentence.units]
    whole = engine.synthesize(units, Controls(emotion="happy"))
    for frames in (1 << 20, 48, 31):
        pieces = list(engine.stream(units, Controls(emotion="happy"), first_chunk_frames=frames))
        assert (len(pieces) == 1) == (frames == 1 << 20)
        np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_sentences_spoken_at_once_are_each_alone():
    engine = Engine.load(builtin_voice("builtin://base"))
    sentences = [analyse(text).sentences[0].units for text in TEXTS]
    alone = [engine.synthesize(units, Controls()) for units in sentences]
    with ThreadPoolExecutor(len(sentences)) as pool:
        parallel = list(pool.map(lambda units: engine.synthesize(units, Controls()), sentences))
    for audio, expected in zip(parallel, alone, strict=True):
        np.testing.assert_array_equal(audio, expected)


PUBLISHED = {  # the reference's configurations and the receptive fields measured with it (docs/reference/hifigan.md)
    "16k": (GeneratorConfig(80, 16, 7, (10, 5, 2, 2), (20, 10, 4, 4), (3, 7, 11), ((1, 3, 5, 7),) * 3), 35),
    "24k": (GeneratorConfig(80, 16, 7, (8, 5, 3, 2), (16, 10, 6, 4)), 28),
    "48k": (GeneratorConfig(80, 32, 7, (10, 5, 3, 2, 2), (20, 10, 6, 4, 4), (3, 7, 11), ((1, 3, 5, 7),) * 3), 35),
}


ODD = GeneratorConfig(6, 16, 7, (5, 4), (11, 8), (3, 7), ((1, 3), (1, 5)), causal=False)


@pytest.mark.parametrize("rate", PUBLISHED)
def test_the_context_is_the_published_one(rate):
    config, measured = PUBLISHED[rate]
    left, right = config.receptive_field
    assert right == 0
    assert measured - 1 <= left <= measured  # it was measured in float32, where the last frame is hard to see


@pytest.mark.parametrize("config", [ODD, replace(ODD, causal=True), replace(ODD, published=True), PUBLISHED["24k"][0]])
def test_samples_depend_on_the_frames_of_the_context_and_no_others(config):
    torch.manual_seed(0)
    generator, (left, right) = Generator(config).double(), config.receptive_field
    mel = torch.randn(1, config.in_channels, 60, dtype=torch.float64, requires_grad=True)
    frame = generator(mel)[0, 0, 30 * config.hop : 31 * config.hop]
    reached = torch.autograd.grad(frame.abs().sum(), mel)[0][0].abs().sum(0).nonzero().flatten()
    assert (30 - int(reached.min()), int(reached.max()) - 30) == (left, right)


def test_the_source_sings_the_fundamental_and_its_overtones():
    torch.manual_seed(0)
    source = HarmonicSource(SourceConfig(overtones=2, sample_rate=16000), hop=100)
    source.ffn[0].weight_v.data = torch.tensor([[[1.0], [0.0], [0.0]]])
    source.ffn[0].weight_g.data.fill_(1.0)
    source.ffn[0].bias.data.zero_()
    f0 = torch.full((1, 1, 160), 250.0)
    silent, start = torch.zeros(1, 3, 16000), torch.zeros(3, 1)
    with torch.no_grad():
        voiced = source(f0, torch.ones_like(f0), silent, start)[0, 0]
        assert int(torch.fft.rfft(voiced).abs().argmax()) == 250
        assert float(voiced.abs().max()) == pytest.approx(np.tanh(0.1), abs=1e-4)
        assert float(source(f0, torch.zeros_like(f0), silent, start).abs().max()) == 0.0
        noise = torch.randn(1, 3, 16000)
        unvoiced = source(f0, torch.zeros_like(f0), noise, start)[0, 0]
    assert float(unvoiced.std()) == pytest.approx(0.1 / 3.0, rel=0.05)


def test_a_long_texts_phase_does_not_drift():
    source = HarmonicSource(SourceConfig(overtones=0, sample_rate=16000), hop=100)
    source.ffn[0].weight_v.data = source.ffn[0].weight_g.data = torch.ones(1, 1, 1)
    source.ffn[0].bias.data.zero_()
    f0 = torch.full((1, 1, 9600), 250.0)  # a minute
    with torch.no_grad():
        wave = source(f0, torch.ones_like(f0), torch.zeros(1, 1, 960000), torch.zeros(1, 1))[0, 0]
    torch.testing.assert_close(wave[:64], wave[-64:], atol=1e-6, rtol=0.0)  # 64 samples a period


def test_a_source_reads_hertz_and_yes_or_no():
    mel = torch.tensor([[0.5, 0.0, 0.6], [0.5, -4.0, 0.59], [0.5, 1.0, 2.0]])
    f0 = denormalize_f0(mel, SourceConfig(f0_offset=200.0, f0_scale=50.0))
    assert f0.tolist() == [[0.5, 200.0, 1.0], [0.5, 30.0, 0.0], [0.5, 250.0, 1.0]]
