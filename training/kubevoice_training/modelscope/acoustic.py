"""The acoustic model of a ModelScope voice.

Its sizes are taken from the tensors; the configuration is asked only for what no tensor shows: heads, the filters'
shift, dropout.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from kubevoice.errors import InputError
from kubevoice.voice.modelscope import Half, setting
from numpy.typing import NDArray

from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.modelscope.tensors import Tensors, fill, members, read_array, read_tensors, shape_of

__all__ = ["load_sambert", "sambert_config"]

PARAMS = "Model.KanTtsSAMBERT.params"
POSITIONS = "text_encoder.ling_enc.position_enc"
"""A table of sinusoids, which some checkpoints hold in another length than they were made with: we compute it."""
SPEAKERS = "spk_tokenizer.weight"
ENCODER, ADAPTOR, DECODER, POSTNET = "text_encoder", "variance_adaptor", "mel_decoder.mel_dec", "mel_postnet"
LARGEST_SHIFT = 1000


def _whole(params: Mapping[str, Any], key: str, file: Path, *, least: int, most: int) -> int:
    value = params.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{file}: {PARAMS}.{key} is {value!r}; a whole number from {least} to {most} was expected")
    return value


def _heads(params: Mapping[str, Any], key: str, width: int, file: Path) -> int:
    heads = _whole(params, key, file, least=1, most=width)
    if width % heads:
        raise InputError(f"{file}: {PARAMS}.{key} is {heads}, which does not divide the network's width {width}")
    return heads


def _dropout(params: Mapping[str, Any]) -> float:
    value = params.get("encoder_dropout")
    return float(value) if isinstance(value, int | float) and 0.0 <= value < 1.0 else 0.1


def sambert_config(tensors: Tensors, half: Half) -> SambertConfig:
    """Derive the network's sizes; InputError names the tensor or the setting that none can be derived from."""
    file, params = half.checkpoint, setting(half.config, PARAMS, half.config_file)
    if not isinstance(params, Mapping):
        raise InputError(f"{half.config_file}: {PARAMS} is no mapping")
    if f"{ENCODER}.sy_emb.weight" not in tensors and f"{ENCODER}.byte_index_emb.weight" in tensors:
        raise InputError(f"{file}: the voice reads bytes, not phones; our front end writes phones only")

    def of(key: str, dimensions: int = 2) -> tuple[int, ...]:
        return shape_of(tensors, key, dimensions, file)

    fft, pnca = f"{ENCODER}.ling_enc.fft", f"{DECODER}.pnca"
    pitch, duration = f"{ADAPTOR}.pitch_predictor", f"{ADAPTOR}.duration_predictor"
    (sy, embedding), (projection, units) = of(f"{ENCODER}.sy_emb.weight"), of(f"{ENCODER}.ling_proj.weight")
    (decoder_inner, decoder_units, _), n_mels = of(f"{pnca}.0.pos_ffn.w_1.weight", 3), of(f"{POSTNET}.fc.weight")[0]
    encoder_inner, _, encoder_kernel = of(f"{fft}.0.pos_ffn.w_1.weight", 3)
    predictor_inner, condition, _ = of(f"{pitch}.fsmn.ffn_lst.0.w_1.weight", 3)
    emotions, emotion_units = of("emo_tokenizer.weight")
    speakers, speaker_units = of(SPEAKERS)
    memory = of(f"{pnca}.0.pnca_attn.w_h_kv.weight")[1]
    if condition != projection + speaker_units + emotion_units:
        raise InputError(
            f"{file}: {pitch}.fsmn.ffn_lst.0.w_1.weight reads {condition} values a symbol, but text, speaker and "
            f"emotion have {projection} + {speaker_units} + {emotion_units}"
        )
    step = of(f"{DECODER}.dec_out_proj.weight")[0] // n_mels
    if memory != step * projection + speaker_units + emotion_units:
        raise InputError(f"{file}: {pnca}.0.pnca_attn.w_h_kv.weight reads {memory} values, which no step of text has")
    return SambertConfig(
        sy=sy,
        tone=of(f"{ENCODER}.tone_emb.weight")[0],
        syllable_flag=of(f"{ENCODER}.syllable_flag_emb.weight")[0],
        word_segment=of(f"{ENCODER}.ws_emb.weight")[0],
        speakers=speakers,
        emotions=emotions,
        embedding=embedding,
        units=units,
        heads=_heads(params, "encoder_num_heads", units, half.config_file),
        encoder_layers=members(tensors, f"{fft}."),
        encoder_inner=encoder_inner,
        encoder_kernel=encoder_kernel,
        projection=projection,
        speaker_units=speaker_units,
        emotion_units=emotion_units,
        predictor_layers=members(tensors, f"{pitch}.fsmn.ffn_lst."),
        predictor_inner=predictor_inner,
        predictor_memory=of(f"{pitch}.fsmn.ffn_lst.0.w_2.weight", 3)[0],
        predictor_lstm=of(f"{pitch}.blstm.weight_hh_l0")[1],
        predictor_shift=_whole(params, "predictor_shift", half.config_file, least=0, most=LARGEST_SHIFT),
        filter_size=of(f"{pitch}.fsmn.memory_block_lst.0.conv_dw.weight", 3)[2],
        pitch_kernel=of(f"{ADAPTOR}.pitch_emb.weight", 3)[2],
        duration_prenet=(of(f"{duration}.prenet.fcs.0.weight")[0], of(f"{duration}.prenet.fcs.3.weight")[0]),
        duration_lstm=of(f"{duration}.lstm.weight_hh_l0")[1],
        decoder_layers=members(tensors, f"{pnca}."),
        decoder_inner=decoder_inner,
        decoder_units=decoder_units,
        decoder_heads=_heads(params, "decoder_num_heads", decoder_units, half.config_file),
        decoder_prenet=(of(f"{DECODER}.prenet.fcs.0.weight")[0], of(f"{DECODER}.prenet.fcs.3.weight")[0]),
        outputs_per_step=step,
        n_mels=n_mels,
        postnet_layers=members(tensors, f"{POSTNET}.fsmn.ffn_lst."),
        postnet_inner=of(f"{POSTNET}.fsmn.ffn_lst.0.w_1.weight", 3)[0],
        postnet_memory=of(f"{POSTNET}.fsmn.ffn_lst.0.w_2.weight", 3)[0],
        postnet_shift=_whole(params, "postnet_shift", half.config_file, least=0, most=LARGEST_SHIFT),
        postnet_filter_size=of(f"{POSTNET}.fsmn.memory_block_lst.0.conv_dw.weight", 3)[2],
        postnet_lstm=of(f"{POSTNET}.lstm.weight_hh_l0")[1],
        dropout=_dropout(params),
        alignment=any(key.startswith("align_attention.") for key in tensors),
    )


def _with_speaker(tensors: Tensors, half: Half, vector: NDArray[Any] | None) -> Tensors:
    """Give a personal voice the one speaker that it has as a table of one row."""
    if SPEAKERS in tensors:
        return tensors
    if vector is None:
        if (path := half.beside("se.npy")) is None:
            raise InputError(f"{half.folder / 'se.npy'} is missing: the voice's speaker is not in its checkpoint")
        vector = read_array(path)
    return tensors | {SPEAKERS: torch.from_numpy(vector.reshape(1, -1).copy())}


def load_sambert(half: Half, speaker: NDArray[Any] | None = None) -> Sambert:
    """Read the acoustic model; `speaker` [192] stands in for the `se.npy` of a personal voice.

    Raises InputError naming file and key for whatever does not fit.
    """
    tensors = _with_speaker(read_tensors(half.checkpoint, ["model"]), half, speaker)
    config = sambert_config(tensors, half)
    if min(config.encoder_layers, config.decoder_layers, config.predictor_layers, config.postnet_layers) < 1:
        raise InputError(f"{half.checkpoint} lacks a whole part of the network")
    return fill(lambda: Sambert(config), tensors, half.checkpoint, optional=(POSITIONS,))
