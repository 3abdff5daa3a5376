"""Stage three: out comes a voice bundle that is measured, and the result of the quality gate.

With a dataset the bundle is exported from a checkpoint; without one it is the base voice's. What was measured does not
depend on the thresholds, so it is kept apart from the quality gate: another threshold is compared with the metrics of
the same bundle within seconds. A page with both is written beside the bundle.
"""

import json

from kubevoice.digests import short_hash
from kubevoice.errors import KubeVoiceError
from kubevoice.resources.stages import BaseVoiceReleaseSpec, ReleaseResult, ReleaseSpec
from kubevoice.storage import S3Options, Storage, published_digest
from kubevoice.voice import Bundle

from kubevoice_training.evaluation.report import MEASURED, REPORT, EvaluationReport, read_report
from kubevoice_training.evaluation.voice_metrics import check_quality_gate
from kubevoice_training.pages.evaluation import render_evaluation_page
from kubevoice_training.stages.base_bundle import build_base_bundle
from kubevoice_training.stages.base_voice import hash_base_manifest
from kubevoice_training.stages.context import Context
from kubevoice_training.stages.measurement import VoiceMeasurement, bundle_prefix, publish_measured_bundle

__all__ = ["GATE_METRICS", "release"]

METRICS_VERSION = "2"
"""Changes when a release measures something else, so that voices of earlier versions are measured again."""
GATE_METRICS = (
    "realTimeFactor",
    "pinyinErrorRate",
    "melCepstralDistortion",
    "f0Rmse",
    "speakerSimilarity",
    "naturalness",
    "naturalnessLoss",
    "durationError",
)


def _read_measured(storage: Storage, revision: str) -> EvaluationReport | None:
    key = f"{bundle_prefix(revision)}/{MEASURED}"
    return read_report(storage.read(key)) if storage.exists(key) else None


def name_candidate(spec: ReleaseSpec | BaseVoiceReleaseSpec, options: S3Options) -> str:
    """Return the key of what a release makes: by all that goes into the bundle and its metrics, not the thresholds.

    Parameters
    ----------
    spec
        The stage's spec.
    options
        How to connect to the base voice, which is read if the spec has no digest of it.

    Returns
    -------
    str
        Key in the artifacts.
    """
    base = spec.base.sha256 or hash_base_manifest(spec.base, options)
    if isinstance(spec, ReleaseSpec):
        digests = [spec.dataset_digest, spec.features_digest, spec.checkpoint_digest, base]
    else:
        digests = [base, f"naturalness: {spec.evaluation.min_naturalness is not None}"]
    parts = [METRICS_VERSION, spec.name, spec.base.uri, *digests, *spec.evaluation.sentences]
    return f"candidates/{short_hash(json.dumps(parts), 32)}.json"


def _read_candidate(storage: Storage, key: str) -> tuple[str, dict[str, float]] | None:
    """Return revision and metrics of an earlier release of the same inputs, if they are still what is published.

    What was measured of a base voice is replaced when other sentences are measured of the same bundle.
    """
    if not storage.exists(key):
        return None
    try:
        candidate = json.loads(storage.read(key))
        revision, metrics = str(candidate["revision"]), {str(k): float(v) for k, v in candidate["metrics"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KubeVoiceError(f"{storage.uri}/{key} is damaged; delete it and release again") from None
    measured = _read_measured(storage, revision)
    replaced = measured is not None and measured.metrics != metrics
    return (revision, metrics) if published_digest(storage, bundle_prefix(revision)) and not replaced else None


def _build(spec: ReleaseSpec | BaseVoiceReleaseSpec, context: Context) -> tuple[Bundle, VoiceMeasurement]:
    """Make and measure the bundle in the working directory."""
    if not isinstance(spec, ReleaseSpec):
        return build_base_bundle(spec, context)
    from kubevoice_training.stages.trained_bundle import build_trained_bundle  # needs torch

    return build_trained_bundle(spec, context)


def release(spec: ReleaseSpec | BaseVoiceReleaseSpec, context: Context) -> ReleaseResult:
    """Make, measure and publish a bundle, unless an earlier release has, and apply the quality gate.

    Parameters
    ----------
    spec
        The stage's spec: for a checkpoint, or for the base voice as it is.
    context
        What the stage runs with.

    Returns
    -------
    ReleaseResult
        The revision, its metrics, and the result of the quality gate.

    Raises
    ------
    InputError
        If the checkpoint, the features or the base voice are not what the spec's digests say, or cannot be used.
    KubeVoiceError
        If an exported graph differs from the network.
    """
    key = name_candidate(spec, context.options)
    candidate = _read_candidate(context.artifacts, key)
    if candidate is None:
        bundle, measurement = _build(spec, context)
        publish_measured_bundle(spec.name, bundle, measurement, context)
        candidate = bundle.digest, measurement.metrics
        body = json.dumps({"revision": candidate[0], "metrics": candidate[1]}, sort_keys=True)
        context.artifacts.write(key, body.encode())
    revision, metrics = candidate
    measured = _read_measured(context.artifacts, revision)
    result, failures = check_quality_gate(metrics, spec.evaluation, measured.missing if measured else None)
    if measured is not None:
        page = render_evaluation_page(measured, revision, spec.evaluation, result, failures)
        context.artifacts.write(f"{bundle_prefix(revision)}/{REPORT}", page.encode())
    context.progress.report(1, 1)
    return ReleaseResult(
        revision=revision,
        uri=f"{context.artifacts.uri}/{bundle_prefix(revision)}",
        metrics={name: metrics[name] for name in GATE_METRICS if name in metrics},
        verdict=result,
        failures=failures,
    )
