"""A replica that loads voices on demand: each voice is independent of the others, and memory stays in its budget."""

import asyncio
import shutil
from contextlib import aclosing

import pytest
from kubevoice_serving.domain import (
    AtCapacityError,
    Refusal,
    SpeechHead,
    SynthesisRequest,
    SynthesisResult,
    UnavailableError,
    VoiceState,
)
from kubevoice_serving.replica import graph_store, resident_engines, voice_failures
from kubevoice_serving.replica.mapped_graphs import MappedGraphs
from kubevoice_serving.replica.synthesizer import Synthesizer
from toy_voice import make_toy_voice

DEADLINE_SECONDS = 60
LONG_TEXT = "今天天气真好。" * 200


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Four voices that share no graph."""
    folder = tmp_path_factory.mktemp("pool")
    return {name: make_toy_voice(folder / name, name, own_graphs=True) for name in ("anna", "bert", "carl", "dora")}


@pytest.fixture
def room_for_two(monkeypatch, bundles):
    """Make each voice cost 0.4 MiB, and the budget of 1 MiB hold two."""
    size = sum(graph_store.measure_graphs(bundles["anna"]).values()) / graph_store.MEMORY_FACTOR
    monkeypatch.setattr(graph_store, "MEMORY_FACTOR", 0.4 * (1 << 20) / size)


def build_config(bundles, **residency):
    voices = [{"name": name, "revision": bundle.digest, "uri": str(bundle.path)} for name, bundle in bundles.items()]
    return {"voices": voices, "residency": {"memoryMegabytes": 1, "idleSeconds": 3600} | residency}


async def speak(replica, voice):
    return await replica.synthesize(SynthesisRequest("你好。", voice))


async def wait_for_state(replica, condition):
    for _ in range(DEADLINE_SECONDS * 20):
        state = await replica.get_state()
        if condition(state):
            return state
        await asyncio.sleep(0.05)
    raise AssertionError(state)


def run(tmp_path, scenario):
    async def run_scenario():
        await scenario(Synthesizer(tmp_path / "cache"))

    asyncio.run(run_scenario())


def test_voices_are_loaded_at_their_first_request_once_and_listed_before(tmp_path, bundles):
    async def scenario(replica):
        await replica.reconfigure(build_config(bundles, keep=["dora"]))
        state = await wait_for_state(replica, lambda state: not state.loading)
        assert state.voices == {name: bundle.digest for name, bundle in bundles.items()}
        assert state.resident.voices == {"dora": bundles["dora"].digest}
        listed = await replica.list_voices()
        assert [voice.state for voice in listed] == [VoiceState.AVAILABLE] * 3 + [VoiceState.LOADED]
        assert {voice.speakers for voice in listed} == {("first", "second")}
        results = await asyncio.gather(*(speak(replica, "bert") for _ in range(5)))
        assert {result.head.revision for result in results} == {bundles["bert"].digest}
        state = await replica.get_state()
        assert set(state.resident.voices) == {"bert", "dora"}
        assert state.resident.loads["bert"].loads == 1

    run(tmp_path, scenario)


def test_graphs_of_equal_content_are_accounted_for_and_loaded_once(tmp_path, toy, other_toy, monkeypatch):
    opened = []
    open_graph = MappedGraphs.open
    monkeypatch.setattr(MappedGraphs, "open", lambda *args: opened.append(args) or open_graph(*args))

    async def scenario(replica):
        await replica.reconfigure(build_config({"toy": toy, "other": other_toy}))
        await speak(replica, "toy")
        memory = (await replica.get_state()).resident.memory_bytes
        result = await speak(replica, "other")
        assert result.head.sample_rate == other_toy.manifest.sample_rate
        assert (await replica.get_state()).resident.memory_bytes == memory
        assert len(opened) == 4

    run(tmp_path, scenario)


def test_a_broken_voice_fails_alone_and_is_loaded_when_it_is_repaired(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(voice_failures, "FIRST_SECONDS", 0.1)
    broken = tmp_path / "broken"
    shutil.copytree(bundles["anna"].path, broken)
    (broken / "decoder.onnx").write_bytes(b"damaged")
    config = build_config(bundles)
    config["voices"][0]["uri"] = str(broken)

    async def scenario(replica):
        await replica.reconfigure(config)
        outcome = await speak(replica, "anna")
        assert isinstance(outcome, UnavailableError)
        assert "decoder.onnx: content differs" in str(outcome)
        assert isinstance(await speak(replica, "bert"), SynthesisResult)
        state = await replica.get_state()
        assert list(state.errors) == ["anna"]
        assert "anna" not in state.voices
        assert {voice.name: voice.state for voice in await replica.list_voices()}["anna"] is VoiceState.FAILED
        shutil.copy(bundles["anna"].path / "decoder.onnx", broken)
        while isinstance(outcome := await speak(replica, "anna"), UnavailableError):
            assert outcome.retry_after
            await asyncio.sleep(0.05)
        assert outcome.head.revision == bundles["anna"].digest
        assert not (await replica.get_state()).errors

    run(tmp_path, scenario)


def test_a_change_touches_its_own_voice_and_no_stream_in_progress(tmp_path, bundles, monkeypatch):
    new = make_toy_voice(tmp_path / "new", "new", sample_rate=4000)

    async def scenario(replica):
        await replica.reconfigure(build_config({name: bundles[name] for name in ("anna", "bert")}))
        await speak(replica, "bert")
        async with aclosing(replica.stream(SynthesisRequest(LONG_TEXT, "anna"))) as items:
            head = await anext(items)
            assert isinstance(head, SpeechHead)
            await replica.reconfigure(build_config({"anna": new, "carl": bundles["carl"]}))
            state = await wait_for_state(replica, lambda state: state.voices.get("anna") == new.digest)
            assert (await speak(replica, "anna")).head.revision == new.digest
            assert isinstance(await speak(replica, "bert"), Refusal)
            await replica.reconfigure(build_config({"anna": new, "bert": bundles["bert"]}))
            assert (await speak(replica, "bert")).head.revision == bundles["bert"].digest
            state = await replica.get_state()
            assert state.resident.loads["anna"].loads == 2
            async for item in items:
                last = item
        assert last.audio_seconds > 60

    run(tmp_path, scenario)


def test_the_old_revision_answers_until_the_new_one_is_loaded(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(voice_failures, "FIRST_SECONDS", 0.1)

    async def scenario(replica):
        await replica.reconfigure(build_config({"anna": bundles["anna"]}))
        await speak(replica, "anna")
        config = build_config({"anna": bundles["bert"]})
        config["voices"][0]["uri"] = str(tmp_path / "late")
        await replica.reconfigure(config)
        await wait_for_state(replica, lambda state: "anna" in state.errors)
        assert (await speak(replica, "anna")).head.revision == bundles["anna"].digest
        shutil.copytree(bundles["bert"].path, tmp_path / "late")
        await wait_for_state(replica, lambda state: state.voices == {"anna": bundles["bert"].digest})
        assert (await speak(replica, "anna")).head.revision == bundles["bert"].digest

    run(tmp_path, scenario)


def test_the_least_recently_used_voice_leaves_unless_it_speaks_or_is_kept(tmp_path, bundles, room_for_two, monkeypatch):
    monkeypatch.setattr(resident_engines, "ROOM_SECONDS", 0.2)

    async def scenario(replica):
        await replica.reconfigure(build_config(bundles))
        for voice in ("anna", "bert", "anna", "carl"):
            assert isinstance(await speak(replica, voice), SynthesisResult)
        state = await replica.get_state()
        assert set(state.resident.voices) == {"anna", "carl"}
        assert state.resident.loads["bert"].evictions == 1
        assert state.resident.memory_bytes <= state.resident.budget_bytes == 1 << 20
        async with aclosing(replica.stream(SynthesisRequest(LONG_TEXT, "anna"))) as items:
            await anext(items)
            assert isinstance(await speak(replica, "dora"), SynthesisResult)
            assert set((await replica.get_state()).resident.voices) == {"anna", "dora"}
            await replica.reconfigure(build_config(bundles, keep=["dora"]))
            assert isinstance(await speak(replica, "bert"), AtCapacityError)
        assert isinstance(await speak(replica, "bert"), SynthesisResult)
        assert set((await replica.get_state()).resident.voices) == {"bert", "dora"}

    run(tmp_path, scenario)


def test_a_voice_that_can_never_fit_says_so(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(graph_store, "MEMORY_FACTOR", 1e6)

    async def scenario(replica):
        await replica.reconfigure(build_config(bundles))
        outcome = await speak(replica, "anna")
        assert isinstance(outcome, UnavailableError)
        assert "enlarge memoryMegabytes" in str(outcome)

    run(tmp_path, scenario)


def test_an_idle_voice_is_unloaded_and_a_kept_one_is_not(tmp_path, bundles):
    async def scenario(replica):
        await replica.reconfigure(build_config(bundles, keep=["anna"], idleSeconds=0.2))
        await speak(replica, "bert")
        state = await wait_for_state(replica, lambda state: set(state.resident.voices) == {"anna"})
        assert state.voices["bert"] == bundles["bert"].digest

    run(tmp_path, scenario)


def test_an_unknown_voice_is_refused_with_near_names(tmp_path, bundles):
    many = {f"voice-{number}": bundles["anna"] for number in range(100)} | {"bert": bundles["bert"]}

    async def scenario(replica):
        await replica.reconfigure(build_config(many))
        refusal = await speak(replica, "berta")
        assert refusal.unknown_voice
        assert "near names are: bert;" in refusal.message
        assert len(refusal.message) < 200

    run(tmp_path, scenario)


def test_an_invalid_configuration_changes_nothing_and_is_reported(tmp_path, bundles):
    async def scenario(replica):
        await replica.reconfigure(build_config(bundles))
        await replica.reconfigure(build_config(bundles, keep=["nobody"]))
        assert "nobody" in (await replica.get_state()).error
        assert isinstance(await speak(replica, "anna"), SynthesisResult)

    run(tmp_path, scenario)


def test_a_replica_changes_between_both_ways_of_loading(tmp_path, bundles):
    async def scenario(replica):
        preloaded = build_config(bundles)
        del preloaded["residency"]
        await replica.reconfigure(preloaded)
        assert (await replica.get_state()).resident is None
        await replica.reconfigure(build_config(bundles))
        assert (await replica.get_state()).resident.voices == {}
        assert isinstance(await speak(replica, "carl"), SynthesisResult)
        await replica.reconfigure(preloaded)
        assert isinstance(await speak(replica, "carl"), SynthesisResult)

    run(tmp_path, scenario)
