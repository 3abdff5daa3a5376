"""spec.serving.expose: who may call a voice, and by which way in from outside the cluster."""

from typing import Annotated

from pydantic import Field

from kubevoice.resources.schema import DNS_LABEL, DNS_NAME, Part, cel, list_type

__all__ = ["Auth", "Expose", "HttpRoute", "IngressRule", "NameRef", "ParentRef"]

ORIGIN = r"^(\*|https?://[a-z0-9.-]+(:[0-9]{1,5})?)$"
"""What browsers send as Origin: no path, and small letters only."""


class NameRef(Part):
    """A reference to an object of the same namespace."""

    name: str = Field(max_length=253, pattern=rf"^{DNS_NAME}$", description="Name of the object.")


class Auth(Part):
    """Who may call."""

    secret_ref: NameRef = Field(description="Secret with the file of API keys.")
    key: str = Field(
        "keys", max_length=253, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", description="Key in it (docs/http.md)."
    )


class IngressRule(Part):
    """An Ingress for the voice alone, on a host of its own."""

    host: str = Field(max_length=253, pattern=rf"^{DNS_NAME}$", description="Host name that callers use.")
    class_name: str | None = Field(
        None, max_length=253, pattern=rf"^{DNS_NAME}$", description="IngressClass; the cluster's default if unset."
    )
    tls_secret_name: str | None = Field(
        None,
        max_length=253,
        pattern=rf"^{DNS_NAME}$",
        description="Secret with the certificate of the host; plain HTTP if unset.",
    )
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, max_length=32, description="Annotations of the Ingress; it has no others."
    )


class ParentRef(Part):
    """A Gateway to attach to."""

    name: str = Field(max_length=253, pattern=rf"^{DNS_NAME}$", description="Name of the Gateway.")
    namespace: str | None = Field(
        None, max_length=63, pattern=rf"^{DNS_LABEL}$", description="Its namespace; the VoiceModel's if unset."
    )
    section_name: str | None = Field(
        None, max_length=253, pattern=rf"^{DNS_NAME}$", description="One of its listeners; all that fit if unset."
    )


class HttpRoute(Part):
    """An HTTPRoute of the Gateway API."""

    parent_refs: tuple[ParentRef, ...] = Field(
        min_length=1, max_length=32, description="Gateways to attach to.", json_schema_extra=list_type("atomic")
    )
    hostnames: tuple[Annotated[str, Field(max_length=253, pattern=rf"^(\*\.)?{DNS_NAME}$")], ...] = Field(
        (),
        max_length=16,
        description="Host names that callers use; those of the listeners if none are named.",
        json_schema_extra=list_type("set"),
    )


class Expose(Part):
    """How applications reach the voice."""

    auth: Auth | None = Field(None, description="API keys; anyone who reaches the Service may call if unset.")
    requests_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="Requests taken of each API key, or of each address if there are no keys."
    )
    cors_origins: tuple[Annotated[str, Field(max_length=261, pattern=ORIGIN)], ...] = Field(
        (),
        max_length=32,
        description="Web sites whose scripts may call, such as https://app.example.com; * is every one.",
        json_schema_extra=list_type("set"),
    )
    ingress: IngressRule | None = Field(None, description="Ingress to make.")
    http_route: HttpRoute | None = Field(None, description="HTTPRoute to make.")
    network_policy: bool = Field(
        False,
        description=(
            'Make a NetworkPolicy by which only pods labelled kubevoice.io/client: "true" may call, and every pod '
            "of a namespace with that label."
        ),
    )

    model_config = Part.model_config | {
        "json_schema_extra": cel(
            ("!(has(self.ingress) && has(self.httpRoute))", "name an ingress or an httpRoute, not both"),
            ("!('*' in self.corsOrigins) || size(self.corsOrigins) == 1", "corsOrigins names sites, or * alone"),
        )
    }
