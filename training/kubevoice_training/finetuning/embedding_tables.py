"""The speaker and emotion tables of a base voice, rebuilt for a dataset's labels before fine-tuning."""

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

__all__ = ["add_dataset_stats", "remap_embeddings"]

FREE_EMOTIONS = tuple(label for label in EMOTIONS if label.startswith("placeholder"))


def assign_emotion_rows(known: dict[str, int], labels: Sequence[str]) -> dict[str, int]:
    """Assign each emotion a row of the emotion table.

    That is the base voice's own row, else the row that the reference has for the label, else the next free
    placeholder.

    Parameters
    ----------
    known
        The base voice's rows by label.
    labels
        The dataset's labels.

    Returns
    -------
    dict
        Rows by label.

    Raises
    ------
    InputError
        If there are more new labels than placeholders.
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


def add_dataset_stats(base: VoiceWeights, features: FeatureSet) -> VoiceWeights:
    """Return the base voice with statistics to normalise by: its own or, if it has none, the dataset's.

    Parameters
    ----------
    base
        The voice to start from; it is not changed.
    features
        The dataset.

    Returns
    -------
    VoiceWeights
        The base itself if it has statistics, else a copy with those of the clips that are trained on.

    Raises
    ------
    InputError
        If the features' mels are not computed as the base voice's are.
    """
    if features.mel != base.mel:
        raise InputError(
            f"the base voice has mels of {base.mel.sample_rate} Hz with a hop of {base.mel.hop_length}, but the "
            f"features have {features.mel.sample_rate} Hz and a hop of {features.mel.hop_length}; name another base"
        )
    if base.measured:
        return base
    clips = [utterance.features for utterance in features.utterances if not utterance.dev]
    # An imported voice learnt from pitch whose mean and deviation count unvoiced frames as 0 Hz.
    f0 = np.concatenate([clip.f0 for clip in clips]).astype(np.float64)
    stats = replace(measure_stats(clips), pitch_mean=float(f0.mean()), pitch_std=float(f0.std()))
    return replace(base, stats=stats, measured=True)


def _with_speaker_rows(model: Sambert, speakers: int) -> Sambert:
    """Return a copy of a model with `speakers` rows in its speaker table, which the caller fills."""
    other = Sambert(replace(model.config, speakers=speakers))
    state = {name: value for name, value in model.state_dict().items() if name != "spk_tokenizer.weight"}
    other.load_state_dict(state, strict=False)
    return other


def remap_embeddings(base: VoiceWeights, speakers: Sequence[str], emotions: Sequence[str]) -> VoiceWeights:
    """Return a copy of a base voice whose embedding tables have the dataset's speakers and emotions.

    A speaker that the base has keeps its embedding, a new one starts as the base's first. An emotion that the base was
    not trained with starts as neutral, which is closer to any speech than a random vector.

    Parameters
    ----------
    base
        The voice to start from.
    speakers, emotions
        The dataset's labels.

    Returns
    -------
    VoiceWeights
        The voice to train. It shares the vocoder with the base.

    Raises
    ------
    InputError
        If there are more emotions than rows.
    """
    old = base.acoustic.spk_tokenizer.weight
    # Tables end with rows for padding, end of sentence and, but in old voices, mask; one of a personal voice has none.
    special = list(range(len(base.speakers), len(old)))
    acoustic = _with_speaker_rows(base.acoustic, len(speakers) + len(special))
    rows = assign_emotion_rows(base.emotions, emotions)
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
