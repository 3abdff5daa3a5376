"""The controls of speech, and the encoder input that each becomes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kubevoice.errors import InputError
from kubevoice.text.emotion_labels import find_emotion
from kubevoice.text.ssml import Notice, Style
from kubevoice.voice import VoiceManifest, VoiceStats

__all__ = [
    "Controls",
    "apply_style",
    "build_emotion_weights",
    "build_gain_curve",
    "build_speaker_weights",
    "compute_pitch_shift",
    "get_default_emotion",
    "report_unknown_names",
]

Array = NDArray[np.float32]

GLIDE = 240
"""Samples over which a change of volume is spread."""
SHARE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
RANGES = {"intensity": (0.0, 2.0), "speed": (0.25, 4.0), "pitch": (-12.0, 12.0), "volume": (0.0, 2.0)}


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of an utterance.

    Attributes
    ----------
    speaker
        Name, row of the speaker table, or a blend such as `anna(2)+ben(1)`; None is the voice's first speaker.
    emotion
        Label; None is the voice's default emotion.
    intensity
        0 is the default emotion, 1 the emotion as trained, up to 2 for twice the difference.
    speed
        Factor, 0.25 to 4; 2 is twice as fast.
    pitch
        Semitones, -12 to 12.
    volume
        Factor on the samples, 0 to 2.

    Raises
    ------
    InputError
        From the constructor; lists every value out of range.
    """

    speaker: str | int | None = None
    emotion: str | None = None
    intensity: float = 1.0
    speed: float = 1.0
    pitch: float = 0.0
    volume: float = 1.0

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name):g}; it must be between {low:g} and {high:g}"
            for name, (low, high) in RANGES.items()
            if not low <= getattr(self, name) <= high
        ]
        if problems:
            raise InputError(problems[0], problems)


def apply_style(controls: Controls, style: Style, manifest: VoiceManifest) -> Controls:
    """Combine the controls of a request with a style of its document.

    Rates and volumes multiply and pitches add, within their ranges. A speaker or an emotion that the voice does not
    have is ignored.

    Parameters
    ----------
    controls
        The controls of the request.
    style
        The style.
    manifest
        The voice.

    Returns
    -------
    Controls
        The combined controls.
    """
    labels = {emotion.label for emotion in manifest.emotions}
    if style.speaker in manifest.speakers:
        controls = replace(controls, speaker=style.speaker)
    if style.emotion in labels:
        controls = replace(controls, emotion=style.emotion, intensity=style.intensity)
    return replace(
        controls,
        speed=_clip(controls.speed * style.rate, "speed"),
        pitch=_clip(controls.pitch + style.pitch, "pitch"),
        volume=_clip(controls.volume * style.volume, "volume"),
    )


def report_unknown_names(styles: Iterable[Style], manifest: VoiceManifest) -> tuple[Notice, ...]:
    """Return a notice for each speaker and emotion of a document that the voice does not have.

    Parameters
    ----------
    styles
        Styles of the document.
    manifest
        The voice.

    Returns
    -------
    tuple[Notice, ...]
        The notices; none if the voice has all names.
    """
    names_of = {"speaker": manifest.speakers, "emotion": tuple(emotion.label for emotion in manifest.emotions)}
    requested = dict.fromkeys(
        (kind, name) for style in styles for kind, name in (("speaker", style.speaker), ("emotion", style.emotion))
    )
    return tuple(
        Notice(f"voice {manifest.name} has no {kind} {name[:40]!r}; it has: {', '.join(names_of[kind])}")
        for kind, name in requested
        if name is not None and name not in names_of[kind]
    )


def _clip(value: float, name: str) -> float:
    low, high = RANGES[name]
    return min(max(value, low), high)


