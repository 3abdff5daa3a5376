"""spec.serving: how a voice, or a pool of voices, is served, scaled and rolled out."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from kubevoice.resources.clients import Clients
from kubevoice.resources.exposure import Expose, NameRef
from kubevoice.resources.quantity import QUANTITY
from kubevoice.resources.schema import Part, build_default_rule, cel, list_type
from kubevoice.resources.training import Pods

__all__ = [
    "POOL_RULES",
    "CacheSpec",
    "CanaryStep",
    "PoolRef",
    "ReplicaSpec",
    "Replication",
    "RolloutSpec",
    "Serving",
    "Strategy",
    "Tracing",
]

MAX_STEPS = 16
RISING_WEIGHTS = (
    f"{list(range(1, MAX_STEPS))}.all(i, i >= size(self.steps) || self.steps[i - 1].weight < self.steps[i].weight)"
)


BOUNDS_RULE = ("self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas")


class ReplicaSpec(Part):
    """Size of one replica of the synthesiser."""

    cpu: Annotated[float, Field(gt=0, le=128)] = Field(1, description="CPU cores.")
    memory: str = Field("2Gi", max_length=32, pattern=QUANTITY, description="Memory, such as 2Gi.")
    gpu: int = Field(
        0, ge=0, le=16, description="GPUs. The image must have onnxruntime-gpu and its CUDA libraries to use them."
    )
    threads: int = Field(1, ge=1, le=128, description="Threads inside one ONNX Runtime operator.")


class Strategy(StrEnum):
    """How a new revision takes over."""

    IMMEDIATE = "Immediate"
    CANARY = "Canary"


class CanaryStep(Part):
    """One step of a canary."""

    weight: int = Field(ge=1, le=99, description="Percent of requests the new revision gets.")
    pause_seconds: int = Field(300, ge=0, le=604_800, description="Time at this weight before the next step.")


class RolloutSpec(Part):
    """How a new revision takes over."""

    strategy: Strategy = Field(Strategy.IMMEDIATE, description="All at once, or in steps.")
    steps: tuple[CanaryStep, ...] = Field(
        (), max_length=MAX_STEPS, description="Steps of a canary.", json_schema_extra=list_type("map", "weight")
    )
    max_error_rate: float | None = Field(
        None, ge=0, le=1, description="Share of failed requests above which a canary is aborted."
    )
    max_latency_seconds: float | None = Field(
        None, gt=0, le=600, description="95th percentile of latency above which a canary is aborted."
    )
    progress_deadline_seconds: int = Field(
        1800, ge=30, le=604_800, description="Longest time a rollout may take before it counts as failed."
    )

    model_config = Part.model_config | {
        "json_schema_extra": cel(
            (
                "(self.strategy == 'Canary') == (size(self.steps) > 0)",
                "steps belong to strategy Canary, and Canary needs at least one",
            ),
            (
                RISING_WEIGHTS,
                "steps: each weight must be above the one before",
            ),
        )
    }


class CacheSpec(Part):
    """The response cache: speech that is kept and returned for the same request."""

    megabytes: int = Field(
        64, ge=0, le=4096, description="Megabytes of memory of each HTTP pod; 0 turns the cache off."
    )
    ttl_seconds: float = Field(3600, gt=0, le=2_592_000, description="How long a response is kept.")
    redis_url: str | None = Field(
        None,
        max_length=1024,
        pattern=r"^rediss?://[^@]+$",
        description="Redis that keeps responses across restarts; no credentials in it.",
    )
    redis_secret_ref: NameRef | None = Field(
        None, description="Secret with REDIS_PASSWORD and, if needed, REDIS_USERNAME."
    )


class Tracing(Part):
    """Where OpenTelemetry traces of requests go."""

    endpoint: str = Field(
        max_length=1024, pattern=r"^https?://[^@\s]+$", description="Collector that takes OTLP over HTTP."
    )
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of requests to trace when the caller's trace context does not decide."
    )


class Replication(Pods):
    """The replicas of a voice, or of a pool of voices, and the way to them."""

    min_replicas: int = Field(1, ge=0, le=1000, description="Replicas that always run.")
    max_replicas: int = Field(8, ge=1, le=1000, description="Largest number of replicas.")
    target_ongoing_requests: float = Field(2, gt=0, le=1000, description="Requests in progress a replica is sized for.")
    max_queued_requests: int = Field(
        64,
        ge=1,
        le=100_000,
        description="Requests that may wait while replicas are at capacity, streams and others each; more are refused "
        "with HTTP 429 and Retry-After.",
    )
    queue_seconds: float = Field(
        60, gt=0, le=600, description="How long a request may wait; after that it is refused likewise."
    )
    upscale_delay_seconds: float = Field(5, ge=0, le=3600, description="How long load must last before scaling up.")
    downscale_delay_seconds: float = Field(
        300, ge=0, le=86_400, description="How long low load must last before scaling down."
    )
    replica: ReplicaSpec = Field(ReplicaSpec(), description="Size of one replica.")
    suspend: bool = Field(False, description="Stop serving and free the pods; training goes on.")
    cache: CacheSpec = Field(CacheSpec(), description="The cache of responses.")
    expose: Expose = Field(Expose(), description="How applications reach the voice.")
    clients: Clients = Field(Clients(), description="How requests of clients of other servers are answered.")
    tracing: Tracing | None = Field(None, description="Where OpenTelemetry traces of requests go; nowhere if unset.")

    model_config = Part.model_config | {"json_schema_extra": cel(BOUNDS_RULE)}


class PoolRef(NameRef):
    """The pool that serves a voice, and how much of it the voice may use."""

    max_streams: int = Field(8, ge=1, le=1000, description="Requests of this voice that a replica computes at once.")
    max_queued: int = Field(
        32, ge=0, le=1000, description="Requests of this voice that wait in a replica; more are refused with HTTP 429."
    )


POOL_FIELDS = tuple(name for name in Replication.model_fields if name != "suspend")
"""Fields that the pool has in place of the voice."""


def _build_pool_rule() -> tuple[str, str]:
    defaults = Replication().model_dump(mode="json", by_alias=True, include=set(POOL_FIELDS))
    message = f"with poolRef the pool has these settings: remove {', '.join(defaults)} here, or remove poolRef"
    return build_default_rule("!has(self.poolRef)", defaults, "self"), message


POOL_RULES: Final = (
    _build_pool_rule(),
    (
        "!has(self.poolRef) || self.rollout.strategy == 'Immediate'",
        "a pool swaps revisions at once: remove rollout.strategy Canary, or remove poolRef",
    ),
)
"""What a voice in a pool cannot ask for: pairs of a rule over spec.serving and its message."""


class Serving(Replication):
    """How the voice is served."""

    pool_ref: PoolRef | None = Field(
        None, description="VoicePool of this namespace that serves the voice; a Ray cluster of its own if unset."
    )
    rollout: RolloutSpec = Field(RolloutSpec(), description="How a new revision takes over.")

    model_config = Part.model_config | {"json_schema_extra": cel(BOUNDS_RULE, *POOL_RULES)}
