"""What operator and replicas tell each other: the `user_config` of both Ray Serve deployments, and /v1/revisions.

The operator writes a SynthesizerConfig and an IngressConfig into the Serve config and reads a RevisionsResponse. Both
sides may be of different versions for the time of an upgrade: a configuration with an unknown field is refused, because
ignoring a setting would be wrong; an unknown field of a response is ignored.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from kubevoice.digests import DIGEST_PATTERN
from kubevoice.resources.clients import SilentText, UnknownVoice
from kubevoice.storage.base import S3Options
from kubevoice.validation import CamelModel

__all__ = [
    "AccessConfig",
    "AliasConfig",
    "CacheConfig",
    "CanaryConfig",
    "ClientsConfig",
    "IngressConfig",
    "QueueConfig",
    "ReplicaState",
    "ResidencyConfig",
    "ResidentVoices",
    "RevisionsResponse",
    "StorageConfig",
    "SynthesizerConfig",
    "Track",
    "TrackTraffic",
    "VoiceConfig",
    "VoiceLoads",
]

Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class Track(StrEnum):
    """Which of the two sets of replicas: those of the serving revision, or those of the canary revision."""

    STABLE = "stable"
    CANARY = "canary"


class StorageConfig(CamelModel):
    """How to reach an s3:// address."""

    endpoint: str | None = Field(
        None,
        max_length=1024,
        pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$",
        description="S3 endpoint, without credentials (secretRef has them); AWS if unset.",
    )
    region: str = Field("us-east-1", max_length=64, pattern=r"^[A-Za-z0-9-]+$", description="S3 region.")
    path_style: bool = Field(False, description="Put the bucket in the path, as MinIO and most private servers want.")

    def s3_options(self) -> S3Options:
        """Build the options of the S3 client. Credentials and AWS_CA_BUNDLE come from the environment.

        Returns
        -------
        S3Options
            The options.
        """
        return S3Options(endpoint=self.endpoint, region=self.region, path_style=self.path_style)


class VoiceConfig(CamelModel):
    """One voice: its public name, the revision to serve, where that bundle lies, and its limits in each replica."""

    name: str = Field(min_length=1)
    revision: Digest
    uri: str
    storage: StorageConfig = StorageConfig()
    max_streams: int | None = Field(None, ge=1)
    """Requests of this voice that a replica computes at once; None is no limit but the replica's."""
    max_queued: int | None = Field(None, ge=0)
    """Requests of this voice that wait in a replica while `max_streams` are computed; None is no limit. More are
    refused with 429."""


class ResidencyConfig(CamelModel):
    """How a replica with more voices than its memory holds loads and unloads them."""

    memory_megabytes: int = Field(ge=1)
    """Memory for loaded voices, in units of 2**20 bytes."""
    keep: tuple[str, ...] = ()
    """Voices that are loaded at once and never unloaded."""
    idle_seconds: int | float = Field(gt=0)
    """A voice that had no request for this long is unloaded."""


class SynthesizerConfig(CamelModel):
    """The user_config of the deployment `Synthesizer`: changing it swaps voices in place."""

    voices: tuple[VoiceConfig, ...] = Field(min_length=1)
    default: str = ""
    """Name of the voice of requests that name none; empty is the first."""
    threads: int = Field(default=1, ge=1)
    """ONNX Runtime threads of each voice."""
    residency: ResidencyConfig | None = None
    """None loads every voice before the replica answers; otherwise a voice is loaded at its first request."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [voice.name for voice in self.voices]
        if len(set(names)) < len(names):
            raise ValueError(f"two voices share a name: {', '.join(names)}")
        if self.default and self.default not in names:
            raise ValueError(f"default {self.default!r} is not one of the voices: {', '.join(names)}")
        if self.residency and (unknown := set(self.residency.keep) - set(names)):
            raise ValueError(f"residency.keep names what is not one of the voices: {', '.join(sorted(unknown))}")
        return self

    def to_user_config(self) -> dict[str, Any]:
        """Write it as the `user_config` of a Serve deployment.

        Returns
        -------
        dict
            A JSON object, without settings that are None.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def default_name(self) -> str:
        """The voice of requests that name none."""
        return self.default or self.voices[0].name


class CanaryConfig(CamelModel):
    """The revision that is being tried, the application that serves it, and its share of the requests."""

    application: str = Field(min_length=1)
    revision: Digest
    weight: int = Field(ge=0, le=100)
    """Percent."""


