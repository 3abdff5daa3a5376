"""The cache of bundles: one download for all processes, and nothing half-written or damaged is used."""

import multiprocessing
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import VoiceConfig
from kubevoice.storage import connect, publish_tree
from kubevoice_serving.replica import bundle_cache
from kubevoice_serving.replica.bundle_cache import BundleCache
from s3_server import s3_server


@pytest.fixture
def voice(tmp_path, monkeypatch, toy):
    with s3_server(tmp_path / "s3-root") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        publish_tree(toy.path, connect("s3://voices/toy", server.options()), "")
        storage = {"endpoint": server.endpoint, "pathStyle": True}
        yield VoiceConfig(name="toy", revision=toy.digest, uri="s3://voices/toy", storage=storage)


@pytest.fixture
def downloads(monkeypatch):
    """The downloads of this process, in a list."""
    folders = []
    fetch_tree = bundle_cache.fetch_tree
    monkeypatch.setattr(bundle_cache, "fetch_tree", lambda *args: (folders.append(args[2]), fetch_tree(*args)))
    return folders


def fetch_in_process(folder, voice, downloads):
    fetch_tree = bundle_cache.fetch_tree

    def count_and_fetch(*args):
        with downloads.get_lock():
            downloads.value += 1
        return fetch_tree(*args)

    bundle_cache.fetch_tree = count_and_fetch
    assert BundleCache(folder).fetch(voice).digest == voice.revision


def test_threads_and_processes_share_a_download(tmp_path, voice, downloads):
    cache = BundleCache(tmp_path / "threads")
    with ThreadPoolExecutor(4) as pool:
        assert {bundle.digest for bundle in pool.map(cache.fetch, [voice] * 4)} == {voice.revision}
    assert len(downloads) == 1
    context = multiprocessing.get_context("spawn")
    count = context.Value("i", 0)
    processes = [
        context.Process(target=fetch_in_process, args=(tmp_path / "processes", voice, count)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert count.value == 1


def test_a_damaged_bundle_is_fetched_again(tmp_path, voice, downloads):
    cache = BundleCache(tmp_path)
    folder = cache.fetch(voice).path
    (folder / "vocoder.onnx").write_bytes(b"damaged")
    assert cache.fetch(voice).digest == voice.revision
    assert len(downloads) == 2
    (folder / "voice.json").unlink()  # as an interrupted removal leaves it
    assert cache.fetch(voice).digest == voice.revision


def test_another_revision_at_the_address_is_refused_and_not_kept(tmp_path, voice):
    cache, wrong = BundleCache(tmp_path), voice.model_copy(update={"revision": f"sha256:{'0' * 64}"})
    for read in (cache.fetch, cache.read_manifest):
        with pytest.raises(InputError, match="correct the revision or the uri"):
            read(wrong)
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.name == "0" * 64]


def test_a_manifest_is_read_without_the_graphs_and_kept(tmp_path, voice, downloads):
    cache = BundleCache(tmp_path / "cache")
    assert cache.read_manifest(voice).speakers == ("first", "second")
    assert not downloads
    shutil.rmtree(tmp_path / "s3-root" / "voices", ignore_errors=True)
    assert cache.read_manifest(voice).speakers == ("first", "second")
