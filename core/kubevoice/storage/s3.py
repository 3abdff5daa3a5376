"""Storage on an S3-compatible server, by boto3."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from typing_extensions import override

from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.storage.base import ObjectInfo, S3Options, Storage, checked_key
from kubevoice.storage.local import atomic_file, explained

__all__ = ["S3Storage"]

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 60, 4


class S3Storage(Storage):
    """Objects under a prefix of one bucket. PUT is atomic on S3, so writes need no more."""

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        self._bucket, self._prefix, self._options = bucket, prefix, options

    @property
    @override
    def uri(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @cached_property
    def _client(self) -> Any:
        import boto3  # imported when S3 is used: it takes half a second
        from botocore.config import Config

        options = self._options
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path" if options.path_style else "auto"},
        )
        # A session of its own: boto3's default one is not made for threads, and keeps the first credentials it saw.
        return boto3.Session().client("s3", endpoint_url=options.endpoint, region_name=options.region, config=config)

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{checked_key(key)}".lstrip("/")

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn botocore's errors into ours."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = self._options.endpoint or "AWS"
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("NoSuchKey", "404"):
                raise InputError(f"{what}: there is no such object") from None
            advice = {
                "NoSuchBucket": f"bucket {self._bucket} does not exist on {where}; create it or correct the URI",
                "AccessDenied": "access is denied; check the secret's key and the bucket's policy",
                "403": "access is denied; check the secret's key and the bucket's policy",
                "InvalidAccessKeyId": "the access key is unknown to the server; check spec.storage.secretRef",
                "SignatureDoesNotMatch": "the secret key is wrong; check spec.storage.secretRef",
            }.get(code, f"{where} answered {code or error}")
            raise KubeVoiceError(f"{what}: {advice}") from error
        except BotoCoreError as error:
            advice = {
                "NoCredentialsError": "there are no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                "EndpointConnectionError": f"{where} cannot be reached; check spec.storage.endpoint",
                "ConnectTimeoutError": f"{where} does not answer; check spec.storage.endpoint",
                "SSLError": f"the certificate of {where} is not trusted; set spec.storage.caBundleRef",
            }.get(type(error).__name__, str(error))
            raise KubeVoiceError(f"{what}: {advice}") from error

    @override
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        if prefix:
            checked_key(prefix)
        root = f"{self._prefix}/" if self._prefix else ""
        with self._explained(f"cannot list {self.uri}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=root + prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):  # some servers list folders
                        yield ObjectInfo(item["Key"].removeprefix(root), item["Size"])

    @override
    def exists(self, key: str) -> bool:
        name = self._key(key)
        try:
            with self._explained(f"cannot look for {self.uri}/{key}"):
                self._client.head_object(Bucket=self._bucket, Key=name)
        except InputError:
            return False
        return True

    @override
    def read(self, key: str) -> bytes:
        with self._explained(f"cannot read {self.uri}/{key}"):
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].read()
        return body

    @override
    def write(self, key: str, data: bytes) -> None:
        with self._explained(f"cannot write {self.uri}/{key}"):
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=data)

    @override
    def download(self, key: str, path: Path) -> None:
        what = f"cannot copy {self.uri}/{key} to {path}"
        with explained(what), self._explained(what), atomic_file(path) as file:
            self._client.download_fileobj(self._bucket, self._key(key), file)

    @override
    def upload(self, path: Path, key: str) -> None:
        what = f"cannot write {self.uri}/{key}"
        with explained(what), self._explained(what):
            self._client.upload_file(str(path), self._bucket, self._key(key))

    @override
    def delete(self, key: str) -> None:
        with self._explained(f"cannot delete {self.uri}/{key}"):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))
