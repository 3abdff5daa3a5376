"""What the programs of one cluster share: place, folder, certificates, addresses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testcluster.pki import Authority
from testcluster.places import Place, build_environment
from testcluster.process import Component

__all__ = ["Ports", "Ranges", "Site"]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Addresses inside the cluster."""

    services: str
    first_service: str
    """Cluster IP of the API server."""
    pods: str


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the control plane."""

    etcd: int = 2379
    etcd_peers: int = 2380
    api: int = 6443


@dataclass(frozen=True, slots=True)
class Site:
    """What the programs of one cluster share.

    Attributes
    ----------
    place
        Where its programs run.
    state
        Folder of data, certificates and logs.
    binary
        Returns the path of a program.
    authority
        Signs the certificates.
    ranges, ports
        Its addresses and ports.
    """

    place: Place
    state: Path
    binary: Callable[[str], Path]
    authority: Authority
    ranges: Ranges
    ports: Ports

    @property
    def server(self) -> str:
        """The API server's URL."""
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
        """Return a component.

        Parameters
        ----------
        name
            Its name, and the binary's if there is no `program`.
        flags
            Command-line flags without `--`.
        ready
            Checks whether it is ready.
        program
            Path of another program.
        variables
            Environment variables beside those of `build_environment`.

        Returns
        -------
        Component
            Not started yet.
        """
        argv = [f"--{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in flags.items()]
        return Component(
            name=name,
            command=self.place.command(program or self.binary(name), *argv),
            log=self.state / "logs" / f"{name}.log",
            ready=ready,
            environment=build_environment() | dict(variables or {}),
            nested=self.place.nested,
        )
