"""How pods are given access to storage: credentials and certificates, by reference."""

from pydantic import Field

from kubevoice.resources.exposure import NameRef
from kubevoice.resources.schema import DNS_NAME, Part

__all__ = ["CaBundleRef", "StorageAccess"]


class CaBundleRef(Part):
    """A ConfigMap key with certificates."""

    config_map: str = Field(max_length=253, pattern=rf"^{DNS_NAME}$", description="Name of the ConfigMap.")
    key: str = Field("ca.crt", max_length=253, pattern=r"^[A-Za-z0-9._-]+$", description="Key in it.")


class StorageAccess(Part):
    """Credentials and certificates, with which pods reach an s3:// address."""

    secret_ref: NameRef | None = Field(
        None, description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; the pod's own identity if unset."
    )
    ca_bundle_ref: CaBundleRef | None = Field(None, description="Certificates that sign the endpoint's.")
