"""Write the checkpoint of a voice bundle as a ModelScope voice folder, to try `kubevoice voice import` with.

    python scripts/make_modelscope_voice.py voices/base MODEL --name mei

MODEL gets configuration.json and voices/NAME/{am,voc} in KAN-TTS's layout. That layout has no statistics of mel and
pitch, so they are not written.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from kubevoice.audio.mel import MelConfig
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.hifigan import GeneratorConfig
from kubevoice_training.voice_checkpoint import load_weights
from torch import Tensor

POSITIONS = "text_encoder.ling_enc.position_enc.position_enc"
LONGEST_TEXT = 800


def build_audio_config(mel: MelConfig) -> dict[str, Any]:
    """Return the mel configuration with the reference's keys."""
    return {
        "sampling_rate": mel.sample_rate,
        "n_fft": mel.n_fft,
        "win_length": mel.win_length,
        "hop_length": mel.hop_length,
        "n_mels": mel.n_mels,
        "fmin": mel.fmin,
        "fmax": mel.fmax,
        "min_level_db": mel.min_level_db,
        "ref_level_db": mel.ref_level_db,
    }


def build_acoustic_params(config: SambertConfig) -> dict[str, Any]:
    """Return the settings of the acoustic model that its tensors do not determine."""
    return {
        "encoder_num_heads": config.heads,
        "decoder_num_heads": config.decoder_heads,
        "predictor_shift": config.predictor_shift,
        "postnet_shift": config.postnet_shift,
        "MAS": config.alignment,
    }


def build_vocoder_params(config: GeneratorConfig) -> dict[str, Any]:
    """Return the settings of the vocoder that its tensors do not determine."""
    return {
        "upsample_scales": list(config.upsample_scales),
        "resblock_dilations": [list(dilations) for dilations in config.resblock_dilations],
        "causal": config.causal,
    }


def build_positions(length: int, width: int) -> Tensor:
    """Return the position table of KAN-TTS's checkpoints, [1, length, width]: sines, then cosines."""
    half = width // 2
    angle = torch.arange(1, length + 1)[:, None] * 10000.0 ** (-torch.arange(half) / (half - 1))
    return torch.cat([angle.sin(), angle.cos()], dim=1).unsqueeze(0)


def write_model(folder: Path, config: dict[str, Any], model: Any, step: int) -> None:
    """Write the folder of the acoustic model or of the vocoder.

    Parameters
    ----------
    folder
        Gets `config.yaml` and `ckpt/checkpoint_STEP.pth`; it must have no folder `ckpt`.
    config
        The configuration with the reference's keys.
    model
        State dict, or one for each network.
    step
        Step of the training, in the name of the checkpoint.
    """
    (folder / "ckpt").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    torch.save({"model": model, "steps": step}, folder / "ckpt" / f"checkpoint_{step}.pth")


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", default="mei")
    args = parser.parse_args()
    weights = load_weights(args.bundle / "checkpoint")
    audio, config = build_audio_config(weights.mel), weights.acoustic.config
    speakers = sorted(weights.speakers, key=lambda name: weights.speakers[name])
    acoustic = {
        "audio_config": audio,
        "linguistic_unit": {"speaker_list": ",".join(speakers)},
        "Model": {"KanTtsSAMBERT": {"params": build_acoustic_params(config)}},
    }
    vocoder = {"audio_config": audio, "Model": {"Generator": {"params": build_vocoder_params(weights.vocoder.config)}}}
    voice = args.out / "voices" / args.name
    state = weights.acoustic.state_dict() | {POSITIONS: build_positions(LONGEST_TEXT, config.embedding)}
    write_model(voice / "am", acoustic, state, 0)
    write_model(voice / "voc", vocoder, {"generator": weights.vocoder.state_dict()}, 0)
    (args.out / "voices" / "voices.json").write_text(json.dumps({"voices": [args.name]}))
    card = {"model": {"type": "sambert-hifigan", "sample_rate": weights.mel.sample_rate}}
    (args.out / "configuration.json").write_text(json.dumps(card))
    print(args.out)


if __name__ == "__main__":
    main()
