"""An S3 server for tests. It keeps its data when it is stopped and started again."""

import subprocess
import time
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from kubevoice.storage import S3Options
from ports import free_port
from testcluster import UnavailableError
from testcluster.build import versitygw

BUCKET = "voices"
ACCESS, SECRET = "tester", "for-this-test-only"


def find_binary():
    """Return the path of the server's program, which is built once into the user's cache."""
    try:
        return versitygw()
    except UnavailableError as lack:
        pytest.skip(str(lack))


class S3Server:
    """A server on a free port of loopback with the bucket `voices`. With an `authority` it uses TLS."""

    def __init__(self, root, authority=None):
        self.root, self._authority = root, authority
        self.port = free_port()
        self.endpoint = f"http{'s' if authority else ''}://127.0.0.1:{self.port}"
        self.environment = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
        self._process = None

    def options(self, **more):
        return S3Options(endpoint=self.endpoint, path_style=True, **more)

    def start(self):
        """Start it and wait until it answers."""
        keys = ["--access", ACCESS, "--secret", SECRET]
        if self._authority:
            certificate, key = self._authority.issue("s3", hosts=("127.0.0.1",))
            keys += ["--cert", certificate, "--key", key]
        self._process = subprocess.Popen(
            [find_binary(), "--port", f"127.0.0.1:{self.port}", *keys, "posix", self.root],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            verify=str(self._authority.certificate) if self._authority else None,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
                    client.create_bucket(Bucket=BUCKET)
                break
            except BotoCoreError:
                assert self._process.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.1)
        client.close()

    def stop(self):
        """Kill it, as the loss of a node would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def s3_server(root, authority=None):
    """Run a server with a new folder until the end of the block, with its credentials in the environment."""
    server = S3Server(root, authority)
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        server.start()
        try:
            yield server
        finally:
            server.stop()
