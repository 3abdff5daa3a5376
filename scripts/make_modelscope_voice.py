"""Write the checkpoint of a voice bundle as a ModelScope voice folder, to see what `kubevoice voice import` does.

    python scripts/make_modelscope_voice.py voices/base MODEL --name mei

MODEL gets configuration.json and voices/NAME/{am,voc}, laid out as KAN-TTS does. Statistics of mel and pitch have no
place in that layout and stay behind.
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


def audio_config(mel: MelConfig) -> dict[str, Any]:
    """Say how the mel is made in the reference's words."""
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


def acoustic_params(config: SambertConfig) -> dict[str, Any]:
    """Say what no tensor of the acoustic model shows."""
    return {
        "encoder_num_heads": config.heads,
        "decoder_num_heads": config.decoder_heads,
        "predictor_shift": config.predictor_shift,
        "postnet_shift": config.postnet_shift,
        "MAS": config.alignment,
    }


def vocoder_params(config: GeneratorConfig) -> dict[str, Any]:
    """Say what no tensor of the vocoder shows."""
    return {
        "upsample_scales": list(config.upsample_scales),
        "resblock_dilations": [list(dilations) for dilations in config.resblock_dilations],
        "causal": config.causal,
    }


def sinusoids(length: int, width: int) -> Tensor:
    """The table of positions that such checkpoints hold, [1, length, width]: sines, then cosines."""
    half = width // 2
    angle = torch.arange(1, length + 1)[:, None] * 10000.0 ** (-torch.arange(half) / (half - 1))
    return torch.cat([angle.sin(), angle.cos()], dim=1).unsqueeze(0)


def write_half(folder: Path, config: dict[str, Any], model: Any, step: int) -> None:
    """Write the configuration and the checkpoint of the acoustic model or the vocoder."""
    (folder / "ckpt").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    torch.save({"model": model, "steps": step}, folder / "ckpt" / f"checkpoint_{step}.pth")


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", default="mei")
    args = parser.parse_args()
    weights = load_weights(args.bundle / "checkpoint")
    audio, config = audio_config(weights.mel), weights.acoustic.config
    speakers = sorted(weights.speakers, key=lambda name: weights.speakers[name])
    acoustic = {
        "audio_config": audio,
        "linguistic_unit": {"speaker_list": ",".join(speakers)},
        "Model": {"KanTtsSAMBERT": {"params": acoustic_params(config)}},
    }
    vocoder = {"audio_config": audio, "Model": {"Generator": {"params": vocoder_params(weights.vocoder.config)}}}
    voice = args.out / "voices" / args.name
    state = weights.acoustic.state_dict() | {POSITIONS: sinusoids(LONGEST_TEXT, config.embedding)}
    write_half(voice / "am", acoustic, state, 0)
    write_half(voice / "voc", vocoder, {"generator": weights.vocoder.state_dict()}, 0)
    (args.out / "voices" / "voices.json").write_text(json.dumps({"voices": [args.name]}))
    card = {"model": {"type": "sambert-hifigan", "sample_rate": weights.mel.sample_rate}}
    (args.out / "configuration.json").write_text(json.dumps(card))
    print(args.out)


if __name__ == "__main__":
    main()
