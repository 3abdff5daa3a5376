"""The graph's network is the generator, in fewer operations."""

import pytest
import torch
from kubevoice_training.export.vocoder_graph import VocoderGraph
from kubevoice_training.models.hifigan import Generator, GeneratorConfig

SCALES = [((8, 5, 3, 2), (16, 10, 6, 4)), ((10, 5, 2, 2), (20, 11, 4, 4)), ((4, 1), (12, 3)), ((3, 6), (3, 7))]


@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize(("scales", "kernels"), SCALES)
def test_the_up_samplers_are_one_convolution(scales, kernels, frames):
    config = GeneratorConfig(20, 32, upsample_scales=scales, upsample_kernel_sizes=kernels)
    same_sound(Generator(config), frames)


@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("kernel_size", [3, 7])
def test_so_they_are_in_a_network_that_looks_ahead(kernel_size, frames):
    config = GeneratorConfig(20, 32, kernel_size, (8, 4), (16, 6), causal=False)
    same_sound(Generator(config), frames)


@pytest.mark.parametrize("causal", [True, False])
def test_so_is_the_one_of_the_papers_generator(causal):
    config = GeneratorConfig(20, 32, 7, (8, 8, 2), (16, 16, 4), causal=causal, published=True)
    assert not any("repeat" in name for name in Generator(config).state_dict())
    same_sound(Generator(config), 9)


def same_sound(generator, frames):
    torch.manual_seed(frames)
    for parameter in generator.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    mel = torch.randn(frames, 20)
    with torch.inference_mode():
        torch.testing.assert_close(VocoderGraph(generator)(mel), generator(mel.T.unsqueeze(0))[0, 0])
