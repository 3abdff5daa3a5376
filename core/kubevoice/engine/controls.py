"""The controls of speech, and the encoder input that each becomes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kubevoice.errors import InputError
from kubevoice.text.ssml import Notice, Style
from kubevoice.voice import VoiceManifest, VoiceStats

__all__ = [
    "Controls",
    "apply_style",
    "build_gain_curve",
    "compute_pitch_shift",
    "emotion_weights",
    "get_resting_emotion",
    "report_unknown_names",
    "speaker_weights",
]

Array = NDArray[np.float32]

GLIDE = 240
"""Samples over which a change of volume is spread."""
SHARE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
RANGES = {"intensity": (0.0, 2.0), "speed": (0.25, 4.0), "pitch": (-12.0, 12.0), "volume": (0.0, 2.0)}


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of an utterance; InputError lists every value out of range."""

    speaker: str | int | None = None
    """Name, table row, or a blend such as `anna(2)+ben(1)`; None is the voice's first speaker."""
    emotion: str | None = None
    """Label; None is the voice's resting emotion."""
    intensity: float = 1.0
    """0 is the resting emotion, 1 the emotion as trained, 2 twice as far from rest."""
    speed: float = 1.0
    """2 is twice as fast."""
    pitch: float = 0.0
    """Semitones up (or, negative, down)."""
    volume: float = 1.0
    """Factor on the samples."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name):g}; it must lie between {low:g} and {high:g}"
            for name, (low, high) in RANGES.items()
            if not low <= getattr(self, name) <= high
        ]
        if problems:
            raise InputError(problems[0], problems)


def apply_style(controls: Controls, style: Style, manifest: VoiceManifest) -> Controls:
    """Return the controls of a request, changed by a style of its document.

    Rates and volumes multiply and pitches add, all within their ranges; a speaker or an emotion that the voice has not
    leaves the request's.
    """
    known = {emotion.label for emotion in manifest.emotions}
    if style.speaker in manifest.speakers:
        controls = replace(controls, speaker=style.speaker)
    if style.emotion in known:
        controls = replace(controls, emotion=style.emotion, intensity=style.intensity)
    return replace(
        controls,
        speed=_within(controls.speed * style.rate, "speed"),
        pitch=_within(controls.pitch + style.pitch, "pitch"),
        volume=_within(controls.volume * style.volume, "volume"),
    )


def report_unknown_names(styles: Iterable[Style], manifest: VoiceManifest) -> tuple[Notice, ...]:
    """Return a notice for each speaker and emotion of a document that the voice does not have."""
    there = {"speaker": manifest.speakers, "emotion": tuple(emotion.label for emotion in manifest.emotions)}
    wanted = dict.fromkeys(
        (what, name) for style in styles for what, name in (("speaker", style.speaker), ("emotion", style.emotion))
    )
    return tuple(
        Notice(f"voice {manifest.name} has no {what} {name[:40]!r}; it has: {', '.join(there[what])}")
        for what, name in wanted
        if name is not None and name not in there[what]
    )


def _within(value: float, name: str) -> float:
    low, high = RANGES[name]
    return min(max(value, low), high)


def build_gain_curve(volumes: Sequence[float], samples: NDArray[np.int64]) -> Array:
    """Return the gain of each sample [T], from each unit's volume and its share [N] of the T samples.

    Where the volume changes, the gain changes over GLIDE samples: a step would be heard as a click.
    """
    gain = np.repeat(np.asarray(volumes, np.float32), samples)
    if len(set(volumes)) > 1:
        smooth = np.ones(GLIDE, np.float32) / GLIDE
        padded = np.pad(gain, (GLIDE // 2, GLIDE - 1 - GLIDE // 2), mode="edge")
        return np.convolve(padded, smooth, "valid").astype(np.float32)
    return gain


def get_resting_emotion(manifest: VoiceManifest) -> str:
    """Return the label spoken when none is asked for: neutral, or the first the voice was taught."""
    labels = [emotion.label for emotion in manifest.emotions]
    return "neutral" if "neutral" in labels else labels[0]


def emotion_weights(manifest: VoiceManifest, emotion: str | None, intensity: float) -> Array:
    """Mixing weights over the emotion table [rows]: rest + intensity * (emotion - rest), at most the emotion.

    What goes beyond is not for the embedding (`kubevoice.engine.intensity`).
    """
    share = min(intensity, 1.0)
    ids = {e.label: e.id for e in manifest.emotions}
    rest = get_resting_emotion(manifest)
    label = rest if emotion is None else emotion
    if label not in ids:
        raise InputError(f"voice {manifest.name} has no emotion {label!r}; it has: {', '.join(ids)}")
    weights = np.zeros(manifest.emotion_rows, np.float32)
    weights[ids[rest]] += 1.0 - share
    weights[ids[label]] += share
    return weights


def speaker_weights(manifest: VoiceManifest, speaker: str | int | None) -> Array:
    """Mixing weights over the speaker table [rows], 1 in all. InputError for a speaker whom the voice has not."""
    names = manifest.speakers
    weights = np.zeros(manifest.speaker_rows, np.float32)
    if isinstance(speaker, str):
        parts = {speaker: 1.0} if speaker in names else _blend(speaker)
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


def _blend(text: str) -> dict[str, float]:
    """Read `anna(2)+ben(1)`, as Kokoro-FastAPI writes blends: names and their shares, 1 where none is given."""
    parts: dict[str, float] = {}
    for part in map(str.strip, text.split("+")):
        name, _, share = part[:-1].rpartition("(")
        if not (part.endswith(")") and SHARE.fullmatch(share)):
            name, share = part, "1"
        name = name.rstrip()
        parts[name] = parts.get(name, 0.0) + float(share)
    if not sum(parts.values()):
        raise InputError(f"speaker {text[:40]!r} is a blend of nobody; give somebody a share above 0")
    return parts


def compute_pitch_shift(pitch: Array, stats: VoiceStats, semitones: Array) -> Array:
    """What to add to normalised pitch [N] so that each symbol's p Hz becomes p * 2^(semitones / 12), [N] too.

    Unvoiced symbols were trained as 0 Hz, so a factor leaves them where they are, as it should.
    """
    hertz = np.maximum(pitch * stats.pitch_std + stats.pitch_mean, 0.0)
    shift: Array = (hertz * ((2.0 ** (semitones / 12.0) - 1.0) / stats.pitch_std)).astype(np.float32)
    return shift
