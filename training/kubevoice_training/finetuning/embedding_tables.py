"""Fitting a base voice to a dataset's speakers and emotions before fine-tuning."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from kubevoice.errors import InputError
from kubevoice.text import EMOTIONS

from kubevoice_training.features.acoustic_features import measure_stats
from kubevoice_training.features.feature_store import FeatureSet
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.voice_checkpoint import VoiceWeights

__all__ = ["adapt", "fit_to"]

FREE_EMOTIONS = tuple(label for label in EMOTIONS if label.startswith("placeholder"))


def emotion_rows(known: dict[str, int], labels: Sequence[str]) -> dict[str, int]:
    """Give each label a row: the base's own, the reference's of that name, or the next free placeholder.

    Raises InputError when the placeholders run out.
    """
    rows: dict[str, int] = {}
    taken = set(known.values())
    for label in labels:
        if label in known:
            rows[label] = known[label]
            continue
        free = [EMOTIONS.index(name) for name in FREE_EMOTIONS if EMOTIONS.index(name) not in taken]
        if label in EMOTIONS:
            rows[label] = EMOTIONS.index(label)
        elif free:
            rows[label] = free[0]
        else:
            raise InputError(
                f"emotion {label!r} has no row left: a voice takes {len(FREE_EMOTIONS)} emotions beyond the "
                "reference's; map labels to known ones with spec.dataset.emotions"
            )
        taken.add(rows[label])
    return rows


def fit_to(base: VoiceWeights, features: FeatureSet) -> VoiceWeights:
    """Return `base` with the features' statistics if it does not know what it was normalised by.

    Raises InputError if the features were not made as the base's mel is.
    """
    if features.mel != base.mel:
        raise InputError(
            f"the base voice speaks mels of {base.mel.sample_rate} Hz with a hop of {base.mel.hop_length}, but the "
            f"features have {features.mel.sample_rate} Hz and a hop of {features.mel.hop_length}; name another base"
        )
    if base.measured:
        return base
    clips = [utterance.features for utterance in features.utterances if not utterance.dev]
    # Such a voice learnt from pitch whose mean and deviation count unvoiced frames as 0 Hz.
    f0 = np.concatenate([clip.f0 for clip in clips]).astype(np.float64)
    stats = replace(measure_stats(clips), pitch_mean=float(f0.mean()), pitch_std=float(f0.std()))
    return replace(base, stats=stats, measured=True)


def _reshaped(model: Sambert, speakers: int) -> Sambert:
    """Make a model of the same sizes and weights but for its speaker table, which is left to the caller."""
    other = Sambert(replace(model.config, speakers=speakers))
    state = {name: value for name, value in model.state_dict().items() if name != "spk_tokenizer.weight"}
    other.load_state_dict(state, strict=False)
    return other


def adapt(base: VoiceWeights, speakers: Sequence[str], emotions: Sequence[str]) -> VoiceWeights:
    """Return a copy of `base` that speaks as the dataset's speakers and emotions.

    A speaker the base knows keeps its embedding, a new one starts as the base's first. An emotion the base was not
    taught starts as neutral, so that training moves it away from a voice that speaks. Raises InputError for more
    emotions than a voice has rows for.
    """
    old = base.acoustic.spk_tokenizer.weight
    # Tables end with rows for padding, end of sentence and, but in old voices, mask; one of a personal voice has none.
    special = list(range(len(base.speakers), len(old)))
    acoustic = _reshaped(base.acoustic, len(speakers) + len(special))
    rows = emotion_rows(base.emotions, emotions)
    with torch.no_grad():
        table = acoustic.spk_tokenizer.weight
        table.copy_(old[[base.speakers.get(name, 0) for name in speakers] + special])
        neutral = base.emotions.get("neutral", EMOTIONS.index("neutral"))
        for label, row in rows.items():
            if label not in base.emotions:
                acoustic.emo_tokenizer.weight[row].copy_(acoustic.emo_tokenizer.weight[neutral])
    return VoiceWeights(
        acoustic=acoustic,
        vocoder=base.vocoder,
        mel=base.mel,
        stats=base.stats,
        speakers={name: i for i, name in enumerate(speakers)},
        emotions=rows,
        measured=base.measured,
    )
