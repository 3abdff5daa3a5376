"""Stage three: a checkpoint in; out comes a voice bundle, exported and measured, and the result of the quality gate.

Export and measurement depend on the checkpoint, not on the thresholds, so they are kept apart from the quality gate:
another threshold is compared with the metrics of the same bundle within seconds. A page with both is written beside
the bundle.
"""

import json
import shutil
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path

import soundfile
from kubevoice.digests import short_hash
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.errors import KubeVoiceError
from kubevoice.resources.stages import ReleaseResult, ReleaseSpec
from kubevoice.storage import S3Options, Storage, publish_tree, published_digest
from kubevoice.text import LEXICON_FILE
from kubevoice.voice import Bundle, Emotion, VoiceManifest, VoiceStats, seal_bundle

from kubevoice_training.evaluation.emotion_samples import write_emotion_samples
from kubevoice_training.evaluation.report import MEASURED, REPORT, EvaluationReport, build_report, read_report
from kubevoice_training.evaluation.voice_metrics import (
    SynthesizedClip,
    analyze_clip,
    check_quality_gate,
    compute_metrics,
    recognize_clips,
)
from kubevoice_training.export.equivalence import measure_export_differences
from kubevoice_training.export.onnx_export import TOLERANCE, export_graphs
from kubevoice_training.features.feature_store import FeatureSet, Utterance
from kubevoice_training.pages.evaluation import render_evaluation_page
from kubevoice_training.stages.base_comparison import measure_naturalness_loss
from kubevoice_training.stages.context import (
    Context,
    fetch_base_manifest,
    fetch_features,
    fetch_folder,
    hash_base_manifest,
)
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights

__all__ = ["GATE_METRICS", "release", "write_voice"]

MEASURED_CLIPS = 16
"""Clips compared with their recordings and recognized: enough to detect a broken voice, few enough for a CPU."""
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


def write_voice(weights: VoiceWeights, folder: Path) -> VoiceManifest:
    """Export the graphs of a voice and copy the unit tables.

    Parameters
    ----------
    weights
        The trained networks, with their labels, statistics and mel settings.
    folder
        Where the files are written; it exists and has no folder `units`.

    Returns
    -------
    VoiceManifest
        The manifest; name and provenance are still to be set.

    Raises
    ------
    KubeVoiceError
        If an exported graph differs too much from torch.
    """
    differences = export_graphs(weights.acoustic, weights.vocoder, folder)
    (units := folder / "units").mkdir()
    for table in ("vocab_PinYin.tsv", "pinyin_to_phones.txt"):
        with resources.as_file(resources.files("kubevoice.text") / "tables" / table) as path:
            shutil.copyfile(path, units / table)
    config, stats = weights.acoustic.config, weights.stats
    return VoiceManifest(
        name="voice",
        sample_rate=weights.mel.sample_rate,
        hop=weights.mel.hop_length,
        mels=config.n_mels,
        outputs_per_step=config.outputs_per_step,
        speakers=tuple(sorted(weights.speakers, key=lambda name: weights.speakers[name])),
        speaker_rows=config.speakers,
        emotions=tuple(Emotion(label=label, id=row) for label, row in weights.emotions.items()),
        emotion_rows=config.emotions,
        vocoder_context=weights.vocoder.config.receptive_field,
        stats=VoiceStats(
            pitch_mean=stats.pitch_mean,
            pitch_std=stats.pitch_std,
            energy_mean=stats.energy_mean,
            energy_std=stats.energy_std,
        ),
        export_max_abs_diff={name: float(f"{value:.2g}") for name, value in differences.items()},
    )


def _select_clips(features: FeatureSet) -> tuple[Utterance, ...]:
    """Select held-out clips, or training clips if there are none: those only show whether the voice is broken."""
    dev = [u for u in features.utterances if u.dev]
    return tuple((dev or list(features.utterances))[:MEASURED_CLIPS])


def _synthesize(
    engine: Engine, features: FeatureSet, sentences: tuple[str, ...], context: Context
) -> tuple[list[SynthesizedClip], float]:
    """Synthesize the clips to compare and the user's sentences, recognise them, and measure the real-time factor."""
    clips = _select_clips(features)
    requests: list[tuple[str, Controls, Utterance | None]]
    requests = [(u.text, Controls(speaker=u.speaker, emotion=u.emotion), u) for u in clips]
    requests += [(text, Controls(), None) for text in sentences]
    began = time.perf_counter()
    audio = [synthesize_text(engine, text, controls) for text, controls, _ in requests]
    factor = (time.perf_counter() - began) * engine.sample_rate / max(1, sum(map(len, audio)))
    # The sentences the user chose, or else the clips: short words are hard to recognise without context.
    first = len(clips) if sentences else 0
    transcripts = [None] * first + recognize_clips(audio[first:], engine.sample_rate, context.progress.report)
    synthesized = [
        replace(analyze_clip(text, samples, features.mel, utterance), transcript=transcript)
        for (text, _, utterance), samples, transcript in zip(requests, audio, transcripts, strict=True)
    ]
    return synthesized, factor


def _measure_differences(bundle: Bundle, weights: VoiceWeights) -> dict[str, float]:
    """Return each graph's largest difference from torch over ten texts; KubeVoiceError if one is too large."""
    differences = measure_export_differences(bundle, weights).onnx
    for name, value in differences.items():
        if not value <= TOLERANCE:
            raise KubeVoiceError(f"exported {name} differs from torch by {value:.2g} on real text; not released")
    return {name: float(f"{value:.2g}") for name, value in differences.items()}


