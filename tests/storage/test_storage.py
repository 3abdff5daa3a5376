"""Files and S3 behave alike, on a real folder and a real S3 server."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.storage import S3Options, connect, fetch_tree, publish_tree, tree_published

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kubevoice" / "bin"
SECRET = "for-this-test-only"  # noqa: S105  # of a server that lives as long as these tests


def versitygw():
    """The server's binary, built once into the user's cache."""
    binary = CACHE / "versitygw"
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not binary.exists():
        if go is None:
            pytest.skip("Go is not installed, so the S3 server cannot be built")
        subprocess.run([go, "install", VERSITYGW], check=True, env=os.environ | {"GOBIN": str(CACHE)}, timeout=1500)
    return binary


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Options of a running server with the bucket `voices`."""
    binary, root = versitygw(), tmp_path_factory.mktemp("s3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [binary, "--port", f"127.0.0.1:{port}", "--access", "tester", "--secret", SECRET, "posix", root],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    options = S3Options(endpoint=f"http://127.0.0.1:{port}", path_style=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "tester")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.delenv("AWS_PROFILE", raising=False)
        client = boto3.client(
            "s3",
            endpoint_url=options.endpoint,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                client.create_bucket(Bucket="voices")
                break
            except BotoCoreError:
                assert process.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.1)
        yield options
    client.close()
    process.terminate()
    process.wait(10)


@pytest.fixture(params=["file", "s3"])
def storage(request, tmp_path):
    """An empty storage of each kind."""
    if request.param == "file":
        return connect((tmp_path / "store").as_uri())
    return connect(f"s3://voices/{tmp_path.name}", request.getfixturevalue("s3"))


def test_what_is_written_is_read_listed_and_deleted(storage, tmp_path):
    source, target = tmp_path / "语音.bin", tmp_path / "copy.bin"
    source.write_bytes(bytes(range(256)) * 64)
    storage.write("a/one.txt", b"1")
    storage.upload(source, "a/语音 1.bin")
    assert [(item.key, item.size) for item in storage.list("a/")] == [("a/one.txt", 1), ("a/语音 1.bin", 16384)]
    storage.download("a/语音 1.bin", target)
    assert target.read_bytes() == source.read_bytes()
    storage.write("a/one.txt", b"2")
    assert storage.read("a/one.txt") == b"2"
    storage.delete("a/one.txt")
    storage.delete("a/one.txt")
    assert not storage.exists("a/one.txt")


def test_what_is_not_there_is_bad_input_and_leaves_nothing(storage, tmp_path):
    with pytest.raises(InputError, match=r"no such (file|object)"):
        storage.read("nothing")
    with pytest.raises(InputError):
        storage.download("nothing", tmp_path / "copy")
    assert list(tmp_path.glob("*copy*")) == []


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", "a\\b", "", "a\nb"])
def test_no_key_leaves_the_root(storage, key):
    for attempt in (storage.read, storage.exists, storage.delete, lambda k: storage.write(k, b"")):
        with pytest.raises(InputError):
            attempt(key)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="symbolic link"):
        connect(str(tmp_path / "store")).read("link")


def test_a_tree_exists_only_once_it_is_whole(storage, tmp_path):
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub" / "b").write_text("b")
    storage.write("t/a", b"a")  # a publisher that died before its manifest
    assert tree_published(storage, "t") is None
    digest = publish_tree(folder, storage, "t")
    assert publish_tree(folder, storage, "t") == digest
    assert fetch_tree(storage, "t", tmp_path / "back", digest) == digest
    assert (tmp_path / "back" / "sub" / "b").read_text() == "b"
    storage.write("t/a", b"changed")
    with pytest.raises(KubeVoiceError, match="does not match its digest"):
        fetch_tree(storage, "t", tmp_path / "other", digest)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("https://host/x", "use s3:// or file://"),
        ("s3://", "bucket is missing"),
        ("file://host/x", "names no host"),
    ],
)
def test_an_address_that_cannot_be_is_explained(uri, complaint):
    with pytest.raises(InputError, match=complaint):
        connect(uri)


def test_s3_errors_say_what_to_do(s3, monkeypatch):
    with pytest.raises(KubeVoiceError, match="bucket nowhere does not exist"):
        connect("s3://nowhere", s3).write("a", b"")
    with pytest.raises(KubeVoiceError, match=r"cannot be reached; check spec\.storage\.endpoint"):
        connect("s3://voices", S3Options(endpoint="http://127.0.0.1:9", path_style=True)).read("a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(KubeVoiceError, match=r"secret key is wrong; check spec\.storage\.secretRef"):
        connect("s3://voices", s3).read("a")
