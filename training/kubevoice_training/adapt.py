"""Fitting a base voice to a dataset's speakers and emotions before fine-tuning."""

from collections.abc import Sequence

import torch
from kubevoice.errors import InputError
from kubevoice.text import EMOTIONS

from kubevoice_training.checkpoint import VoiceWeights
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.sambert import Sambert

__all__ = ["adapt"]

SPECIAL_ROWS = 3
"""Every table of the reference ends with rows for padding, end of sentence and mask."""
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


def _reshaped(model: Sambert, speakers: int) -> Sambert:
    """Make a model of the same sizes and weights but for its speaker table, which is left to the caller."""
    config = model.config
    fields = {name: getattr(config, name) for name in config.__slots__} | {"speakers": speakers}
    other = Sambert(SambertConfig(**fields))
    state = {name: value for name, value in model.state_dict().items() if name != "spk_tokenizer.weight"}
    other.load_state_dict(state, strict=False)
    return other


def adapt(base: VoiceWeights, speakers: Sequence[str], emotions: Sequence[str]) -> VoiceWeights:
    """Return a copy of `base` that speaks as the dataset's speakers and emotions.

    A speaker the base knows keeps its embedding, a new one starts as the base's first. An emotion the base was not
    taught starts as neutral, so that training moves it away from a voice that speaks.
    """
    acoustic = _reshaped(base.acoustic, len(speakers) + SPECIAL_ROWS)
    rows = emotion_rows(base.emotions, emotions)
    with torch.no_grad():
        old, table = base.acoustic.spk_tokenizer.weight, acoustic.spk_tokenizer.weight
        table.copy_(old[[base.speakers.get(name, 0) for name in speakers] + [-3, -2, -1]])
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
    )
