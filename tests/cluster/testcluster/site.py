"""What the programs of one cluster have in common: a place, a folder, certificates, addresses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testcluster.pki import Authority
from testcluster.places import Place, environment
from testcluster.process import Component

__all__ = ["Ports", "Ranges", "Site"]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Addresses inside the cluster."""

    services: str
    first_service: str
    """Where pods find the API server."""
    pods: str


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the control plane listens."""

    etcd: int = 2379
    etcd_peers: int = 2380
    api: int = 6443


@dataclass(frozen=True, slots=True)
class Site:
    """Where one cluster runs, and what its programs share.

    Attributes
    ----------
    place
        Where its programs run.
    state
        Its folder: data, certificates, logs.
    binary
        Finds a program.
    authority
        Signs its certificates.
    """

    place: Place
    state: Path
    binary: Callable[[str], Path]
    authority: Authority
    ranges: Ranges
    ports: Ports

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{self.place.address}:{self.ports.api}"

    def kubeconfig(self, user: str, *groups: str) -> Path:
        """Return a kubeconfig of `user`, a member of `groups`."""
        return self.authority.kubeconfig(self.server, user, *groups)

    def component(
        self,
        name: str,
        flags: Mapping[str, object],
        ready: Callable[[], bool],
        *,
        program: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Component:
        """Return the component `name`: `program`, or our binary of that name, with `flags` and `variables`."""
        argv = [f"--{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in flags.items()]
        return Component(
            name=name,
            command=self.place.command(program or self.binary(name), *argv),
            log=self.state / "logs" / f"{name}.log",
            ready=ready,
            environment=environment() | dict(variables or {}),
            nested=self.place.nested,
        )
