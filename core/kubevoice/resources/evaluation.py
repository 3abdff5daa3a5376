"""The quality gate of a VoiceModel: `spec.evaluation`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from kubevoice.resources.schema import Part, list_type

__all__ = ["Evaluation", "EvaluationPolicy"]


class EvaluationPolicy(StrEnum):
    """What happens when a metric misses its threshold."""

    ENFORCE = "Enforce"
    REPORT = "Report"


class Evaluation(Part):
    """The quality gate: what is measured before a revision may serve."""

    policy: EvaluationPolicy = Field(
        EvaluationPolicy.ENFORCE, description="Enforce rejects a revision that fails; Report only records the result."
    )
    max_pinyin_error_rate: float | None = Field(
        None, ge=0, le=10, description="Largest share of syllables that speech recognition gets wrong, without tones."
    )
    min_speaker_similarity: float | None = Field(
        None, ge=-1, le=1, description="Least cosine similarity of speaker embeddings to the recordings."
    )
    min_naturalness: float | None = Field(
        None, ge=1, le=5, description="Least naturalness of synthesized speech by DistillMOS, from 1 (bad) to 5."
    )
    max_naturalness_loss: float | None = Field(
        None,
        ge=0,
        le=4,
        description="How much less natural than the base voice the voice may sound with the same texts. The base "
        "voice has the same speaker or, if it lacks that one, its first.",
    )
    max_mel_cepstral_distortion: float | None = Field(
        None, gt=0, le=100, description="Largest distance to held-out recordings, in dB."
    )
    max_real_time_factor: float | None = Field(
        None, gt=0, le=100, description="Largest number of seconds of one CPU thread for a second of speech."
    )
    max_f0_rmse: float | None = Field(
        None, gt=0, le=1000, description="Largest F0 difference to held-out recordings, in Hz."
    )
    sentences: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        (),
        max_length=100,
        description="Sentences to synthesize, recognise and rate.",
        json_schema_extra=list_type("atomic"),
    )
