"""The acoustic model of a ModelScope voice.

Its sizes are taken from the tensors; the configuration is asked only for what no tensor shows: heads, the filters'
shift, dropout.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from kubevoice.errors import InputError
from kubevoice.voice.modelscope import ModelPart, get_setting, summarize_value
from numpy.typing import NDArray

from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.modelscope.tensors import (
    Tensors,
    build_network,
    count_members,
    get_shape,
    read_array,
    read_tensors,
)

__all__ = ["derive_sambert_config", "load_sambert"]

PARAMS = "Model.KanTtsSAMBERT.params"
POSITIONS = "text_encoder.ling_enc.position_enc"
"""A table of sinusoids, which some checkpoints hold in another length than they were made with: we compute it."""
SPEAKERS = "spk_tokenizer.weight"
ENCODER, ADAPTOR, DECODER, POSTNET = "text_encoder", "variance_adaptor", "mel_decoder.mel_dec", "mel_postnet"
LARGEST_SHIFT = 1000
Shape = Callable[[str, int], tuple[int, ...]]
"""The shape of a tensor that is to have so many dimensions."""


def _read_whole_number(params: Mapping[str, Any], key: str, file: Path, *, least: int, most: int) -> int:
    value = params.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{file}: {PARAMS}.{key} is {summarize_value(value)}; it should be whole, {least} to {most}")
    return value


def _read_heads(params: Mapping[str, Any], key: str, width: int, file: Path) -> int:
    heads = _read_whole_number(params, key, file, least=1, most=width)
    if width % heads:
        raise InputError(f"{file}: {PARAMS}.{key} is {heads}, which does not divide the network's width {width}")
    return heads


def _read_dropout(params: Mapping[str, Any]) -> float:
    value = params.get("encoder_dropout")
    return float(value) if isinstance(value, int | float) and 0.0 <= value < 1.0 else 0.1


def _derive_text_sizes(shape: Shape, tensors: Tensors) -> dict[str, Any]:
    """Sizes of the text encoder and of the tables."""
    fft = f"{ENCODER}.ling_enc.fft"
    (sy, embedding), (projection, units) = shape(f"{ENCODER}.sy_emb.weight", 2), shape(f"{ENCODER}.ling_proj.weight", 2)
    inner, _, kernel = shape(f"{fft}.0.pos_ffn.w_1.weight", 3)
    (emotions, emotion_units), (speakers, speaker_units) = shape("emo_tokenizer.weight", 2), shape(SPEAKERS, 2)
    return {
        "sy": sy,
        "tone": shape(f"{ENCODER}.tone_emb.weight", 2)[0],
        "syllable_flag": shape(f"{ENCODER}.syllable_flag_emb.weight", 2)[0],
        "word_segment": shape(f"{ENCODER}.ws_emb.weight", 2)[0],
        "speakers": speakers,
        "emotions": emotions,
        "embedding": embedding,
        "units": units,
        "encoder_layers": count_members(tensors, f"{fft}."),
        "encoder_inner": inner,
        "encoder_kernel": kernel,
        "projection": projection,
        "speaker_units": speaker_units,
        "emotion_units": emotion_units,
    }


def _derive_adaptor_sizes(shape: Shape, tensors: Tensors) -> dict[str, Any]:
    """Sizes of the predictors of pitch, energy and duration."""
    pitch, duration = f"{ADAPTOR}.pitch_predictor", f"{ADAPTOR}.duration_predictor"
    return {
        "predictor_layers": count_members(tensors, f"{pitch}.fsmn.ffn_lst."),
        "predictor_inner": shape(f"{pitch}.fsmn.ffn_lst.0.w_1.weight", 3)[0],
        "predictor_memory": shape(f"{pitch}.fsmn.ffn_lst.0.w_2.weight", 3)[0],
        "predictor_lstm": shape(f"{pitch}.blstm.weight_hh_l0", 2)[1],
        "filter_size": shape(f"{pitch}.fsmn.memory_block_lst.0.conv_dw.weight", 3)[2],
        "pitch_kernel": shape(f"{ADAPTOR}.pitch_emb.weight", 3)[2],
        "duration_prenet": tuple(shape(f"{duration}.prenet.fcs.{i}.weight", 2)[0] for i in (0, 3)),
        "duration_lstm": shape(f"{duration}.lstm.weight_hh_l0", 2)[1],
    }


def _derive_decoder_sizes(shape: Shape, tensors: Tensors) -> dict[str, Any]:
    """Sizes of the mel decoder and the post-net."""
    inner, units, _ = shape(f"{DECODER}.pnca.0.pos_ffn.w_1.weight", 3)
    n_mels = shape(f"{POSTNET}.fc.weight", 2)[0]
    return {
        "decoder_layers": count_members(tensors, f"{DECODER}.pnca."),
        "decoder_inner": inner,
        "decoder_units": units,
        "decoder_prenet": tuple(shape(f"{DECODER}.prenet.fcs.{i}.weight", 2)[0] for i in (0, 3)),
        "outputs_per_step": shape(f"{DECODER}.dec_out_proj.weight", 2)[0] // n_mels,
        "n_mels": n_mels,
        "postnet_layers": count_members(tensors, f"{POSTNET}.fsmn.ffn_lst."),
        "postnet_inner": shape(f"{POSTNET}.fsmn.ffn_lst.0.w_1.weight", 3)[0],
        "postnet_memory": shape(f"{POSTNET}.fsmn.ffn_lst.0.w_2.weight", 3)[0],
        "postnet_filter_size": shape(f"{POSTNET}.fsmn.memory_block_lst.0.conv_dw.weight", 3)[2],
        "postnet_lstm": shape(f"{POSTNET}.lstm.weight_hh_l0", 2)[1],
    }


def derive_sambert_config(tensors: Tensors, part: ModelPart) -> SambertConfig:
    """Derive the acoustic model's sizes from its tensors and its configuration.

    Parameters
    ----------
    tensors
        State of the network, speaker table included.
    part
        The acoustic model's folder and configuration.

    Returns
    -------
    SambertConfig
        Sizes with which every tensor fits.

    Raises
    ------
    InputError
        If a size cannot be derived; it names the tensor or the setting.

    References
    ----------
    docs/reference/modelscope-format.md.
    """
    file, params = part.config_file, get_setting(part.config, PARAMS, part.config_file)
    if not isinstance(params, Mapping):
        raise InputError(f"{file}: {PARAMS} is not a mapping")
    if f"{ENCODER}.sy_emb.weight" not in tensors and f"{ENCODER}.byte_index_emb.weight" in tensors:
        raise InputError(f"{part.checkpoint}: the voice reads bytes, not phones; our front end writes phones only")
    shape = partial(get_shape, tensors, part.checkpoint)
    text, decoder = _derive_text_sizes(shape, tensors), _derive_decoder_sizes(shape, tensors)
    config = SambertConfig(
        **text,
        **_derive_adaptor_sizes(shape, tensors),
        **decoder,
        heads=_read_heads(params, "encoder_num_heads", text["units"], file),
        decoder_heads=_read_heads(params, "decoder_num_heads", decoder["decoder_units"], file),
        predictor_shift=_read_whole_number(params, "predictor_shift", file, least=0, most=LARGEST_SHIFT),
        postnet_shift=_read_whole_number(params, "postnet_shift", file, least=0, most=LARGEST_SHIFT),
        dropout=_read_dropout(params),
        alignment=any(key.startswith("align_attention.") for key in tensors),
    )
    readers = (
        (f"{ADAPTOR}.pitch_predictor.fsmn.ffn_lst.0.w_1.weight", 3, config.condition_width),
        (f"{DECODER}.pnca.0.pnca_attn.w_h_kv.weight", 2, config.memory_width),
    )
    for key, dimensions, width in readers:
        if (d_in := shape(key, dimensions)[1]) != width:
            raise InputError(
                f"{part.checkpoint}: {key} reads {d_in} values, but text, speaker ({SPEAKERS} or se.npy) and emotion "
                f"(emo_tokenizer.weight) make {width}"
            )
    return config


def _add_speaker_table(tensors: Tensors, part: ModelPart, table: NDArray[Any] | None) -> Tensors:
    """Give a personal voice a table of the speakers it is to have, of one row if it is its own."""
    if SPEAKERS in tensors:
        return tensors
    if table is None:
        if (path := part.find_beside("se.npy")) is None:
            raise InputError(f"{part.folder / 'se.npy'} is missing: the voice's speaker is not in its checkpoint")
        table = read_array(path).reshape(1, -1)
    return tensors | {SPEAKERS: torch.from_numpy(table.reshape(-1, table.shape[-1]).copy())}


def load_sambert(part: ModelPart, speakers: NDArray[Any] | None = None) -> Sambert:
    """Read the acoustic model of a ModelScope voice.

    Parameters
    ----------
    part
        Its folder and configuration.
    speakers
        Speaker vectors [..., 192] to use instead of the `se.npy` of a personal voice; None to read that file.

    Returns
    -------
    Sambert
        The network, in evaluation mode.

    Raises
    ------
    InputError
        If a file does not fit; it names file and key.
    """
    tensors = _add_speaker_table(read_tensors(part.checkpoint, ["model"]), part, speakers)
    config = derive_sambert_config(tensors, part)
    return build_network(lambda: Sambert(config), tensors, part.checkpoint, optional=(POSITIONS,))
