"""Storage on an S3-compatible server, by boto3."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

from typing_extensions import override

from kubevoice.digests import short_hash
from kubevoice.errors import StorageError
from kubevoice.storage.base import ObjectInfo, S3Options, Storage, validate_key
from kubevoice.storage.local import atomic_file, explain_os_errors
from kubevoice.storage.s3_errors import NOT_S3_ADVICE, ObjectNotFoundError, explain_s3, retry_transient

__all__ = ["S3Storage"]

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 60, 2
WORKERS = 8


class S3Storage(Storage):
    """Objects under a prefix of one bucket. PUT is atomic on S3, so a write is one PUT."""

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        self._bucket, self._prefix, self._options = bucket, prefix, options
        self._bucket_seen = False
        """Whether the bucket is known to exist. Never cleared."""

    @property
    @override
    def uri(self) -> str:
        """Return bucket and prefix as an s3:// URI."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @cached_property
    def _client(self) -> Any:
        import boto3  # imported when S3 is used: it takes half a second
        from botocore.config import Config

        options = self._options
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path" if options.path_style else "auto"},
        )
        # Not boto3's default session: it is not thread-safe, and it keeps the first credentials.
        return boto3.Session().client("s3", endpoint_url=options.endpoint, region_name=options.region, config=config)

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{validate_key(key)}".lstrip("/")

    def _call(self, failure: str, call: Callable[[], T]) -> T:
        """Return what `call` returns; try again while the server is away, explain other trouble."""
        with explain_s3(failure, self._bucket, self._options.endpoint or "AWS"):
            return retry_transient(call, self._options.patience_seconds, failure)

    def _request(self, failure: str, call: Callable[[], dict[str, Any]], field: str) -> dict[str, Any]:
        """Return the answer of one request. That of every S3 server has `field`, and no web page with status 200."""
        answer = self._call(failure, call)
        if field not in answer:
            raise StorageError(f"{failure}: {self._options.endpoint or 'AWS'} {NOT_S3_ADVICE}")
        return answer

    @override
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the objects below the prefix, in pages of ListObjectsV2; markers of folders are left out."""
        if prefix:
            validate_key(prefix)
        root = f"{self._prefix}/" if self._prefix else ""
        request = {"Bucket": self._bucket, "Prefix": root + prefix}
        while True:
            page = self._request(
                f"cannot list {self.uri}", lambda: self._client.list_objects_v2(**request), "IsTruncated"
            )
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # some servers list folders
                    yield ObjectInfo(item["Key"].removeprefix(root), item["Size"], etag=item.get("ETag", ""))
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    @override
    def exists(self, key: str) -> bool:
        """Check by HEAD whether an object exists; a bucket that does not exist is a StorageError."""
        name, failure = self._key(key), f"cannot look for {self.uri}/{key}"
        try:
            self._request(failure, lambda: self._client.head_object(Bucket=self._bucket, Key=name), "ETag")
        except ObjectNotFoundError:
            # A response to HEAD has no body, so a missing bucket looks like a missing object.
            if not self._bucket_seen:
                self._call(failure, lambda: self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1))
                self._bucket_seen = True
            return False
        return True

    @override
    def read(self, key: str) -> bytes:
        """Read an object by GET."""
        name = self._key(key)

        def fetch() -> dict[str, Any]:
            answer: dict[str, Any] = self._client.get_object(Bucket=self._bucket, Key=name)
            return answer | {"Body": answer["Body"].read()}

        body: bytes = self._request(f"cannot read {self.uri}/{key}", fetch, "ETag")["Body"]
        return body

    @override
    def write(self, key: str, data: bytes) -> None:
        """Write an object by PUT."""
        name = self._key(key)
        self._request(
            f"cannot write {self.uri}/{key}",
            lambda: self._client.put_object(Bucket=self._bucket, Key=name, Body=data),
            "ETag",
        )

    @override
    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file, large ones in parts; the file appears when it is complete."""
        name, failure = self._key(key), f"cannot copy {self.uri}/{key} to {path}"

        def fetch() -> None:
            from s3transfer.exceptions import RetriesExceededError

            try:
                with atomic_file(path) as file:
                    self._client.download_fileobj(self._bucket, name, file)
            except RetriesExceededError as error:
                raise error.last_exception from None

        with explain_os_errors(failure):
            self._call(failure, fetch)

    @override
    def upload(self, path: Path, key: str) -> None:
        """Copy a local file to an object, large ones by multipart upload."""
        name, failure = self._key(key), f"cannot write {self.uri}/{key}"

        def send() -> None:
            with path.open("rb") as file:
                self._client.upload_fileobj(file, self._bucket, name)

        with explain_os_errors(failure):
            self._call(failure, send)

    @override
    @contextmanager
    def create(self, key: str, scratch: Path) -> Iterator[IO[bytes]]:
        """Open a local file; it is uploaded when it is complete."""
        path = scratch / f"{short_hash(key)}.part"
        try:
            with explain_os_errors(f"cannot write {path}"), path.open("wb") as file:
                yield file
            self.upload(path, key)
        finally:
            path.unlink(missing_ok=True)

    @override
    def delete(self, key: str) -> None:
        """Delete an object; S3 reports no error if there is none."""
        name = self._key(key)
        self._call(
            f"cannot delete {self.uri}/{key}",
            lambda: self._client.delete_object(Bucket=self._bucket, Key=name),
        )

    @override
    def delete_below(self, path: str) -> int:
        """Delete the object and all objects below the folder, several at once; return their number."""
        folder = validate_key(path)
        keys = [item.key for item in self.list(f"{folder}/")]
        if self.exists(folder):
            keys.append(folder)
        with ThreadPoolExecutor(WORKERS) as pool:  # one by one: not every server knows DeleteObjects
            for future in [pool.submit(self.delete, key) for key in keys]:
                future.result()
        return len(keys)
