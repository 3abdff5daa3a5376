"""Everything a release measured, kept beside the bundle: figures, and what every clip sounds and looks like.

It lies at bundles/DIGEST/measured.json, outside what the bundle's digest covers, and does not depend on thresholds:
judging again makes a new page of it without speaking or recognising anything.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from kubevoice.audio.mel import MelConfig
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from kubevoice_training.evaluation.media import mel_picture, mp3
from kubevoice_training.evaluation.voice_metrics import SynthesizedClip

__all__ = ["MEASURED", "REPORT", "ClipReport", "EvaluationReport", "build_report", "read_report"]

MEASURED, REPORT = "measured.json", "report.html"


class _ReportModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipReport(_ReportModel):
    """One text the voice spoke; the second half is empty if it was not recorded. Sounds and pictures are data URIs."""

    text: str
    transcript: str | None = Field(validation_alias=AliasChoices("transcript", "heard"))
    """What was recognized; reports of earlier releases name it `heard`."""
    seconds: float
    sound: str
    picture: str
    emotion: str = ""
    speaker: str = ""
    recorded_seconds: float | None = None
    recorded_sound: str = ""
    recorded_picture: str = ""
    distortion: float | None = None
    f0_error: float | None = None


class EvaluationReport(_ReportModel):
    """What was measured; `missing` says why a figure is not there, `samples` is one sentence in every emotion."""

    name: str
    held_out: bool
    """Whether the clips compared were kept from training."""
    metrics: dict[str, float]
    missing: dict[str, str]
    clips: tuple[ClipReport, ...]
    samples: dict[str, str]
    export: dict[str, float]
    """Largest difference between each exported graph and torch."""


def _clip_report(clip: SynthesizedClip, mel: MelConfig) -> ClipReport:
    """Draw and encode one spoken clip."""
    found = ClipReport(
        text=clip.text,
        transcript=clip.transcript,
        seconds=round(clip.seconds, 3),
        sound=mp3(clip.audio, mel.sample_rate),
        picture=mel_picture(clip.features.mel),
    )
    if clip.utterance is None or clip.distance is None:
        return found
    utterance, distance = clip.utterance, clip.distance
    wave = utterance.wave.astype(np.float32) / 32768.0
    return found.model_copy(
        update={
            "emotion": utterance.emotion,
            "speaker": utterance.speaker,
            "recorded_seconds": round(clip.recorded_seconds(mel), 3),
            "recorded_sound": mp3(wave, mel.sample_rate) if len(wave) else "",
            "recorded_picture": mel_picture(utterance.features.mel),
            "distortion": round(distance.distortion, 2),
            "f0_error": round(distance.f0_error, 1) if np.isfinite(distance.f0_error) else None,
        }
    )


def build_report(
    name: str,
    clips: Sequence[SynthesizedClip],
    mel: MelConfig,
    figures: tuple[Mapping[str, float], Mapping[str, str]],
    samples: Mapping[str, NDArray[np.float32]],
    export: Mapping[str, float],
) -> EvaluationReport:
    """Put a report together; `figures` are the metrics and why others are missing, `samples` audio by emotion."""
    compared = [clip.utterance for clip in clips if clip.utterance]
    return EvaluationReport(
        name=name,
        held_out=any(utterance.dev for utterance in compared),
        metrics=dict(figures[0]),
        missing=dict(figures[1]),
        clips=tuple(_clip_report(clip, mel) for clip in clips),
        samples={label: mp3(audio, mel.sample_rate) for label, audio in samples.items()},
        export=dict(export),
    )


def read_report(data: bytes) -> EvaluationReport | None:
    """Read a report; None if it is of another version or damaged, for it can be made again and decides nothing."""
    try:
        return EvaluationReport.model_validate_json(data)
    except ValidationError:
        return None
