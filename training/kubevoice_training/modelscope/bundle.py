"""Importing: a ModelScope voice folder in, voice bundles out, which the engine loads and training starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.errors import InputError
from kubevoice.text import EMOTIONS, UnitTables
from kubevoice.voice import Bundle, seal_bundle
from kubevoice.voice.modelscope import ModelPart, ModelScopeVoice, find_voices, get_setting, summarize_value

from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.modelscope.acoustic import load_sambert
from kubevoice_training.modelscope.vocoder import load_generator
from kubevoice_training.runtime.new_folder import create_folder
from kubevoice_training.stages.trained_bundle import write_voice
from kubevoice_training.voice_checkpoint import VoiceWeights, save_weights

__all__ = ["ImportedVoice", "import_voices", "load_voice"]

NOMINAL_PITCH_HZ = (150.0, 100.0)
"""Mean and deviation of pitch over a speaker's frames, unvoiced ones as 0 Hz: ModelScope's folders hold no figures."""
ATTRIBUTION = (
    "Imported from ModelScope voice {name}: its model card names the recordings' owner and the weights' licence",
    "Network and voice format: KAN-TTS, Copyright (c) 2022 Alibaba Research, MIT License",
)


@dataclass(frozen=True, slots=True)
class ImportedVoice:
    """A voice that was imported.

    Attributes
    ----------
    name
        From the folder of the voice.
    path
        Where its bundle is.
    bundle
        The bundle.
    """

    name: str
    path: Path
    bundle: Bundle


def _read_mel_config(part: ModelPart, config: SambertConfig, bins: int) -> MelConfig:
    audio = get_setting(part.config, "audio_config", part.config_file)
    try:
        mel = MelConfig.from_reference(audio)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{part.config_file}: audio_config is missing or wrong: {str(error)[:200]}") from None
    if mel.n_mels != bins:
        raise InputError(
            f"{part.config_file}: audio_config.n_mels is {mel.n_mels}, but the vocoder's tensors read {bins} bins"
        )
    if not 1 <= mel.hop_length <= mel.win_length <= mel.n_fft <= 1 << 16 or not 8000 <= mel.sample_rate <= 192000:
        raise InputError(f"{part.config_file}: audio_config has impossible lengths or an impossible sampling_rate")
    if config.n_mels < bins:
        raise InputError(f"{part.checkpoint}: mel_postnet.fc.weight makes {config.n_mels} bins; {bins} are spoken")
    return mel


def _check_tables(config: SambertConfig, part: ModelPart) -> None:
    """Compare the embedding tables with our unit tables; one row less is a voice from before the mask."""
    unit = get_setting(part.config, "linguistic_unit", part.config_file)
    language = unit.get("language") if isinstance(unit, dict) else None
    if language not in (None, "PinYin"):
        raise InputError(
            f"{part.config_file}: linguistic_unit.language is {summarize_value(language)}; our front end reads PinYin"
        )
    sizes = UnitTables.load().sizes | {"emotions": len(EMOTIONS) + 3}
    for name, size in sizes.items():
        rows = getattr(config, name)
        if rows not in (size, size - 1):
            raise InputError(f"{part.checkpoint}: the table of {name} has {rows} rows; {size} were expected")


def _read_speakers(config: SambertConfig, part: ModelPart, name: str) -> dict[str, int]:
    """Return the speakers by row: those that the configuration lists, or the one of a personal voice."""
    if config.speakers == 1:
        return {name: 0}
    names = get_setting(part.config, "linguistic_unit.speaker_list", part.config_file)
    if not isinstance(names, str):
        raise InputError(f"{part.config_file}: linguistic_unit.speaker_list is not text with names between commas")
    listed = names.split(",")
    if config.speakers - len(listed) not in (2, 3) or len(set(listed)) != len(listed) or "" in listed:
        raise InputError(
            f"{part.config_file}: linguistic_unit.speaker_list names {len(listed)} speakers, but spk_tokenizer.weight "
            f"of {part.checkpoint} has {config.speakers} rows; 2 or 3 more than speakers were expected"
        )
    return {speaker: row for row, speaker in enumerate(listed)}


def _select_emotions(requested: Sequence[str]) -> dict[str, int]:
    """Return emotions by row, neutral first. Nothing says which rows a voice was taught."""
    known = [label for label in EMOTIONS if label != "none" and not label.startswith("placeholder")]
    if unknown := [label for label in requested if label not in EMOTIONS]:
        raise InputError(f"there is no emotion {unknown[0]!r}; there are: {', '.join(known)}")
    labels = sorted(requested or known, key=lambda label: label != "neutral")
    return {label: EMOTIONS.index(label) for label in labels}


def load_voice(voice: ModelScopeVoice, emotions: Sequence[str] = ()) -> VoiceWeights:
    """Load both networks of a voice and the settings of its configuration.

    Parameters
    ----------
    voice
        A voice that `find_voices` returned.
    emotions
        Labels that the voice is to have; empty for all of the reference's.

    Returns
    -------
    VoiceWeights
        The voice, with nominal statistics (`measured` is False).

    Raises
    ------
    InputError
        If a file does not fit; it names file and key.
    """
    acoustic = load_sambert(voice.acoustic)
    vocoder = load_generator(voice.vocoder, voice.acoustic)
    config, bins = acoustic.config, vocoder.config.in_channels
    _check_tables(config, voice.acoustic)
    mel = _read_mel_config(voice.acoustic, config, bins)
    if config.n_mels != bins + (2 if vocoder.config.source is not None else 0):
        raise InputError(
            f"{voice.acoustic.checkpoint} and {voice.vocoder.checkpoint} do not belong together: the one makes "
            f"{config.n_mels} values a frame, the other reads {bins} mel bins"
        )
    if vocoder.config.hop != mel.hop_length:
        raise InputError(
            f"{voice.vocoder.config_file}: upsample_scales make {vocoder.config.hop} samples a frame, but "
            f"audio_config.hop_length is {mel.hop_length}"
        )
    mean, deviation = NOMINAL_PITCH_HZ
    return VoiceWeights(
        acoustic=acoustic,
        vocoder=vocoder,
        mel=mel,
        stats=Stats(np.zeros(bins, np.float32), np.ones(bins, np.float32), mean, deviation, 0.0, 1.0),
        speakers=_read_speakers(config, voice.acoustic, voice.name),
        emotions=_select_emotions(emotions),
        measured=False,
    )


def _write_bundle(voice: ModelScopeVoice, weights: VoiceWeights, folder: Path) -> Bundle:
    folder.mkdir(exist_ok=True)
    save_weights(weights, folder / "checkpoint")
    manifest = write_voice(weights, folder).model_copy(
        update={
            "name": voice.name,
            # The reference's unit tables have them, and its own front end writes them for English words.
            "english": True,
            "training": {
                "importedFrom": "ModelScope",
                "acousticCheckpoint": voice.acoustic.checkpoint.name,
                "vocoderCheckpoint": voice.vocoder.checkpoint.name,
                "pitchStatistics": "nominal",
            },
            "attribution": tuple(line.format(name=voice.name) for line in ATTRIBUTION),
        }
    )
    return seal_bundle(folder, manifest)


def import_voices(
    source: Path, out: Path, *, names: Sequence[str] = (), emotions: Sequence[str] = ()
) -> list[ImportedVoice]:
    """Write the voices of a ModelScope folder as bundles. All are written, or none is.

    Parameters
    ----------
    source
        The folder.
    out
        A folder that does not exist, or is empty. One voice is written to it, several to `out`/NAME.
    names
        Voices to import; empty for all.
    emotions
        Labels that the voices are to have; empty for all of the reference's.

    Returns
    -------
    list of ImportedVoice
        The voices that were written.

    Raises
    ------
    InputError
        If a file does not fit (it names file and key), a name is unknown, or `out` is not empty.
    KubeVoiceError
        If `out` cannot be written.
    """
    voices = find_voices(source)
    if missing := [name for name in names if name not in {voice.name for voice in voices}]:
        raise InputError(f"{source} has no voice {missing[0]!r}; it has: {', '.join(voice.name for voice in voices)}")
    chosen = [voice for voice in voices if not names or voice.name in names]
    written = []
    with create_folder(out) as root:
        for voice in chosen:
            place = root / voice.name if len(chosen) > 1 else root
            bundle = _write_bundle(voice, load_voice(voice, emotions), place)
            written.append(ImportedVoice(voice.name, out / place.relative_to(root), bundle))
    return written
