"""How natural a fine-tuned voice sounds, beside the base voice it comes from.

The base voice synthesizes the same texts: as the speaker of the same name or, if it has none, as its first speaker,
from which a new speaker's fine-tuning starts; in the same emotion or, if it has none of that name, in its default one.
"""

from collections.abc import Sequence

from kubevoice.digests import hash_text
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.errors import InputError
from kubevoice.resources.voicemodel import BaseVoice
from kubevoice.text import LEXICON_FILE, ReadingOptions
from kubevoice.voice import GRAPHS, Bundle, VoiceManifest

from kubevoice_training.evaluation.naturalness import rate_naturalness
from kubevoice_training.evaluation.voice_metrics import SynthesizedClip, select_rated_clips
from kubevoice_training.stages.base_voice import parse_base_manifest, read_base_manifest
from kubevoice_training.stages.base_weights import fetch_base_files
from kubevoice_training.stages.context import Context

__all__ = ["measure_naturalness_loss"]


def _load_base(base: BaseVoice, context: Context) -> Engine:
    body = read_base_manifest(base, context.options)
    manifest = parse_base_manifest(base, body)
    names = [*GRAPHS, *(name for name in (LEXICON_FILE,) if name in manifest.files)]
    folder = context.fresh_folder("base")
    fetch_base_files(base, manifest, names, folder, context)
    return Engine(Bundle(folder, manifest, f"sha256:{hash_text(body)}"))


def _choose_controls(clip: SynthesizedClip, voice: VoiceManifest, base: VoiceManifest) -> Controls:
    speaker = clip.utterance.speaker if clip.utterance else voice.speakers[0]
    emotion = clip.utterance.emotion if clip.utterance else None
    return Controls(
        speaker=speaker if speaker in base.speakers else None,
        emotion=emotion if emotion in {known.label for known in base.emotions} else None,
    )


def measure_naturalness_loss(
    engine: Engine, clips: Sequence[SynthesizedClip], naturalness: float, base: BaseVoice, context: Context
) -> tuple[dict[str, float], dict[str, str]]:
    """Rate how much less natural a voice sounds than its base voice.

    Parameters
    ----------
    engine : The voice.
    clips : What it synthesized.
    naturalness : Its rating, from `compute_metrics`.
    base : The base voice.
    context : What the stage runs with.

    Returns
    -------
    metrics : naturalnessLoss, the base voice's naturalness minus the voice's.
    missing : why it was not measured, if it was not.

    Raises
    ------
    InputError
        If the base voice is damaged.
    """
    base_engine = _load_base(base, context)
    options = ReadingOptions(engine.front_end_config.lexicon)
    try:
        spoken = [
            synthesize_text(
                base_engine, clip.text, _choose_controls(clip, engine.manifest, base_engine.manifest), options=options
            )
            for clip in select_rated_clips(clips)
        ]
    except InputError as error:
        return {}, {"naturalnessLoss": f"the base voice cannot synthesize the same texts: {error}"}
    return {"naturalnessLoss": rate_naturalness(spoken, base_engine.sample_rate) - naturalness}, {}