class CacheConfig(CamelModel):
    """The response cache: its memory in megabytes, how long an entry is kept, and the address of Redis, if any."""

    megabytes: int = Field(64, ge=0)
    """0 turns the cache off, Redis included."""
    ttl_seconds: int | float = Field(3600.0, gt=0)
    """An integer stays one, so that a rendered config has the same bytes as the spec."""
    redis_url: str | None = None


class AccessConfig(CamelModel):
    """Who may call: anybody without a file of keys; scripts of other web sites only if they are named."""

    keys_file: Path | None = None
    cors_origins: tuple[str, ...] = ()
    requests_per_minute: int | None = Field(None, ge=1)
    """Of each key, or of each address where there are no keys."""


class AliasConfig(CamelModel):
    """What a further name of a voice means: a voice, None is the default one, and a speaker and an emotion of it."""

    voice: str | None = None
    speaker: str | None = None
    emotion: str | None = None


class ClientsConfig(CamelModel):
    """How requests of clients of other servers are answered."""

    aliases: dict[str, AliasConfig] = Field(default_factory=dict)
    """By name. A voice of the same name takes precedence."""
    unknown_voice: UnknownVoice = UnknownVoice.REFUSE
    silent_text: SilentText = SilentText.SILENCE


class QueueConfig(CamelModel):
    """How many requests may wait while all replicas are at capacity, and how long."""

    requests: int = Field(64, ge=0)
    seconds: float = Field(60.0, gt=0)


class IngressConfig(CamelModel):
    """The user_config of the deployment `Ingress`: changing it restarts nothing."""

    canary: CanaryConfig | None = None
    voices: dict[str, str] = Field(default_factory=dict)
    """The revision that each voice should have."""
    default: str = ""
    """The voice of requests that name none."""
    cache: CacheConfig = CacheConfig()
    access: AccessConfig = AccessConfig()
    clients: ClientsConfig = ClientsConfig()
    queue: QueueConfig = QueueConfig()

    def to_user_config(self) -> dict[str, Any]:
        """Write it as the `user_config` of a Serve deployment.

        Returns
        -------
        dict
            A JSON object.
        """
        return self.model_dump(mode="json", by_alias=True)


class _Response(CamelModel):
    model_config = ConfigDict(extra="ignore", json_schema_serialization_defaults_required=True)


class VoiceLoads(_Response):
    """How often a voice was loaded and unloaded since the replica started."""

    loads: Count = 0
    seconds: float = Field(0.0, ge=0, description="Time that its loads took together, waiting for memory included.")
    evictions: Count = Field(0, description="How often it was unloaded because another voice needed the memory.")


class ResidentVoices(_Response):
    """The voices that are loaded in a replica which loads them on demand, and their memory."""

    voices: dict[str, str] = Field(description="The loaded revision of each voice that is in memory.")
    memory_bytes: Count = Field(description="What the loaded voices are accounted for.")
    budget_bytes: Count = Field(description="What they may be accounted for together.")
    loads: dict[str, VoiceLoads] = Field(default_factory=dict, description="Of each voice that was loaded.")


class ReplicaState(_Response):
    """What one replica has loaded, what it is loading, and why the last load failed."""

    replica: str
    voices: dict[str, str] = Field(
        description="The revision of each voice that it serves. Where voices are loaded on demand: the loaded "
        "revision, or that whose voice.json was read and has the configured digest; a voice that cannot be read or "
        "loaded is in `errors` instead."
    )
    default: str = ""
    loading: dict[str, str] = Field(
        default_factory=dict,
        description="What it is loading in the background; where voices are loaded on demand, also what it has not "
        "read the voice.json of.",
    )
    error: str | None = Field(None, description="Why its last configuration could not be loaded.")
    resident: ResidentVoices | None = Field(
        None, description="What is in memory where voices are loaded on demand; otherwise null."
    )
    errors: dict[str, str] = Field(
        default_factory=dict,
        description="Why a voice cannot be read or loaded where voices are loaded on demand; it is tried again.",
    )
    track: Track = Track.STABLE


class TrackTraffic(_Response):
    """What became of a track's requests since the present canary was configured."""

    requests: Count
    errors: Count = Field(description="Requests that got no answer; a caller's mistake is not among them.")
    p95_seconds: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="95th percentile of the time to a whole answer, of the last thousand; null before there is one.",
    )


class RevisionsResponse(_Response):
    """What every replica serves, and how its track fares; there is a canary's traffic only while there is a canary."""

    replicas: tuple[ReplicaState, ...]
    traffic: dict[Track, TrackTraffic] = Field(default_factory=dict)
