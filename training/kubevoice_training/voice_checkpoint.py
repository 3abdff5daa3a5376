"""The checkpoint of a voice: both networks, the statistics of its features, and the labels of its tables.

On disk this is the folder `checkpoint/` of a voice bundle. Weights are stored as float16: they are what a
fine-tuning starts from, where that rounding is far below one optimizer step. Loading never unpickles code
(`weights_only=True`).
"""

import copy
import dataclasses
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig
from kubevoice.errors import InputError

from kubevoice_training.checkpoint_files import ACOUSTIC, LABELS, VOCODER
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.models.config import SambertConfig, SourceConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.models.weight_norm import round_weights

__all__ = ["VoiceWeights", "load_weights", "save_weights"]


@dataclass(slots=True)
class VoiceWeights:
    """The trained networks of a voice, with what is needed to continue their training.

    Attributes
    ----------
    acoustic, vocoder
        The networks.
    mel
        How their mels are computed.
    stats
        What features are normalised by.
    speakers, emotions
        Rows of the embedding tables by label.
    measured
        Whether `stats` are those of the recordings the voice was trained on; an imported voice does not have them.
    """

    acoustic: Sambert
    vocoder: Generator
    mel: MelConfig
    stats: Stats
    speakers: dict[str, int]
    emotions: dict[str, int]
    measured: bool = True


def _to_float16(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert a state dict to float16, but for the norms of normalised weights, which need the precision."""
    full_precision = {
        name for name, value in state.items() if not value.is_floating_point() or name.endswith("weight_g")
    }
    return {name: value if name in full_precision else value.half() for name, value in state.items()}


def save_weights(weights: VoiceWeights, folder: Path) -> None:
    """Write the three files of a checkpoint folder.

    Parameters
    ----------
    weights
        The voice; it is not changed.
    folder
        Where to; created if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocoder = copy.deepcopy(weights.vocoder)
    round_weights(vocoder)
    for name, network in (("acoustic", weights.acoustic), ("vocoder", vocoder)):
        torch.save(
            {"config": dataclasses.asdict(network.config), "model": _to_float16(network.state_dict())},
            folder / f"{name}.pt",
        )
    labels = {
        "mel": dataclasses.asdict(weights.mel),
        "stats": {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in dataclasses.asdict(weights.stats).items()
        },
        "speakers": weights.speakers,
        "emotions": weights.emotions,
        "measured": weights.measured,
    }
    (folder / LABELS).write_text(json.dumps(labels, ensure_ascii=False), encoding="utf-8")


def _freeze_lists(config: dict[str, Any]) -> dict[str, Any]:
    """Turn lists into tuples: torch stores both, but the config classes have tuples only."""

    def freeze(value: Any) -> Any:
        return tuple(freeze(item) for item in value) if isinstance(value, list | tuple) else value

    return {key: freeze(value) for key, value in config.items()}


def _generator_config(stored: dict[str, Any]) -> GeneratorConfig:
    fields = _freeze_lists(stored)
    if (source := fields.pop("source", None)) is not None:
        fields["source"] = SourceConfig(**source)
    return GeneratorConfig(**fields)


def load_weights(folder: Path) -> VoiceWeights:
    """Read a checkpoint folder.

    Parameters
    ----------
    folder
        A folder that `save_weights` wrote, or the `checkpoint/` of a voice bundle.

    Returns
    -------
    VoiceWeights
        The voice, its networks in evaluation mode, on the CPU.

    Raises
    ------
    InputError
        If a file is missing, damaged or of another shape; the message names it.
    """
    name = LABELS
    try:
        labels = json.loads((folder / name).read_text(encoding="utf-8"))
        name = ACOUSTIC
        stored = torch.load(folder / name, map_location="cpu", weights_only=True)
        acoustic = Sambert(SambertConfig(**_freeze_lists(stored["config"])))
        acoustic.load_state_dict(stored["model"])
        name = VOCODER
        stored = torch.load(folder / name, map_location="cpu", weights_only=True)
        vocoder = Generator(_generator_config(stored["config"]))
        vocoder.load_state_dict(stored["model"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"checkpoint {folder / name} cannot be loaded ({reason}); fetch the base voice again"
        ) from error
    return VoiceWeights(
        acoustic=acoustic.eval(),
        vocoder=vocoder.eval(),
        mel=MelConfig(**labels["mel"]),
        stats=Stats.from_json(labels["stats"]),
        speakers={str(k): int(v) for k, v in labels["speakers"].items()},
        emotions={str(k): int(v) for k, v in labels["emotions"].items()},
        measured=bool(labels.get("measured", True)),
    )
