"""What a release measures of a voice: samples, clips that the serving engine synthesizes, and their metrics."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import soundfile
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.storage import publish_tree
from kubevoice.voice import Bundle

from kubevoice_training.evaluation.emotion_samples import EmotionSamples
from kubevoice_training.evaluation.report import MEASURED, build_report
from kubevoice_training.evaluation.voice_metrics import (
    SynthesizedClip,
    analyze_clip,
    compute_metrics,
    recognize_clips,
)
from kubevoice_training.features.feature_store import Utterance
from kubevoice_training.stages.context import Context

__all__ = [
    "ClipRequest",
    "VoiceMeasurement",
    "bundle_prefix",
    "measure_voice",
    "publish_measured_bundle",
]


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A text to synthesize, the recording of it if there is one, and whether the speech is to be recognized."""

    text: str
    controls: Controls = field(default_factory=Controls)
    utterance: Utterance | None = None
    recognize: bool = True


@dataclass(frozen=True, slots=True)
class VoiceMeasurement:
    """The samples and synthesized clips of a voice, and its metrics.

    Attributes
    ----------
    samples
        One sentence in every emotion.
    clips
        One for each request.
    mel
        Settings of their features.
    metrics
        By name, rounded; those of the emotion samples among them.
    missing
        Why a metric was not measured, by its name.
    """

    samples: EmotionSamples
    clips: tuple[SynthesizedClip, ...]
    mel: MelConfig
    metrics: dict[str, float]
    missing: dict[str, str]

    def with_metrics(self, metrics: dict[str, float], missing: dict[str, str]) -> Self:
        """Add metrics.

        Parameters
        ----------
        metrics
            By name; they are rounded.
        missing
            Why a metric was not measured, by its name.

        Returns
        -------
        VoiceMeasurement
            The same with all metrics.
        """
        rounded = {name: float(f"{value:.4g}") for name, value in metrics.items()}
        return replace(self, metrics=self.metrics | rounded, missing=self.missing | missing)


def measure_voice(
    engine: Engine,
    requests: Sequence[ClipRequest],
    mel: MelConfig,
    samples: EmotionSamples,
    context: Context,
    *,
    naturalness: bool = True,
) -> VoiceMeasurement:
    """Synthesize clips, recognize them, and measure them and the real-time factor.

    Parameters
    ----------
    engine
        The voice.
    requests
        The clips, at least one.
    mel
        Settings of the features.
    samples
        What `write_emotion_samples` returned.
    context
        What recognition reports its progress to.
    naturalness
        Whether the naturalness is rated, which needs torch.

    Returns
    -------
    VoiceMeasurement
        Clips and metrics.
    """
    began = time.perf_counter()
    audio = [synthesize_text(engine, request.text, request.controls) for request in requests]
    factor = (time.perf_counter() - began) * engine.sample_rate / max(1, sum(map(len, audio)))
    chosen = [number for number, request in enumerate(requests) if request.recognize]
    recognized = recognize_clips([audio[number] for number in chosen], engine.sample_rate, context.progress.report)
    transcripts = dict(zip(chosen, recognized, strict=True))
    clips = tuple(
        replace(analyze_clip(request.text, speech, mel, request.utterance), transcript=transcripts.get(number))
        for number, (request, speech) in enumerate(zip(requests, audio, strict=True))
    )
    values, missing = compute_metrics(clips, mel, naturalness=naturalness)
    measured = VoiceMeasurement(samples, clips, mel, samples.metrics, {})
    return measured.with_metrics({"realTimeFactor": factor} | values, missing)


def bundle_prefix(revision: str) -> str:
    """Return the folder of a bundle in the artifacts.

    Parameters
    ----------
    revision
        Digest of the bundle.

    Returns
    -------
    str
        Relative to the artifacts.
    """
    return f"bundles/{revision.removeprefix('sha256:')}"


def publish_measured_bundle(name: str, bundle: Bundle, measurement: VoiceMeasurement, context: Context) -> None:
    """Publish a bundle and, beside it, what was measured.

    Parameters
    ----------
    name
        Name of the voice, for the report.
    bundle
        The bundle; its folder has its files only.
    measurement
        Samples, clips and metrics.
    context
        Where the artifacts are.
    """
    prefix = bundle_prefix(bundle.digest)
    publish_tree(bundle.path, context.artifacts, prefix)
    files = sorted(measurement.samples.folder.iterdir())
    samples = {path.stem: soundfile.read(path, dtype="float32")[0] for path in files}
    metrics = measurement.metrics, measurement.missing
    export = bundle.manifest.export_max_abs_diff
    report = build_report(name, measurement.clips, measurement.mel, metrics, samples, export)
    # Beside the bundle's files but not among them: a page must not change a revision.
    context.artifacts.write(f"{prefix}/{MEASURED}", report.model_dump_json().encode())