def _build(spec: ReleaseSpec, context: Context) -> tuple[str, dict[str, float]]:
    """Export, measure and publish; return the revision and its metrics."""
    features = fetch_features(spec.features_uri, spec.features_digest, context)
    checkpoint = fetch_folder(spec.checkpoint_uri, spec.checkpoint_digest, context.workdir / "weights", context.options)
    weights = load_weights(checkpoint)
    base = fetch_base_manifest(spec.base, context.options)
    folder = context.fresh_folder("bundle")
    shutil.copytree(checkpoint, folder / "checkpoint")
    if features.lexicon:
        (folder / LEXICON_FILE).write_text(features.lexicon, encoding="utf-8")
    manifest = write_voice(weights, folder).model_copy(
        update={
            "name": spec.name,
            "base": spec.base.uri,
            "english": base.english,
            "dataset_digest": spec.dataset_digest,
            "training": {"checkpoint": spec.checkpoint_digest},
            "attribution": tuple(dict.fromkeys(features.attribution + base.attribution)),
        }
    )
    bundle = seal_bundle(folder, manifest)
    measured = _measure_differences(bundle, weights)
    differences = {name: max(value, manifest.export_max_abs_diff[name]) for name, value in measured.items()}
    manifest = manifest.model_copy(update={"export_max_abs_diff": differences})
    engine = Engine(bundle)
    metrics = write_emotion_samples(engine, folder / "samples")
    synthesized, factor = _synthesize(engine, features, spec.evaluation.sentences, context)
    values, missing = compute_metrics(synthesized, features.mel)
    if "naturalness" in values:
        loss, unmeasured = measure_naturalness_loss(engine, synthesized, values["naturalness"], spec.base, context)
        values, missing = values | loss, missing | unmeasured
    metrics |= {name: float(f"{value:.4g}") for name, value in ({"realTimeFactor": factor} | values).items()}
    bundle = seal_bundle(folder, manifest.model_copy(update={"metrics": metrics}))
    publish_tree(folder, context.artifacts, _bundle_prefix(bundle.digest))
    samples = {path.stem: soundfile.read(path, dtype="float32")[0] for path in sorted((folder / "samples").iterdir())}
    report = build_report(
        spec.name, synthesized, features.mel, (metrics, missing), samples, manifest.export_max_abs_diff
    )
    # Beside the bundle's files but not among them: a page must not change a revision.
    context.artifacts.write(f"{_bundle_prefix(bundle.digest)}/{MEASURED}", report.model_dump_json().encode())
    return bundle.digest, metrics


def _read_measured(storage: Storage, revision: str) -> EvaluationReport | None:
    key = f"{_bundle_prefix(revision)}/{MEASURED}"
    return read_report(storage.read(key)) if storage.exists(key) else None


def _bundle_prefix(revision: str) -> str:
    return f"bundles/{revision.removeprefix('sha256:')}"


def name_candidate(spec: ReleaseSpec, options: S3Options) -> str:
    """Return the key of what a release builds: by all that goes into the bundle and its metrics, not the thresholds.

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
    digests = [spec.dataset_digest, spec.features_digest, spec.checkpoint_digest, base]
    parts = [METRICS_VERSION, spec.name, spec.base.uri, *digests, *spec.evaluation.sentences]
    return f"candidates/{short_hash(json.dumps(parts), 32)}.json"


def _read_candidate(storage: Storage, key: str) -> tuple[str, dict[str, float]] | None:
    """Return what an earlier release of the same checkpoint made, if its bundle is still there."""
    if not storage.exists(key):
        return None
    try:
        candidate = json.loads(storage.read(key))
        revision, metrics = str(candidate["revision"]), {str(k): float(v) for k, v in candidate["metrics"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KubeVoiceError(f"{storage.uri}/{key} is damaged; delete it and release again") from None
    return (revision, metrics) if published_digest(storage, _bundle_prefix(revision)) else None


def release(spec: ReleaseSpec, context: Context) -> ReleaseResult:
    """Build the bundle of a checkpoint, unless an earlier release has, and apply the quality gate.

    Parameters
    ----------
    spec
        The stage's spec.
    context
        What the stage runs with.

    Returns
    -------
    ReleaseResult
        The revision, its metrics, and the result of the quality gate.

    Raises
    ------
    InputError
        If the checkpoint or the features are not what the spec's digests say.
    KubeVoiceError
        If an exported graph differs from the network.
    """
    key = name_candidate(spec, context.options)
    candidate = _read_candidate(context.artifacts, key)
    if candidate is None:
        candidate = _build(spec, context)
        body = json.dumps({"revision": candidate[0], "metrics": candidate[1]}, sort_keys=True)
        context.artifacts.write(key, body.encode())
    revision, metrics = candidate
    measured = _read_measured(context.artifacts, revision)
    result, failures = check_quality_gate(metrics, spec.evaluation, measured.missing if measured else None)
    if measured is not None:
        page = render_evaluation_page(measured, revision, spec.evaluation, result, failures)
        context.artifacts.write(f"{_bundle_prefix(revision)}/{REPORT}", page.encode())
    context.progress.report(1, 1)
    return ReleaseResult(
        revision=revision,
        uri=f"{context.artifacts.uri}/{_bundle_prefix(revision)}",
        metrics={name: metrics[name] for name in GATE_METRICS if name in metrics},
        verdict=result,
        failures=failures,
    )
