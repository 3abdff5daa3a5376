"""spec.training: how a voice is fine-tuned and where."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from kubevoice.resources.quantity import QUANTITY
from kubevoice.resources.schema import DNS_NAME, Part, cel, list_type

__all__ = ["Pods", "Precision", "Recipe", "Schedule", "Training", "VocoderMode", "VocoderSpec"]


def _check_amount(amount: float | str) -> int | float | str:
    if not re.fullmatch(QUANTITY, str(amount)):
        raise ValueError("must be an amount above 0, such as 2, 500m or 4Gi")
    return amount


Name = Annotated[str, Field(max_length=253, pattern=rf"^{DNS_NAME}$")]
LabelKey = Annotated[str, Field(max_length=317, pattern=rf"^({DNS_NAME}/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$")]
Amount = Annotated[
    int | float | str,
    AfterValidator(_check_amount),
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": QUANTITY}
    ),
]
RECIPE_RULES = (
    ("self.warmupSteps <= self.maxSteps", "warmupSteps must not exceed maxSteps"),
    (
        "!has(self.earlyStopPatience) || self.devFraction > 0.0",
        "earlyStopPatience needs clips to measure on: a devFraction above 0",
    ),
)


class Schedule(StrEnum):
    """Learning rate schedule after warm-up."""

    COSINE = "Cosine"
    CONSTANT = "Constant"


class Precision(StrEnum):
    """Number format of training."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class VocoderMode(StrEnum):
    """What happens to the vocoder."""

    FROZEN = "Frozen"
    FINE_TUNE = "FineTune"


class VocoderSpec(Part):
    """The vocoder's part in the training."""

    mode: VocoderMode = Field(
        VocoderMode.FROZEN, description="Frozen keeps the base's vocoder; FineTune trains it on the recordings too."
    )
    max_steps: int = Field(1000, ge=1, le=10_000_000, description="Optimiser steps of the vocoder when fine-tuned.")


class Pods(Part):
    """Where pods run; shared by training and serving."""

    image: str | None = Field(
        None,
        max_length=512,
        pattern=r"^[A-Za-z0-9]\S*$",
        description="Container image; the operator's default if unset.",
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Labels a node must have."
    )
    tolerations: tuple[dict[str, Any], ...] = Field(
        (),
        max_length=16,
        description="Taints the pods tolerate, as in a pod spec.",
        json_schema_extra=list_type("atomic"),
    )


class Recipe(Part):
    """The settings that decide the result of a fine-tuning."""

    max_steps: int = Field(10_000, ge=1, le=10_000_000, description="Optimiser steps in all.")
    batch_size: int = Field(16, ge=1, le=1024, description="Clips a step.")
    learning_rate: float = Field(2e-5, gt=0, le=1, description="Highest learning rate.")
    schedule: Schedule = Field(Schedule.COSINE, description="Learning rate schedule after warm-up.")
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Steps of linear warm-up.")
    max_gradient_norm: float = Field(
        1.0, ge=0, le=1_000_000, description="Largest gradient norm of a step; larger ones are clipped. 0 clips none."
    )
    save_every: int = Field(
        1000, ge=1, le=1_000_000, description="Steps between checkpoints, each with an evaluation on the dev set."
    )
    sample_every: int = Field(1000, ge=1, le=1_000_000, description="Steps between audio samples.")
    dev_fraction: float = Field(
        0.05, ge=0, le=0.5, description="Share of clips held out as the dev set, which chooses the best step."
    )
    early_stop_patience: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Evaluations without a lower dev loss after which training ends early; never if unset.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of everything random.")
    trainable: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = Field(
        ("emotion_embedding", "decoder.last"),
        min_length=1,
        max_length=64,
        description="What may change: named groups (all, emotion_embedding, speaker_embedding, text_encoder, "
        "variance_adaptor, decoder, decoder.last, postnet, aligner) or glob patterns over parameter names.",
        json_schema_extra=list_type("set"),
    )
    vocoder: VocoderSpec = Field(VocoderSpec(), description="The vocoder's part in the training.")
    precision: Precision = Field(Precision.AUTO, description="Number format; auto is bf16 where the GPU has it.")

    model_config = Part.model_config | {"json_schema_extra": cel(*RECIPE_RULES)}


class Training(Pods, Recipe):
    """How the voice is fine-tuned and where."""

    nodes: int = Field(1, ge=1, le=64, description="Pods of a distributed training.")
    gpus_per_node: int = Field(1, ge=0, le=16, description="GPUs of each pod; 0 trains on the CPU.")
    resources: dict[Literal["requests", "limits"], dict[LabelKey, Amount]] = Field(
        default_factory=dict,
        max_length=2,
        description="Requests and limits of each pod, as in a pod spec.",
    )
    queue_name: Name | None = Field(None, description="Kueue LocalQueue that admits the Jobs.")
    priority_class_name: Name | None = Field(None, description="Priority class of the pods.")
    backoff_limit: int = Field(3, ge=0, le=100, description="Retries of each Job before it counts as failed.")
    active_deadline_seconds: int = Field(86_400, ge=60, le=31_536_000, description="Longest time each Job may take.")
    suspend: bool = Field(
        False, description="Suspend the Jobs: training saves a checkpoint and stops until this is false."
    )

    model_config = Part.model_config | {
        "json_schema_extra": cel(
            *RECIPE_RULES,
            ("self.nodes == 1 || self.gpusPerNode > 0", "several nodes need at least one GPU each"),
        )
    }

    def recipe(self) -> Recipe:
        """Select the settings that decide the result. Where a training runs does not change its result.

        Returns
        -------
        Recipe
            The settings.
        """
        return Recipe.model_validate(self.model_dump(include=set(Recipe.model_fields)))
