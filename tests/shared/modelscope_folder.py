"""ModelScope voice folders with the layout of real ones, for small networks with random weights."""

import json
import sys

import numpy as np
import torch
import yaml
from kubevoice_training.models.config import SambertConfig, SourceConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import Sambert

COMMAND = (sys.executable, "-c", "from kubevoice_cli.main import run; run()", "voice", "import")
SIZES = {
    "embedding": 32,
    "units": 32,
    "heads": 4,
    "encoder_layers": 2,
    "encoder_inner": 32,
    "predictor_layers": 2,
    "predictor_inner": 24,
    "predictor_memory": 16,
    "predictor_lstm": 12,
    "duration_prenet": (16, 20),
    "duration_lstm": 28,
    "filter_size": 11,
    "decoder_layers": 3,
    "decoder_inner": 40,
    "decoder_units": 48,
    "decoder_heads": 6,
    "decoder_prenet": (16, 24),
    "postnet_layers": 2,
    "postnet_inner": 24,
    "postnet_memory": 16,
    "postnet_lstm": 20,
    "postnet_filter_size": 9,
    "postnet_shift": 3,
}
BINS, SPEAKERS = 20, ("F7", "M7")
AUDIO = {
    "sampling_rate": 16000,
    "hop_length": 200,
    "win_length": 1000,
    "n_fft": 2048,
    "n_mels": BINS,
    "fmin": 0.0,
    "fmax": 8000.0,
}


def _build_acoustic_config(config, **extra):
    params = {
        "encoder_num_heads": config.heads,
        "decoder_num_heads": config.decoder_heads,
        "predictor_shift": config.predictor_shift,
        "postnet_shift": config.postnet_shift,
    }
    unit = {"speaker_list": ",".join(SPEAKERS)}
    model = {"KanTtsSAMBERT": {"params": params | extra}}
    return {"audio_config": AUDIO, "linguistic_unit": unit, "Model": model}


def _build_vocoder_config(config):
    params = {
        "upsample_scales": list(config.upsample_scales),
        "resblock_dilations": [list(d) for d in config.resblock_dilations],
        "causal": config.causal,
    }
    if config.source:
        params["nsf_params"] = {"nb_harmonics": config.source.overtones, "sampling_rate": config.source.sample_rate}
    return {"audio_config": AUDIO, "Model": {"Generator": {"params": params}}}


def _write_part(folder, config, state, number):
    (folder / "ckpt").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(state, folder / "ckpt" / f"checkpoint_{number}.pth")


def write_voice(folder, *, seed=0, legacy=False, source=False, personal=False):
    """Write the folders `am` and `voc` of one voice.

    Parameters
    ----------
    folder
        The voice's folder.
    seed
        Seed of the weights.
    legacy
        Whether it is like an old checkpoint: no row for a mask, no aligner, no optimizer state.
    source
        Whether the vocoder has a harmonic source, for which the acoustic model predicts F0.
    personal
        Whether the voice has one speaker, with the embedding in a file.
    """
    torch.manual_seed(seed)
    missing_rows = 1 if legacy else 0
    config = SambertConfig(
        sy=147 - missing_rows,
        tone=10 - missing_rows,
        syllable_flag=8 - missing_rows,
        word_segment=8 - missing_rows,
        emotions=36 - missing_rows,
        speakers=1 if personal else len(SPEAKERS) + 3 - missing_rows,
        speaker_units=24 if personal else 32,
        n_mels=BINS + (2 if source else 0),
        alignment=not (legacy or source),
        **SIZES,
    )
    acoustic = Sambert(config)
    acoustic.variance_adaptor.duration_predictor.fc.bias.data.fill_(1.5)  # about three frames a symbol
    state = acoustic.state_dict() | {"text_encoder.ling_enc.position_enc.position_enc": torch.zeros(1, 80, 32)}
    if personal:
        vector = state.pop("spk_tokenizer.weight")
    am = {"model": state}
    if not legacy:
        am |= {"optimizer": torch.optim.Adam(acoustic.parameters()).state_dict(), "scheduler": {}, "steps": 980000}
    norm = {"nsf_norm_type": "global"} if personal else {}
    _write_part(folder / "am", _build_acoustic_config(config, **norm), am, 980000)
    if personal:
        np.save(folder / "am" / "se.npy", vector.numpy())
    elif source:
        np.save(folder / "am" / "mvn.npy", np.array([[200.0], [50.0]], np.float32))
    vocoder = Generator(
        GeneratorConfig(
            in_channels=BINS,
            channels=16,
            upsample_scales=(10, 5, 4),
            upsample_kernel_sizes=(20, 11, 8) if legacy or source else (20, 10, 8),
            resblock_kernel_sizes=(3, 7),
            resblock_dilations=((1, 3), (1, 5)),
            causal=not (legacy or source),
            source=SourceConfig(overtones=3) if source else None,
        )
    )
    _write_part(
        folder / "voc", _build_vocoder_config(vocoder.config), {"model": {"generator": vocoder.state_dict()}}, 0
    )
    # An incomplete checkpoint, with the name that the reference's crash handler gives it.
    torch.save({"model": {"generator": {}}}, folder / "voc" / "ckpt" / "checkpoint-0.pth.part")


def write_model(root):
    """Write a model folder with a voice of each kind, and return its path."""
    kinds = {
        "zhitian_emo": {},
        "nsf": {"source": True, "seed": 1},
        "personal": {"source": True, "personal": True, "seed": 2},
        "legacy": {"legacy": True, "seed": 3},
    }
    for name, kind in kinds.items():
        write_voice(root / "voices" / name, **kind)
    (root / "voices" / "voices.json").write_text(json.dumps({"voices": list(kinds)}))
    (root / "configuration.json").write_text("{}")
    return root
