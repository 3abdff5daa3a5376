"""What a VoiceModel cannot ask for without a dataset: rules over its spec, in CEL."""

from typing import Final

from kubevoice.resources.schema import build_default_rule
from kubevoice.resources.training import Recipe, Training

__all__ = ["DATASET_RULES"]

TRAINING_FIELDS = (*Recipe.model_fields, "nodes", "gpus_per_node", "resources")
"""Fields of spec.training that only a fine-tuning reads; the release Job has the others."""
COMPARED = ("minSpeakerSimilarity", "maxNaturalnessLoss", "maxMelCepstralDistortion", "maxF0Rmse")
"""Thresholds of metrics that compare the voice with recordings or with its base."""


def _build_training_rule() -> tuple[str, str]:
    defaults = Training().model_dump(mode="json", by_alias=True, include=set(TRAINING_FIELDS))
    message = f"without a dataset nothing is trained: remove {', '.join(defaults)} from training, or set dataset"
    return build_default_rule("has(self.dataset)", defaults, "self.training"), message


DATASET_RULES: Final = (
    _build_training_rule(),
    (
        f"has(self.dataset) || !({' || '.join(f'has(self.evaluation.{name})' for name in COMPARED)})",
        f"without a dataset there is nothing to compare with: remove {', '.join(COMPARED)}, or set dataset",
    ),
    (
        "has(self.dataset) || !has(self.evaluation.maxPinyinErrorRate) || size(self.evaluation.sentences) > 0",
        "without a dataset maxPinyinErrorRate needs evaluation.sentences, which are recognized",
    ),
)
"""Pairs of a rule over the spec and its message."""
