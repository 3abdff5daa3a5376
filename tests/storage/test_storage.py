"""Files and S3 behave alike, on a real folder and a real S3 server."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kubevoice.errors import InputError, KubeVoiceError, StorageError
from kubevoice.storage import S3Options, connect, fetch_tree, publish_tree, published_digest
from s3_server import s3_server
from testcluster.pki import Authority


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


def test_a_server_is_trusted_by_the_certificates_that_are_named_and_by_no_others(tmp_path, monkeypatch):
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    with s3_server(tmp_path / "s3-root", ours) as server:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(ours.certificate))  # as pods get spec.storage.caBundleRef
        storage = connect("s3://voices", server.options())
        storage.write("a", b"1")
        assert storage.read("a") == b"1"
        monkeypatch.setenv("AWS_CA_BUNDLE", str(others.certificate))
        with pytest.raises(StorageError, match=r"is not trusted; set spec\.storage\.caBundleRef"):
            connect("s3://voices", server.options()).read("a")


def test_what_is_not_there_is_bad_input_and_leaves_nothing(storage, tmp_path):
    with pytest.raises(InputError, match=r"no such (file|object)"):
        storage.read("nothing")
    with pytest.raises(InputError):
        storage.download("nothing", tmp_path / "copy")
    assert list(tmp_path.glob("*copy*")) == []


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", "a\\b", "", "a\nb"])
def test_no_key_leaves_the_root(storage, key):
    attempts = (storage.read, storage.exists, storage.delete, storage.delete_below, lambda k: storage.write(k, b""))
    for attempt in attempts:
        with pytest.raises(InputError):
            attempt(key)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="symbolic link"):
        connect(str(tmp_path / "store")).read("link")


def test_a_folder_is_deleted_whole_and_nothing_beside_it(storage):
    for key in ("b/abc/one", "b/abc/sub/two", "b/abcd/three", "b/abc.json", "b/x"):
        storage.write(key, b".")
    assert storage.delete_below("b/abc") == 2
    assert storage.delete_below("b/abc/") == 0
    assert storage.delete_below("b/x") == 1
    assert [item.key for item in storage.list()] == ["b/abc.json", "b/abcd/three"]


def test_more_than_one_page_is_listed_and_deleted(s3, tmp_path):
    many = connect(f"s3://voices/{tmp_path.name}", s3)
    for number in range(1001):  # a page has a thousand
        many.write(f"p/{number:04d}", b"")
    assert len(list(many.list("p/"))) == 1001
    assert many.delete_below("p") == 1001
    assert list(many.list()) == []


def test_a_tree_exists_only_once_it_is_whole(storage, tmp_path):
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub" / "b").write_text("b")
    storage.write("t/a", b"a")  # a publisher that died before its manifest
    assert published_digest(storage, "t") is None
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
    for attempt in (lambda at: at.write("a", b""), lambda at: at.exists("a"), lambda at: list(at.list())):
        with pytest.raises(StorageError, match="bucket nowhere does not exist"):
            attempt(connect("s3://nowhere", s3))
    with pytest.raises(StorageError, match=r"cannot be reached; check spec\.storage\.endpoint"):
        connect("s3://voices", S3Options("http://127.0.0.1:9", path_style=True, patience_seconds=0)).read("a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError, match=r"secret key is wrong; check spec\.storage\.secretRef"):
        connect("s3://voices", s3).read("a")


def test_an_outage_is_waited_out(new_server, tmp_path):
    storage, large = connect("s3://voices/x", new_server.options()), tmp_path / "large"
    large.write_bytes(bytes(20 << 20))  # several parts
    storage.write("a", b"1")
    new_server.stop()
    back = threading.Timer(6, new_server.start)
    back.start()
    began = time.monotonic()
    assert storage.read("a") == b"1"
    assert time.monotonic() - began > 5
    back.join()
    new_server.stop()
    back = threading.Timer(6, new_server.start)
    back.start()
    storage.upload(large, "large")
    back.join()
    storage.download("large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()


def test_patience_ends(new_server):
    storage = connect("s3://voices", new_server.options(patience_seconds=3))
    new_server.stop()
    began = time.monotonic()
    with pytest.raises(StorageError, match="cannot be reached"):
        storage.read("a")
    assert 3 <= time.monotonic() - began < 20


@pytest.fixture(params=["<html><body>Welcome</body></html>", "Welcome", ""])
def web_server(request):
    """A server that is not S3: it answers every request with 200 and the same text."""
    requests, page = [], request.param.encode()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page)

        do_HEAD = do_PUT = do_GET  # noqa: N815  # names of http.server

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


@pytest.mark.parametrize(
    "use",
    [
        lambda at: list(at.list()),
        lambda at: at.exists("a"),
        lambda at: at.read("a"),
        lambda at: at.write("a", b"1"),
    ],
    ids=["list", "exists", "read", "write"],
)
def test_a_server_that_is_not_s3_is_named_as_such_after_few_requests(web_server, monkeypatch, use):
    endpoint, requests = web_server
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    storage = connect("s3://voices/x", S3Options(endpoint=endpoint, path_style=True))
    with pytest.raises(StorageError, match="does not answer as an S3 server does") as failure:
        use(storage)
    assert endpoint in str(failure.value)
    assert "500" not in str(failure.value).replace(endpoint, "")
    assert len(requests) <= 2
