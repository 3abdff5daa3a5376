"""From a checkpoint to a bundle: graphs that are exported and compared with torch, and what was measured of them."""

import shutil
from importlib import resources
from pathlib import Path

from kubevoice.engine import Controls, Engine
from kubevoice.errors import KubeVoiceError
from kubevoice.resources.stages import ReleaseSpec
from kubevoice.text import LEXICON_FILE
from kubevoice.voice import Bundle, Emotion, VoiceManifest, VoiceStats, seal_bundle

from kubevoice_training.evaluation.emotion_samples import write_emotion_samples
from kubevoice_training.export.equivalence import measure_export_differences
from kubevoice_training.export.onnx_export import TOLERANCE, export_graphs
from kubevoice_training.features.feature_store import FeatureSet, Utterance
from kubevoice_training.stages.base_comparison import measure_naturalness_loss
from kubevoice_training.stages.base_voice import fetch_base_manifest
from kubevoice_training.stages.context import Context, fetch_features, fetch_folder
from kubevoice_training.stages.measurement import ClipRequest, VoiceMeasurement, measure_voice
from kubevoice_training.voice_checkpoint import VoiceWeights, load_weights

__all__ = ["build_trained_bundle", "write_voice"]

MEASURED_CLIPS = 16
"""Clips compared with their recordings and recognized: enough to detect a broken voice, few enough for a CPU."""


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


def _list_requests(features: FeatureSet, sentences: tuple[str, ...]) -> list[ClipRequest]:
    """List the clips to compare and the user's sentences.

    The sentences are recognized, or else the clips: short words are hard to recognize without context.
    """
    return [
        *(
            ClipRequest(u.text, Controls(speaker=u.speaker, emotion=u.emotion), u, recognize=not sentences)
            for u in _select_clips(features)
        ),
        *(ClipRequest(text) for text in sentences),
    ]


def _measure_differences(bundle: Bundle, weights: VoiceWeights) -> dict[str, float]:
    """Return each graph's largest difference from torch over ten texts; KubeVoiceError if one is too large."""
    differences = measure_export_differences(bundle, weights).onnx
    for name, value in differences.items():
        if not value <= TOLERANCE:
            raise KubeVoiceError(f"exported {name} differs from torch by {value:.2g} on real text; not released")
    return {name: float(f"{value:.2g}") for name, value in differences.items()}


def build_trained_bundle(spec: ReleaseSpec, context: Context) -> tuple[Bundle, VoiceMeasurement]:
    """Export and measure a checkpoint.

    Parameters
    ----------
    spec
        The stage's spec.
    context
        What the stage runs with.

    Returns
    -------
    bundle
        The bundle, in the working directory.
    measurement
        What was measured of it.

    Raises
    ------
    InputError
        If the checkpoint or the features are not what the spec's digests say.
    KubeVoiceError
        If an exported graph differs from the network.
    """
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
    requests = _list_requests(features, spec.evaluation.sentences)
    engine = Engine(bundle)
    samples = write_emotion_samples(engine, folder / "samples")
    measurement = measure_voice(engine, requests, features.mel, samples, context)
    if (rating := measurement.metrics.get("naturalness")) is not None:
        measurement = measurement.with_metrics(
            *measure_naturalness_loss(engine, measurement.clips, rating, spec.base, context)
        )
    update = {"export_max_abs_diff": differences, "metrics": measurement.metrics}
    return seal_bundle(folder, manifest.model_copy(update=update)), measurement
