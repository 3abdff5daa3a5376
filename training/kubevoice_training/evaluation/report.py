"""The report of an evaluation: metrics, and the sound and spectrogram of every clip.

It is stored at bundles/DIGEST/measured.json, outside what the bundle's digest covers. It does not depend on thresholds:
when they change, the gate and the page are made again from it, without synthesis or recognition.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from kubevoice.audio.mel import MelConfig
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from kubevoice_training.evaluation.media import draw_mel, encode_mp3
from kubevoice_training.evaluation.voice_metrics import SynthesizedClip

__all__ = ["MEASURED", "REPORT", "ClipReport", "EvaluationReport", "build_report", "read_report"]

MEASURED, REPORT = "measured.json", "report.html"


class _ReportModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipReport(_ReportModel):
    """One synthesized clip. What compares it with a recording is empty if there is none; media are data URIs."""

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
    """Metrics and clips of one release.

    Attributes
    ----------
    metrics, missing : from `compute_metrics`.
    samples : one sentence in every emotion, as data URIs by label.
    export : largest difference between each exported graph and torch.
    """

    name: str
    held_out: bool
    """Whether the clips compared were kept from training."""
    metrics: dict[str, float]
    missing: dict[str, str]
    clips: tuple[ClipReport, ...]
    samples: dict[str, str]
    export: dict[str, float]


def _build_clip_report(clip: SynthesizedClip, mel: MelConfig) -> ClipReport:
    """Encode the audio and draw the spectrogram of one clip."""
    report = ClipReport(
        text=clip.text,
        transcript=clip.transcript,
        seconds=round(clip.seconds, 3),
        sound=encode_mp3(clip.audio, mel.sample_rate),
        picture=draw_mel(clip.features.mel),
    )
    if clip.utterance is None or clip.distance is None:
        return report
    utterance, distance = clip.utterance, clip.distance
    wave = utterance.wave.astype(np.float32) / 32768.0
    return report.model_copy(
        update={
            "emotion": utterance.emotion,
            "speaker": utterance.speaker,
            "recorded_seconds": round(clip.recorded_seconds(mel), 3),
            "recorded_sound": encode_mp3(wave, mel.sample_rate) if len(wave) else "",
            "recorded_picture": draw_mel(utterance.features.mel),
            "distortion": round(distance.distortion, 2),
            "f0_error": round(distance.f0_error, 1) if np.isfinite(distance.f0_error) else None,
        }
    )


def build_report(
    name: str,
    clips: Sequence[SynthesizedClip],
    mel: MelConfig,
    metrics: tuple[Mapping[str, float], Mapping[str, str]],
    samples: Mapping[str, NDArray[np.float32]],
    export: Mapping[str, float],
) -> EvaluationReport:
    """Build the report of a release.

    Parameters
    ----------
    name : Name of the voice.
    clips : Synthesized clips.
    mel : Settings of the features.
    metrics : Metrics and missing ones, from `compute_metrics`.
    samples : Audio [T] by emotion.
    export : Largest difference from torch by graph.

    Returns
    -------
    EvaluationReport
        The report, with audio and images as data URIs.
    """
    compared = [clip.utterance for clip in clips if clip.utterance]
    return EvaluationReport(
        name=name,
        held_out=any(utterance.dev for utterance in compared),
        metrics=dict(metrics[0]),
        missing=dict(metrics[1]),
        clips=tuple(_build_clip_report(clip, mel) for clip in clips),
        samples={label: encode_mp3(audio, mel.sample_rate) for label, audio in samples.items()},
        export=dict(export),
    )


def read_report(data: bytes) -> EvaluationReport | None:
    """Read a stored report.

    Parameters
    ----------
    data : Content of measured.json.

    Returns
    -------
    EvaluationReport or None
        The report; None if it is damaged or of another version, in which case it has to be built again.
    """
    try:
        return EvaluationReport.model_validate_json(data)
    except ValidationError:
        return None
