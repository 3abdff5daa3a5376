"""The certificates of one cluster, and kubeconfigs with them."""

import base64
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "render_kubeconfig"]

VALIDITY = timedelta(days=2)
"""Longer than any test cluster runs."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority. It writes what it issues into one folder, which only its owner can read."""

    folder: Path

    @cached_property
    def certificate(self) -> Path:
        """The authority's own certificate."""
        return self._write("ca.crt", self._pair[0].public_bytes(Encoding.PEM))

    @cached_property
    def signing_key(self) -> Path:
        """A private key for service account tokens."""
        return self._write("service-accounts.key", _pem(ec.generate_private_key(ec.SECP256R1())))

    def issue(self, user: str, *groups: str, hosts: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """Return certificate and key of `user` in `groups`; with `hosts` they are also a server's."""
        stem = user.replace(":", "-")
        certificate, key = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        if not certificate.exists():
            ca, ca_key = self._pair
            own_key = ec.generate_private_key(ec.SECP256R1())
            usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            builder = _builder(_name(user, *groups), ca.subject, own_key).add_extension(
                x509.ExtendedKeyUsage(usages), critical=False
            )
            if hosts:
                builder = builder.add_extension(x509.SubjectAlternativeName(_alternative_names(hosts)), critical=False)
            self._write(key.name, _pem(own_key))
            self._write(certificate.name, builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return certificate, key

    def kubeconfig(self, server: str, user: str, *groups: str) -> Path:
        """Return the path of a kubeconfig of `user` in `groups` for `server`."""
        certificate, key = self.issue(user, *groups)
        text = render_kubeconfig(
            server,
            self.certificate.read_bytes(),
            {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)},
        )
        return self._write(f"{certificate.stem}.kubeconfig", text.encode())

    @cached_property
    def _pair(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("kubevoice-test-ca")
        builder = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return builder.sign(key, hashes.SHA256()), key

    def _write(self, name: str, content: bytes) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path


def render_kubeconfig(server: str, ca: bytes, user: dict[str, str]) -> str:
    """Return a kubeconfig with one cluster, at `server`, and one user."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    }
    return yaml.safe_dump(config)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALIDITY)
    )


def _name(user: str, *groups: str) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _alternative_names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
