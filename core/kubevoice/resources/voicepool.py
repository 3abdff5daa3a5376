"""The VoicePool: replicas that serve many voices behind one address."""

from typing import Annotated, Final, Literal

from pydantic import Field

from kubevoice.resources.quantity import QUANTITY, parse_quantity
from kubevoice.resources.schema import Part, list_type
from kubevoice.resources.serving import Replication
from kubevoice.resources.status import VoicePoolStatus
from kubevoice.resources.storage_access import StorageAccess
from kubevoice.resources.voicemodel import API_VERSION, NAME_LENGTH, NAME_PATTERN, ObjectMeta

__all__ = ["POOL_KIND", "Residency", "VoicePool", "VoicePoolSpec"]

POOL_KIND: Final = "VoicePool"
VoiceName = Annotated[str, Field(max_length=NAME_LENGTH, pattern=NAME_PATTERN)]


class Residency(Part):
    """Which voices are in a replica's memory."""

    memory: str = Field(
        "1Gi",
        max_length=32,
        pattern=QUANTITY,
        description="Memory for loaded voices, within replica.memory. The least recently used one is unloaded.",
    )
    keep: tuple[VoiceName, ...] = Field(
        (),
        max_length=1000,
        description="VoiceModels whose voices are loaded at once and never unloaded.",
        json_schema_extra=list_type("set"),
    )
    idle_seconds: int = Field(
        3600, ge=1, le=2_592_000, description="A voice that had no request for this long is unloaded."
    )

    @property
    def memory_megabytes(self) -> int:
        """The memory for loaded voices, in units of 2**20 bytes; at least 1."""
        return max(1, int(parse_quantity(self.memory)) >> 20)


class VoicePoolSpec(Part):
    """What is wanted."""

    storage: StorageAccess = Field(
        StorageAccess(), description="Credentials for the storage of all VoiceModels of the pool."
    )
    residency: Residency = Field(Residency(), description="Which voices are in memory.")
    default_voice: VoiceName | None = Field(
        None, description="VoiceModel that answers requests which name no voice; the first by name if unset."
    )
    serving: Replication = Field(Replication(), description="The replicas and the way to them.")


class VoicePool(Part):
    """Replicas that serve the voices of many VoiceModels."""

    api_version: Literal["kubevoice.io/v1alpha1"] = API_VERSION
    kind: Literal["VoicePool"] = POOL_KIND
    metadata: ObjectMeta
    spec: VoicePoolSpec = VoicePoolSpec()
    status: VoicePoolStatus = VoicePoolStatus()
