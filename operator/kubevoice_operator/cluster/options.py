"""Options of the operator process."""

from dataclasses import dataclass, field

from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.render.names import Images

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the operator process.

    Attributes
    ----------
    identity
        The name of this process in the Lease and in Events.
    lease
        Namespace and name of the Lease.
    namespaces
        Namespaces to watch; empty for the whole cluster.
    port
        Port of probes and metrics.
    images
        Images used where a VoiceModel names none.
    elect
        Whether to wait for leadership before acting.
    """

    identity: str
    lease: Key
    namespaces: tuple[str, ...] = ()
    port: int = 8080
    images: Images = field(default_factory=Images)
    elect: bool = True
