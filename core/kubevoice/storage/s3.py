"""Storage on an S3-compatible server, by boto3."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import override

from kubevoice.storage.base import ObjectInfo, S3Options, Storage, validate_key
from kubevoice.storage.local import atomic_file, explain_os_errors
from kubevoice.storage.s3_errors import ObjectNotFoundError, explain_s3, retry_transient

__all__ = ["S3Storage"]

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 60, 4
WORKERS = 8


class S3Storage(Storage):
    """Objects under a prefix of one bucket. PUT is atomic on S3, so writes need no more."""

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        self._bucket, self._prefix, self._options = bucket, prefix, options
        self._bucket_seen = False

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
        return f"{self._prefix}/{validate_key(key)}".lstrip("/")

    def _call(self, what: str, call: Callable[[], T]) -> T:
        """Return what `call` returns; try again while the server is away, explain other trouble."""
        with explain_s3(what, self._bucket, self._options.endpoint or "AWS"):
            return retry_transient(call, self._options.patience_seconds, what)

    @override
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        if prefix:
            validate_key(prefix)
        root = f"{self._prefix}/" if self._prefix else ""
        request = {"Bucket": self._bucket, "Prefix": root + prefix}
        while True:
            page = self._call(f"cannot list {self.uri}", lambda: self._client.list_objects_v2(**request))
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # some servers list folders
                    yield ObjectInfo(item["Key"].removeprefix(root), item["Size"])
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    @override
    def exists(self, key: str) -> bool:
        name, what = self._key(key), f"cannot look for {self.uri}/{key}"
        try:
            self._call(what, lambda: self._client.head_object(Bucket=self._bucket, Key=name))
        except ObjectNotFoundError:
            # An answer to HEAD has no body: that the whole bucket is missing looks the same.
            if not self._bucket_seen:
                self._call(what, lambda: self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1))
                self._bucket_seen = True
            return False
        return True

    @override
    def read(self, key: str) -> bytes:
        name = self._key(key)

        def fetch() -> bytes:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
            return body

        return self._call(f"cannot read {self.uri}/{key}", fetch)

    @override
    def write(self, key: str, data: bytes) -> None:
        name = self._key(key)
        self._call(
            f"cannot write {self.uri}/{key}",
            lambda: self._client.put_object(Bucket=self._bucket, Key=name, Body=data),
        )

    @override
    def download(self, key: str, path: Path) -> None:
        name, what = self._key(key), f"cannot copy {self.uri}/{key} to {path}"

        def fetch() -> None:
            from s3transfer.exceptions import RetriesExceededError

            try:
                with atomic_file(path) as file:
                    self._client.download_fileobj(self._bucket, name, file)
            except RetriesExceededError as error:
                raise error.last_exception from None

        with explain_os_errors(what):
            self._call(what, fetch)

    @override
    def upload(self, path: Path, key: str) -> None:
        name, what = self._key(key), f"cannot write {self.uri}/{key}"

        def send() -> None:
            with path.open("rb") as file:
                self._client.upload_fileobj(file, self._bucket, name)

        with explain_os_errors(what):
            self._call(what, send)

    @override
    def delete(self, key: str) -> None:
        name = self._key(key)
        self._call(
            f"cannot delete {self.uri}/{key}",
            lambda: self._client.delete_object(Bucket=self._bucket, Key=name),
        )

    @override
    def delete_below(self, path: str) -> int:
        folder = validate_key(path)
        keys = [item.key for item in self.list(f"{folder}/")]
        if self.exists(folder):
            keys.append(folder)
        with ThreadPoolExecutor(WORKERS) as pool:  # one by one: not every server knows DeleteObjects
            for done in [pool.submit(self.delete, key) for key in keys]:
                done.result()
        return len(keys)
