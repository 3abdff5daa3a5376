"""Without its storage a replica still serves the voices that it has loaded."""

import asyncio
from dataclasses import replace

import pytest
from kubevoice.resources.data_plane import StorageConfig
from kubevoice.storage import connect, publish_tree
from kubevoice_serving.domain import Refusal, SynthesisRequest
from kubevoice_serving.replica.synthesizer import Synthesizer
from s3_server import s3_server

DEADLINE_SECONDS = 60


@pytest.fixture
def s3(tmp_path, monkeypatch):
    options = StorageConfig.s3_options
    # Otherwise requests to a lost storage are retried for 90 seconds.
    monkeypatch.setattr(StorageConfig, "s3_options", lambda config: replace(options(config), patience_seconds=0.5))
    with s3_server(tmp_path / "s3-root") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def build_config(server, bundle):
    storage = {"endpoint": server.endpoint, "pathStyle": True}
    uri = f"s3://voices/{bundle.manifest.name}"
    return {"voices": [{"name": "voice", "revision": bundle.digest, "uri": uri, "storage": storage}]}


async def synthesize_sample_rate(replica):
    result = await replica.synthesize(SynthesisRequest("你好。"))
    assert not isinstance(result, Refusal)
    return result.head.sample_rate


async def wait_until_loaded(replica):
    """Wait until the replica loads nothing any more; return its state."""
    for _ in range(DEADLINE_SECONDS * 20):
        state = await replica.get_state()
        if not state.loading:
            return state
        await asyncio.sleep(0.05)
    raise AssertionError(state)


def test_a_voice_is_served_without_storage_and_replaced_when_it_is_back(s3, tmp_path, toy, other_toy):
    for bundle in (toy, other_toy):
        publish_tree(bundle.path, connect(f"s3://voices/{bundle.manifest.name}", s3.options()), "")

    async def scenario():
        replica = Synthesizer(tmp_path / "cache")
        await replica.reconfigure(build_config(s3, toy))
        first = await synthesize_sample_rate(replica)
        s3.stop()
        assert await synthesize_sample_rate(replica) == first
        await replica.reconfigure(build_config(s3, other_toy))
        state = await wait_until_loaded(replica)
        assert s3.endpoint in state.error
        assert state.voices == {"voice": toy.digest}
        assert await synthesize_sample_rate(replica) == first
        s3.start()
        await replica.reconfigure(build_config(s3, other_toy))
        state = await wait_until_loaded(replica)
        assert (state.error, state.voices) == (None, {"voice": other_toy.digest})
        assert await synthesize_sample_rate(replica) == other_toy.manifest.sample_rate != first

    asyncio.run(scenario())