def build_gain_curve(volumes: Sequence[float], samples: NDArray[np.int64]) -> Array:
    """Return the gain of each sample.

    Where the volume changes, the gain changes over GLIDE samples: a step would be audible as a click.

    Parameters
    ----------
    volumes
        Factor of each unit, [N].
    samples
        Samples of each unit, [N]; T in all.

    Returns
    -------
    Array
        The gain, [T].
    """
    gain = np.repeat(np.asarray(volumes, np.float32), samples)
    if len(set(volumes)) > 1:
        smooth = np.ones(GLIDE, np.float32) / GLIDE
        padded = np.pad(gain, (GLIDE // 2, GLIDE - 1 - GLIDE // 2), mode="edge")
        return np.convolve(padded, smooth, "valid").astype(np.float32)
    return gain


def get_default_emotion(manifest: VoiceManifest) -> str:
    """Return the emotion of requests that name none: neutral, or the first of a voice without it.

    Parameters
    ----------
    manifest
        The voice.

    Returns
    -------
    str
        A label.
    """
    labels = [emotion.label for emotion in manifest.emotions]
    return "neutral" if "neutral" in labels else labels[0]


def build_emotion_weights(manifest: VoiceManifest, emotion: str | None, intensity: float) -> Array:
    """Return the mixing weights over the emotion table: default + intensity * (emotion - default).

    Above 1 the intensity has no effect on the weights; see `kubevoice.engine.intensity`.

    Parameters
    ----------
    manifest
        The voice.
    emotion
        Label; None is the default emotion.
    intensity
        0 or more.

    Returns
    -------
    Array
        Weights, [rows].

    Raises
    ------
    InputError
        If the voice does not have the emotion.
    """
    share = min(intensity, 1.0)
    ids = {e.label: e.id for e in manifest.emotions}
    default = get_default_emotion(manifest)
    label = default if emotion is None else find_emotion(emotion, ids)
    if label is None:
        raise InputError(f"voice {manifest.name} has no emotion {emotion!r}; it has: {', '.join(ids)}")
    weights = np.zeros(manifest.emotion_rows, np.float32)
    weights[ids[default]] += 1.0 - share
    weights[ids[label]] += share
    return weights


def build_speaker_weights(manifest: VoiceManifest, speaker: str | int | None) -> Array:
    """Return the mixing weights over the speaker table; their sum is 1.

    Parameters
    ----------
    manifest
        The voice.
    speaker
        Name, row or blend; None is the first speaker.

    Returns
    -------
    Array
        Weights, [rows].

    Raises
    ------
    InputError
        If the voice does not have a speaker.
    """
    names = manifest.speakers
    weights = np.zeros(manifest.speaker_rows, np.float32)
    if isinstance(speaker, str):
        parts = {speaker: 1.0} if speaker in names else _parse_blend(speaker)
        for name, weight in parts.items():
            if name not in names:
                raise InputError(f"voice {manifest.name} has no speaker {name[:40]!r}; it has: {', '.join(names)}")
            weights[names.index(name)] = weight / sum(parts.values())
        return weights
    row = speaker or 0
    if not 0 <= row < len(names):
        raise InputError(f"voice {manifest.name} has no speaker number {row}; give 0 to {len(names) - 1}")
    weights[row] = 1.0
    return weights


def _parse_blend(text: str) -> dict[str, float]:
    """Read `anna(2)+ben(1)`, as Kokoro-FastAPI writes blends: names and their shares, 1 where none is given."""
    parts: dict[str, float] = {}
    for part in map(str.strip, text.split("+")):
        name, _, share = part[:-1].rpartition("(")
        if not (part.endswith(")") and SHARE.fullmatch(share)):
            name, share = part, "1"
        name = name.rstrip()
        parts[name] = parts.get(name, 0.0) + float(share)
    if not sum(parts.values()):
        raise InputError(f"speaker {text[:40]!r} is a blend without a share above 0; give one of its speakers a share")
    return parts


def compute_pitch_shift(pitch: Array, stats: VoiceStats, semitones: Array) -> Array:
    """Return the change of normalised pitch by which p Hz become p * 2^(semitones / 12).

    Unvoiced symbols were trained as 0 Hz, which no factor changes.

    Parameters
    ----------
    pitch
        Normalised pitch of each symbol, [N].
    stats
        Mean and standard deviation that pitch was normalised by.
    semitones
        Semitones of each symbol, [N].

    Returns
    -------
    Array
        What to add to the normalised pitch, [N].
    """
    hertz = np.maximum(pitch * stats.pitch_std + stats.pitch_mean, 0.0)
    shift: Array = (hertz * ((2.0 ** (semitones / 12.0) - 1.0) / stats.pitch_std)).astype(np.float32)
    return shift
