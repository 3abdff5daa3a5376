"""Specs and results of the stages: the interface between the operator and the Job containers.

A stage is a pure function of its spec. Specs name their inputs by content (digests), so the hash of a spec names the
Job that runs it and the prefix of its output. Where an input is does not count if its digest is known. Results are
returned as the container's termination message, which Kubernetes limits to 4096 bytes.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from kubevoice.digests import DIGEST_PATTERN, canonical_json, short_hash
from kubevoice.resources.training import Recipe
from kubevoice.resources.voicemodel import BaseVoice, Dataset, Evaluation, StorageSpec
from kubevoice.validation import CamelModel

__all__ = [
    "BaseVoiceReleaseSpec",
    "CollectResult",
    "CollectSpec",
    "GateResult",
    "PrepareResult",
    "PrepareSpec",
    "Progress",
    "ReleaseResult",
    "ReleaseSpec",
    "Stage",
    "StageFailure",
    "TrainResult",
    "TrainSpec",
    "spec_key",
]

Metrics = dict[str, float]
STORAGE_ACCESS_FIELDS = set(StorageSpec.model_fields) - {"artifacts_uri"}
LOCATION_FIELDS = {"features_uri", "checkpoint_uri"}
"""Fields that say where an input is, whose digest another field has."""


class Stage(StrEnum):
    """The Jobs of a revision, in order; and COLLECT, which deletes artifacts that nothing refers to."""

    PREPARE = "prepare"
    TRAIN = "train"
    RELEASE = "release"
    COLLECT = "collect"


class GateResult(StrEnum):
    """Result of the quality gate."""

    PASSED = "Passed"
    FAILED = "Failed"
    REPORTED = "Reported"


class PrepareSpec(CamelModel):
    """Read and check the dataset, write features."""

    dataset: Dataset
    storage: StorageSpec
    dev_fraction: float
    seed: int
    base: BaseVoice
    """The voice to fine-tune: features must have its mel settings."""
    dataset_version: str = Field("", alias="observed")
    """Names the content of dataset and base voice when the spec was made, opaque; another value runs prepare again."""


class EmotionSeconds(CamelModel):
    """How much speech one emotion has."""

    clips: int
    seconds: float


class PrepareResult(CamelModel):
    """Where the features are and what the dataset holds."""

    dataset_digest: str
    features_uri: str
    features_digest: str
    clips: int
    seconds: float
    per_emotion: dict[str, EmotionSeconds]
    warnings: tuple[str, ...] = ()
    base_sha256: str | None = None
    """SHA-256 of the base voice's voice.json; None in results of early versions."""


class TrainSpec(CamelModel):
    """Fine-tune the base voice on features."""

    features_uri: str
    features_digest: str
    base: BaseVoice
    storage: StorageSpec
    training: Recipe


class TrainResult(CamelModel):
    """The checkpoint chosen (best on the dev split)."""

    checkpoint_uri: str
    checkpoint_digest: str
    step: int
    loss: float
    dev_loss: float | None = None


class ReleaseSpec(CamelModel):
    """Export, evaluate and publish a voice bundle."""

    name: str
    features_uri: str
    features_digest: str
    dataset_digest: str
    checkpoint_uri: str
    checkpoint_digest: str
    base: BaseVoice
    storage: StorageSpec
    evaluation: Evaluation


class BaseVoiceReleaseSpec(CamelModel):
    """Check, evaluate and publish the base voice as it is: the release of a VoiceModel without a dataset."""

    name: str
    base: BaseVoice
    storage: StorageSpec
    evaluation: Evaluation
    base_version: str = Field("", alias="observed")
    """Names the content of the base voice when the spec was made, opaque; another value runs release again."""


class ReleaseResult(CamelModel):
    """The bundle (its digest is the revision), its metrics and the result of the quality gate."""

    revision: str = Field(pattern=DIGEST_PATTERN)
    uri: str
    metrics: Metrics
    verdict: GateResult
    failures: tuple[str, ...] = ()


class CollectSpec(CamelModel):
    """Delete artifacts; `prefixes` are relative to the storage's artifactsUri and match whole path components."""

    storage: StorageSpec
    prefixes: tuple[str, ...] = Field(min_length=1)


class CollectResult(CamelModel):
    """How many objects were deleted."""

    deleted: int


class StageFailure(CamelModel):
    """Why a stage failed."""

    reason: str
    message: Annotated[str, Field(max_length=2048)]
    retryable: bool = False


class Progress(CamelModel):
    """How far a running stage is; `step` counts optimiser steps in train, and clips checked and computed in prepare."""

    stage: Stage
    step: int
    total: int
    percent: float
    loss: float | None = None
    dev_loss: float | None = None
    eta_seconds: float | None = None


def spec_key(stage: Stage, spec: BaseModel) -> str:
    """Compute the key of a stage's Job and of its output.

    The spec is serialised as canonical JSON, so equal specs have equal keys. Of the storage only `artifacts_uri`
    counts: a rotated credential or another endpoint of the same artifacts must not train a voice again. Inputs that
    are named by their digest may move: for train that holds for the base voice, too. Release writes the URI of the
    base voice into the bundle, so there it counts.

    Parameters
    ----------
    stage
        The stage.
    spec
        Its spec.

    Returns
    -------
    str
        16 hex digits of SHA-256.
    """
    excluded: dict[str, bool | set[str]] = {"storage": STORAGE_ACCESS_FIELDS} | dict.fromkeys(LOCATION_FIELDS, True)
    if isinstance(spec, TrainSpec) and spec.base.sha256 is not None:
        excluded["base"] = {"uri"}
    content = spec.model_dump(mode="json", by_alias=True, exclude=excluded)
    return short_hash(f"{stage}\n{canonical_json(content)}")
