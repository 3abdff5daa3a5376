"""The vocoder of a ModelScope voice.

Its sizes are taken from the tensors; the configuration is asked only for what no tensor shows: up-sampling,
dilations, causality, the source's rate.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubevoice.errors import InputError
from kubevoice.voice.modelscope import ModelPart, get_setting, summarize_value

from kubevoice_training.models.config import SourceConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.modelscope.tensors import (
    Tensors,
    build_network,
    count_members,
    get_shape,
    read_array,
    read_tensors,
)

__all__ = ["derive_generator_config", "load_generator", "read_f0_scaling"]

PARAMS = "Model.Generator.params"
SAMBERT_PARAMS = "Model.KanTtsSAMBERT.params"
LARGEST = 100_000
"""Of any whole number in the configuration: a hop, a dilation, a sample rate."""


def _read_whole_numbers(value: Any, count: int, key: str, part: ModelPart) -> tuple[int, ...]:
    fits = isinstance(value, list) and len(value) == count
    if not fits or not all(isinstance(item, int) and 1 <= item <= LARGEST for item in value):
        raise InputError(
            f"{part.config_file}: {PARAMS}.{key} is {summarize_value(value)}; the tensors need {count} whole numbers"
        )
    return tuple(value)


def _derive_source(tensors: Tensors, params: Mapping[str, Any], part: ModelPart) -> SourceConfig | None:
    if not any(key.startswith("source_module.") for key in tensors):
        return None
    nsf = params.get("nsf_params")
    rate = nsf.get("sampling_rate") if isinstance(nsf, Mapping) else None
    if not isinstance(rate, int) or not 1 <= rate <= LARGEST:
        raise InputError(
            f"{part.config_file}: {PARAMS}.nsf_params.sampling_rate is {summarize_value(rate)}; give samples per second"
        )
    harmonics = get_shape(tensors, part.checkpoint, "source_module.ffn.0.weight_v", 3)[1]
    return SourceConfig(overtones=harmonics - 1, sample_rate=rate)


def derive_generator_config(tensors: Tensors, part: ModelPart) -> GeneratorConfig:
    """Derive the generator's sizes from its tensors and its configuration.

    Parameters
    ----------
    tensors
        State of the network.
    part
        The vocoder's folder and configuration.

    Returns
    -------
    GeneratorConfig
        Sizes with which every tensor fits.

    Raises
    ------
    InputError
        If a size cannot be derived; it names the tensor or the setting.

    References
    ----------
    docs/reference/modelscope-format.md.
    """
    file, params = part.checkpoint, get_setting(part.config, PARAMS, part.config_file)
    if not isinstance(params, Mapping):
        raise InputError(f"{part.config_file}: {PARAMS} is not a mapping")
    channels, in_channels, kernel = get_shape(tensors, file, "conv_pre.conv1d.weight_v", 3)
    stages = count_members(tensors, "transpose_upsamples.")
    blocks = count_members(tensors, "conv_blocks.")
    if stages < 1 or blocks % stages or blocks < stages:
        raise InputError(f"{file}: {blocks} residual blocks (conv_blocks) do not fit {stages} stages")
    fused = blocks // stages
    kernels, dilations = [], []
    listed = params.get("resblock_dilations")
    for i in range(fused):
        kernels.append(get_shape(tensors, file, f"conv_blocks.{i}.convs1.0.conv1d.weight_v", 3)[2])
        given = listed[i] if isinstance(listed, list) and i < len(listed) else None
        count = count_members(tensors, f"conv_blocks.{i}.convs1.")
        dilations.append(_read_whole_numbers(given, count, f"resblock_dilations[{i}]", part))
    causal = params.get("causal", True)
    if not isinstance(causal, bool):
        raise InputError(
            f"{part.config_file}: {PARAMS}.causal is {summarize_value(causal)}; true or false was expected"
        )
    config = GeneratorConfig(
        in_channels=in_channels,
        channels=channels,
        kernel_size=kernel,
        upsample_scales=_read_whole_numbers(params.get("upsample_scales"), stages, "upsample_scales", part),
        upsample_kernel_sizes=tuple(
            get_shape(tensors, file, f"transpose_upsamples.{i}.1.deconv.weight_v", 3)[2] for i in range(stages)
        ),
        resblock_kernel_sizes=tuple(kernels),
        resblock_dilations=tuple(dilations),
        causal=causal,
        source=_derive_source(tensors, params, part),
    )
    scales = config.upsample_scales
    if config.hop > LARGEST or any(k < s for k, s in zip(config.upsample_kernel_sizes, scales, strict=True)):
        raise InputError(f"{part.config_file}: {PARAMS}.upsample_scales {scales} do not fit the tensors")
    return config


def load_generator(part: ModelPart, acoustic: ModelPart | None = None) -> Generator:
    """Read the vocoder of a ModelScope voice.

    Parameters
    ----------
    part
        Its folder and configuration.
    acoustic
        The voice's acoustic model, which has the scale of F0 for a vocoder with a harmonic source; None for the default
        scale.

    Returns
    -------
    Generator
        The network, in evaluation mode.

    Raises
    ------
    InputError
        If a file does not fit; it names file and key.
    """
    tensors = read_tensors(part.checkpoint, ["model", "generator"])
    config = derive_generator_config(tensors, part)
    if config.source is not None and acoustic is not None:
        offset, scale = read_f0_scaling(acoustic)
        config = replace(config, source=replace(config.source, f0_offset=offset, f0_scale=scale))
    return build_network(lambda: Generator(config), tensors, part.checkpoint)


def read_f0_scaling(acoustic: ModelPart) -> tuple[float, float]:
    """Read how an acoustic model for a harmonic source normalizes F0.

    Parameters
    ----------
    acoustic
        Its folder and configuration.

    Returns
    -------
    tuple
        Offset and scale in Hz: the voice's mean and deviation (`mvn.npy`), or the range in its configuration.

    Raises
    ------
    InputError
        If neither is usable.
    """
    params = get_setting(acoustic.config, SAMBERT_PARAMS, acoustic.config_file)
    if isinstance(params, Mapping) and params.get("nsf_norm_type", "mean_std") == "global":
        low, high = params.get("nsf_f0_global_minimum", 30.0), params.get("nsf_f0_global_maximum", 730.0)
        if not all(isinstance(x, int | float) and abs(x) < LARGEST for x in (low, high)) or not low < high:
            raise InputError(f"{acoustic.config_file}: nsf_f0_global_minimum and _maximum are not a range in Hz")
        return float(low), float(high) - float(low)
    if (path := acoustic.find_beside("mvn.npy")) is None:
        raise InputError(f"{acoustic.folder / 'mvn.npy'} is missing: the voice's F0 was normalised by it")
    statistics = read_array(path).reshape(-1)
    if statistics.shape != (2,) or statistics[1] <= 0:
        raise InputError(f"{path} should hold a mean and a positive deviation of F0 in Hz")
    return float(statistics[0]), float(statistics[1])
