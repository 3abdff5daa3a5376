"""Graphs with mapped weights compute the same, are written once, and are written again when they are damaged."""

import numpy as np
import pytest
from kubevoice.engine import Engine
from kubevoice.session import open_session
from kubevoice.text import analyse
from kubevoice.voice import builtin_voice, load_bundle
from kubevoice_serving.replica import mapped_graphs
from kubevoice_serving.replica.graph_store import GraphStore
from kubevoice_serving.replica.mapped_graphs import MappedGraphs

UNITS = analyse("你好。").sentences[0].units


@pytest.fixture
def written(monkeypatch):
    """The graphs that were written, in a list."""
    paths = []

    def record(path, threads, *, optimized=None):
        if optimized:
            paths.append(path)
        return open_session(path, threads, optimized=optimized)

    monkeypatch.setattr(mapped_graphs, "open_session", record)
    return paths


def test_a_mapped_voice_sounds_the_same_and_is_written_once(tmp_path, written):
    bundle = load_bundle(builtin_voice("builtin://base"))
    expected = Engine(bundle).synthesize(UNITS)
    for _ in range(2):
        audio = GraphStore(MappedGraphs(tmp_path / "graphs")).open_engine(bundle, 1).synthesize(UNITS)
        np.testing.assert_array_equal(audio, expected)
        assert len(written) == 4
    (encoder,) = tmp_path.glob(f"graphs/{bundle.manifest.files['encoder.onnx'][:32]}-*/weights.bin")
    encoder.write_bytes(b"damaged")
    audio = GraphStore(MappedGraphs(tmp_path / "graphs")).open_engine(bundle, 1).synthesize(UNITS)
    np.testing.assert_array_equal(audio, expected)
    assert len(written) == 5


def test_without_a_folder_to_write_in_the_graph_is_opened_as_it_is(tmp_path, toy, written):
    (tmp_path / "file").touch()
    engine = GraphStore(MappedGraphs(tmp_path / "file" / "graphs")).open_engine(toy, 1)
    assert len(engine.synthesize(UNITS)) > 0
    assert not written
