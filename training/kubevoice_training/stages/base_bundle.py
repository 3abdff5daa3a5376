"""The base voice as a revision: its bundle byte by byte, and what can be measured of it without recordings."""

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Engine
from kubevoice.errors import InputError
from kubevoice.resources.stages import BaseVoiceReleaseSpec
from kubevoice.voice import Bundle

from kubevoice_training.evaluation.emotion_samples import SAMPLE_TEXT, EmotionSamples, write_emotion_samples
from kubevoice_training.evaluation.report import MEASURED, REPORT
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.stages.base_voice import fetch_base_bundle
from kubevoice_training.stages.context import Context
from kubevoice_training.stages.measurement import ClipRequest, VoiceMeasurement, measure_voice

__all__ = ["build_base_bundle"]

PUBLISHED_BESIDE = ("manifest.json", MEASURED, REPORT)


def build_base_bundle(spec: BaseVoiceReleaseSpec, context: Context) -> tuple[Bundle, VoiceMeasurement]:
    """Fetch, check and measure the base voice.

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
        What was measured of it: without sentences there is nothing to recognize, and naturalness, which needs torch, is
        rated if it has a threshold.

    Raises
    ------
    InputError
        If there is no bundle, it is damaged, it is not the one that is pinned, or it does not synthesize.
    """
    bundle = fetch_base_bundle(spec.base, context, PUBLISHED_BESIDE)
    engine, samples = _try_voice(bundle, spec.base.uri, context)
    sentences = spec.evaluation.sentences
    requests = [ClipRequest(text, recognize=bool(sentences)) for text in sentences or (SAMPLE_TEXT,)]
    mel = MelConfig(sample_rate=engine.sample_rate, hop_length=engine.manifest.hop)
    rated = spec.evaluation.min_naturalness is not None
    measurement = measure_voice(engine, requests, mel, samples, context, naturalness=rated)
    for clip in measurement.clips:
        if not (np.isfinite(clip.audio).all() and clip.audio.any()):
            raise InputError(f"spec.base.uri: the voice {spec.base.uri} is silent or broken in {clip.text!r}")
    return bundle, measurement


def _try_voice(bundle: Bundle, uri: str, context: Context) -> tuple[Engine, EmotionSamples]:
    """Load the graphs and synthesize in every emotion; InputError if they cannot be used."""
    try:
        engine = Engine(bundle)
        return engine, write_emotion_samples(engine, context.fresh_folder("samples"))
    except (OSError, Interrupted):
        raise  # not the voice's fault
    except Exception as error:  # the graphs may be any, and ONNX Runtime's exceptions have no common base
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"spec.base.uri: the graphs of {uri} cannot be synthesized with ({reason}); fetch the base voice again, or "
            "name another"
        ) from error
