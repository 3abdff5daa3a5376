"""Results from the response cache instead of a replica."""

import asyncio

import pytest
from kubevoice.resources.data_plane import IngressConfig
from kubevoice_serving.domain import SpeechHead, SynthesisRequest
from kubevoice_serving.replica.synthesizer import Synthesizer
from kubevoice_serving.routing.caching_backend import CachingBackend

NAMES = ("mei", "tom")


async def synthesize_head(backend, request):
    return (await backend.synthesize(request)).head


async def stream_head(backend, request):
    (head,) = [item async for item in backend.stream(request) if isinstance(item, SpeechHead)]
    return head


@pytest.mark.parametrize("get_head", [synthesize_head, stream_head])
def test_two_names_of_one_revision_do_not_share_results(toy, tmp_path, get_head):
    async def scenario():
        replica = Synthesizer(tmp_path)
        voices = [{"name": name, "revision": toy.digest, "uri": str(toy.path)} for name in NAMES]
        await replica.reconfigure({"voices": voices, "default": "mei"})
        backend = CachingBackend(replica)
        await backend.configure(IngressConfig(voices=dict.fromkeys(NAMES, toy.digest), default="mei"))
        for name in NAMES:
            first, second = [await get_head(backend, SynthesisRequest("你好。", name)) for _ in range(2)]
            assert (first.voice, first.cache_tier) == (name, "")
            assert (second.voice, second.cache_tier) == (name, "memory")
        default = await get_head(backend, SynthesisRequest("你好。"))
        assert (default.voice, default.cache_tier) == ("mei", "memory")

    asyncio.run(scenario())
