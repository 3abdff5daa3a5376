"""A voice bundle with a published vocoder in place of its own."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Engine
from kubevoice.errors import InputError
from kubevoice.text import LEXICON_FILE
from kubevoice.voice import Bundle, seal_bundle

from kubevoice_training.checkpoint_files import LABELS
from kubevoice_training.evaluation.emotion_samples import write_emotion_samples
from kubevoice_training.runtime.new_folder import create_folder
from kubevoice_training.stages.trained_bundle import write_voice
from kubevoice_training.vocoder_import import fold_normalization, load_published_generator
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights, save_weights

__all__ = ["import_vocoder"]

NUMBERED = re.compile(r"g_[0-9]+")
"""Names of generators that HiFi-GAN's training writes, with the step."""
OTHERS = re.compile(r"do_[0-9]+|config.*\.json|.*\.(md|txt|py|wav)|LICENSE")
ATTRIBUTION = (
    "Vocoder imported from {name}: its publisher names the recordings and the weights' licence",
    "Vocoder network: HiFi-GAN, Copyright (c) 2020 Jungil Kong, MIT License",
)


def _find_checkpoint(folder: Path) -> str:
    """Return the name of the generator's file: the highest number of training's, or the only one there is."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file() and not OTHERS.fullmatch(path.name))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}; name one of HiFi-GAN's") from None
    if numbered := [name for name in names if NUMBERED.fullmatch(name)]:
        return max(numbered, key=lambda name: int(name.removeprefix("g_")))
    if len(names) != 1:
        there = ", ".join(names[:10]) or "none"
        raise InputError(f"{folder} should have one generator beside config.json; name it with --checkpoint: {there}")
    return names[0]


def _compare_mels(ours: MelConfig, theirs: MelConfig, vocoder: Path, bundle: Path) -> None:
    """Refuse a vocoder with another mel than the acoustic model's; only the rate of the samples may differ."""

    def describe(mel: MelConfig) -> dict[str, Any]:
        settings = dataclasses.asdict(mel) | {"filter_rate": mel.filter_rate or mel.sample_rate}
        del settings["sample_rate"]
        return settings

    expected = describe(ours)
    if differing := [f"{k} {v} / {expected[k]}" for k, v in describe(theirs).items() if v != expected[k]]:
        raise InputError(
            f"the mel of the vocoder {vocoder} differs from that of the acoustic model of {bundle}: "
            f"{', '.join(differing)}; import it into a voice that was trained on the vocoder's mel"
        )


def _replace_vocoder(weights: VoiceWeights, folder: Path, checkpoint: str, bundle: Path) -> VoiceWeights:
    if weights.vocoder.config.source is not None:
        raise InputError(
            f"the acoustic model of {bundle} predicts F0 for a vocoder with a harmonic source, which {folder} has not"
        )
    generator, mel = load_published_generator(folder, checkpoint, weights.mel.sample_rate)
    _compare_mels(weights.mel, mel, folder, bundle)
    fold_normalization(generator, weights.stats.mel_std, weights.stats.mel_mean)
    return dataclasses.replace(weights, vocoder=generator)


def import_vocoder(folder: Path, bundle: Bundle, out: Path, checkpoint: str | None = None) -> Bundle:
    """Write a bundle with a published generator in place of its vocoder. It is written completely or not at all.

    Parameters
    ----------
    folder : Has config.json and the generator's checkpoint.
    bundle : The voice, whose acoustic model stays as it is.
    out : A folder that does not exist, or is empty.
    checkpoint : Name of the generator's file; None if the folder has only one, or training's with their numbers.

    Returns
    -------
    Bundle
        The new bundle. It has no metrics but those of its samples: those of the old vocoder do not hold.

    Raises
    ------
    InputError
        If a file does not fit, the mels differ, the bundle has no checkpoint, or `out` is there already.
    KubeVoiceError
        If `out` cannot be written.
    """
    if f"checkpoint/{LABELS}" not in bundle.manifest.files:
        raise InputError(f"{bundle.path} was released without its checkpoint; name a bundle that has it")
    name = checkpoint or _find_checkpoint(folder)
    weights = _replace_vocoder(load_weights(bundle.path / "checkpoint"), folder, name, bundle.path)
    with create_folder(out) as root:
        save_weights(weights, root / "checkpoint")
        written = write_voice(load_weights(root / "checkpoint"), root)
        if LEXICON_FILE in bundle.manifest.files:
            shutil.copyfile(bundle.path / LEXICON_FILE, root / LEXICON_FILE)
        source = tuple(line.format(name=folder.resolve().name) for line in ATTRIBUTION)
        manifest = bundle.manifest.model_copy(
            update={
                "vocoder_context": written.vocoder_context,
                "export_max_abs_diff": written.export_max_abs_diff,
                "training": bundle.manifest.training | {"vocoderImportedFrom": name},
                "attribution": tuple(dict.fromkeys(bundle.manifest.attribution + source)),
                "metrics": {},
            }
        )
        metrics = write_emotion_samples(Engine(seal_bundle(root, manifest)), root / "samples").metrics
        sealed = seal_bundle(root, manifest.model_copy(update={"metrics": metrics}))
    return dataclasses.replace(sealed, path=out)
