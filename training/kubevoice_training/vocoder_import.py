"""HiFi-GAN generators as its authors publish them, for our voices: a checkpoint and its config.json.

Kong, Kim & Bae, "HiFi-GAN" (arXiv 2010.05646), in the format of the repository jik876/hifi-gan: the state of the
generator below the key `generator`, weight normalisation in two parts, ResBlock1. Such a generator reads the natural
logarithm of mel amplitudes, floored at 1e-5. Ours read 20 log10 of them mapped from -100..20 dB to 0..1 and then
normalised, which is an affine map of it; that map is folded into the first convolution. Loud frames exceed 0 dB.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig
from kubevoice.errors import InputError
from numpy.typing import NDArray

from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.weight_norm import normalize_weight, set_weight
from kubevoice_training.modelscope.tensors import Tensors, build_network, read_tensors

__all__ = ["fold_normalization", "load_published_generator"]

FLOOR_DB, CEILING_DB = -100.0, 20.0
"""20 log10 of the floor 1e-5; above the ceiling, which speech does not reach, a mel would be clipped."""
NATURAL_PER_DB = math.log(10.0) / 20.0
RESBLOCK = "1"
LARGEST = 1 << 16
"""Of any size in config.json."""


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON ({error}); it should be HiFi-GAN's config.json") from None
    if not isinstance(config, Mapping):
        raise InputError(f"{path} is not a mapping; it should be HiFi-GAN's config.json")
    return config


def _read_config(config: Mapping[str, Any]) -> GeneratorConfig:
    """Return the sizes of a generator; InputError if a setting is missing or not supported."""
    try:
        if str(config["resblock"]) != RESBLOCK:
            raise InputError(f"resblock is {config['resblock']!r}; only ResBlock{RESBLOCK} can be read")
        sizes = GeneratorConfig(
            in_channels=int(config.get("num_mels", 80)),
            channels=int(config["upsample_initial_channel"]),
            upsample_scales=tuple(map(int, config["upsample_rates"])),
            upsample_kernel_sizes=tuple(map(int, config["upsample_kernel_sizes"])),
            resblock_kernel_sizes=tuple(map(int, config["resblock_kernel_sizes"])),
            resblock_dilations=tuple(tuple(map(int, each)) for each in config["resblock_dilation_sizes"]),
            causal=False,
            published=True,
        )
        hop = int(config["hop_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"HiFi-GAN's config.json lacks a usable {error}") from None
    _check_sizes(sizes)
    if sizes.hop != hop:
        raise InputError(f"upsample_rates make {sizes.hop} samples a frame; hop_size says {hop}")
    return sizes


def _check_sizes(sizes: GeneratorConfig) -> None:
    """Refuse sizes that no generator has."""
    scales, kernels = sizes.upsample_scales, sizes.upsample_kernel_sizes
    dilations = [dilation for each in sizes.resblock_dilations for dilation in each]
    numbers = (sizes.in_channels, sizes.channels, *scales, *kernels, *sizes.resblock_kernel_sizes, *dilations)
    if not scales or not dilations or not all(1 <= number <= LARGEST for number in numbers):
        raise InputError(f"HiFi-GAN's config.json has sizes that are not between 1 and {LARGEST}")
    if len(scales) != len(kernels) or any(k < u or (k - u) % 2 for k, u in zip(kernels, scales, strict=False)):
        raise InputError("upsample_kernel_sizes must exceed upsample_rates by an even number, one each")
    if len(sizes.resblock_kernel_sizes) != len(sizes.resblock_dilations):
        raise InputError("resblock_dilation_sizes must have a list for each of resblock_kernel_sizes")
    if any(size % 2 == 0 for size in sizes.resblock_kernel_sizes) or sizes.channels % 2 ** len(scales):
        raise InputError("resblock_kernel_sizes must be odd, upsample_initial_channel divisible by two in each stage")


def _read_mel(config: Mapping[str, Any], sample_rate: int | None) -> MelConfig:
    """Return the settings of a generator's mels; InputError if one is missing or impossible."""
    try:
        rate = int(config["sampling_rate"])
        mel = MelConfig(
            sample_rate=sample_rate or rate,
            n_fft=int(config["n_fft"]),
            win_length=int(config["win_size"]),
            hop_length=int(config["hop_size"]),
            n_mels=int(config["num_mels"]),
            fmin=float(config["fmin"] or 0.0),
            fmax=float(config["fmax"] or rate / 2),
            min_level_db=FLOOR_DB - CEILING_DB,
            ref_level_db=CEILING_DB,
            filter_rate=rate,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"HiFi-GAN's config.json lacks a usable {error}") from None
    if not 1 <= mel.hop_length <= mel.win_length <= mel.n_fft <= LARGEST or not 8000 <= rate <= 192_000:
        raise InputError("HiFi-GAN's config.json has impossible lengths or an impossible sampling_rate")
    return mel


def _rename_tensors(tensors: Tensors) -> Tensors:
    """Give tensors the names that KAN-TTS, and so our network, has for them."""
    renamed: Tensors = {}
    for name, value in tensors.items():
        owner, _, part = name.rpartition(".")
        if owner.startswith("ups."):
            owner = f"transpose_upsamples.{owner.removeprefix('ups.')}.1.deconv"
        else:
            owner = f"{owner.replace('resblocks.', 'conv_blocks.', 1)}.conv1d"
        renamed[f"{owner}.{part}"] = value
    return renamed


@torch.no_grad()
def fold_normalization(generator: Generator, scale: NDArray[np.float32], offset: NDArray[np.float32]) -> None:
    """Fold a scale and an offset of the input into the first convolution of a generator, in place.

    The generator then gives for x what it gave for scale * x + offset.

    Parameters
    ----------
    generator : The generator.
    scale, offset : Of each mel bin [n_mels].
    """
    layer = generator.conv_pre.conv1d
    assert layer.bias is not None  # noqa: S101  # a generator's has one
    weight = normalize_weight(layer.weight_v, layer.weight_g)
    layer.bias.add_((weight * torch.from_numpy(offset)[:, None]).sum(dim=(1, 2)))
    set_weight(layer, weight * torch.from_numpy(scale)[:, None])


def load_published_generator(
    folder: Path, checkpoint: str, sample_rate: int | None = None
) -> tuple[Generator, MelConfig]:
    """Read a published generator. It takes mels of the returned settings that are not normalised.

    Parameters
    ----------
    folder : Has config.json and the checkpoint.
    checkpoint : Name of the file of the generator's state.
    sample_rate : Rate in Hz at which it is used, if it is not its own.

    Returns
    -------
    tuple
        The network and the settings of its mels.

    Raises
    ------
    InputError
        If a file does not fit; it names the tensor or setting.
    """
    config = _read_json(folder / "config.json")
    sizes = _read_config(config)
    tensors = _rename_tensors(read_tensors(folder / checkpoint, ["generator"]))
    generator = build_network(lambda: Generator(sizes), tensors, folder / checkpoint)
    mel = _read_mel(config, sample_rate)
    ones = np.ones(sizes.in_channels, np.float32)
    fold_normalization(generator, (CEILING_DB - FLOOR_DB) * NATURAL_PER_DB * ones, FLOOR_DB * NATURAL_PER_DB * ones)
    return generator, mel
