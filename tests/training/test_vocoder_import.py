"""A HiFi-GAN generator in its authors' format becomes one of ours and makes the same sound."""

import json

import numpy as np
import pytest
import torch
from kubevoice.audio.mel import MelConfig, log_mel
from kubevoice.errors import InputError
from kubevoice_training.vocoder_import import fold_normalization, load_published_generator
from published_vocoder import CONFIG, PublishedGenerator

# The old weight normalisation has the format's names for its two parts; torch warns that there is a newer one.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(1)
    network = PublishedGenerator(CONFIG)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    torch.save({"generator": network.state_dict()}, tmp_path / "generator.pth.tar")
    return tmp_path, network.eval()


def test_it_makes_the_same_samples_from_our_mel(folder):
    path, network = folder
    generator, mel = load_published_generator(path, "generator.pth.tar")
    natural = torch.randn(1, 10, 80) * 2.0 - 5.0
    ours = (natural * 20.0 / np.log(10.0) + 100.0) / 120.0
    before, after = generator.config.receptive_field
    inner = slice(before * 8, (80 - after) * 8)  # beyond, the one sees loud frames before the first, the other silence
    with torch.inference_mode():
        torch.testing.assert_close(generator(ours)[..., inner], network(natural)[..., inner], atol=1e-5, rtol=1e-4)
    assert mel.hop_length == generator.config.hop == 8


def test_a_normalised_mel_is_folded_in_too(folder):
    generator, _ = load_published_generator(folder[0], "generator.pth.tar")
    mel = torch.rand(1, 10, 60)
    mean, std = np.linspace(0.2, 0.7, 10, dtype=np.float32), np.linspace(0.1, 0.3, 10, dtype=np.float32)
    with torch.inference_mode():
        expected = generator(mel)
        fold_normalization(generator, std, mean)
        made = generator((mel - torch.from_numpy(mean)[:, None]) / torch.from_numpy(std)[:, None])
    before, after = generator.config.receptive_field
    inner = slice(before * 8, (60 - after) * 8)
    torch.testing.assert_close(made[..., inner], expected[..., inner], atol=1e-5, rtol=1e-4)


def test_its_mel_is_the_natural_logarithm_that_it_learned(folder):
    _, mel = load_published_generator(folder[0], "generator.pth.tar", sample_rate=24000)
    assert (mel.sample_rate, mel.filter_rate) == (24000, 22050)
    own = MelConfig(22050, 64, 64, 8, 10, 0.0, 8000.0, -120.0, 20.0)
    wav = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    np.testing.assert_array_equal(log_mel(wav, mel), log_mel(wav, own))  # the same lengths, the same filters
    assert log_mel(wav, mel).max() < 1.0  # loud, and not clipped


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [
        ("resblock", "2", "ResBlock1"),
        ("hop_size", 16, "hop_size"),
        ("upsample_rates", None, "config.json"),
        ("upsample_initial_channel", 32, "conv_pre"),
        ("upsample_initial_channel", 2**40, "between 1 and"),
        ("upsample_initial_channel", 18, "divisible"),
        ("upsample_kernel_sizes", [8, 5], "even number"),
        ("resblock_kernel_sizes", [3, 4], "must be odd"),
        ("resblock_dilation_sizes", [[1, 3]], "a list for each"),
        ("n_fft", None, "config.json"),
        ("win_size", 10**12, "impossible lengths"),
        ("sampling_rate", "fast", "config.json"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_by_name(folder, setting, value, word):
    path, _ = folder
    (path / "config.json").write_text(json.dumps(CONFIG | {setting: value}), encoding="utf-8")
    with pytest.raises(InputError, match=word):
        load_published_generator(path, "generator.pth.tar")


def test_a_checkpoint_without_a_generator_is_refused(folder):
    path, _ = folder
    torch.save({"discriminator": {}}, path / "other")
    with pytest.raises(InputError, match="generator is missing"):
        load_published_generator(path, "other")
