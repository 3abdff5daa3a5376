"""The least recently used voices leave when there is no room; invariants hold whatever happens."""

import random

import pytest
from kubevoice_serving.replica.residents import ResidentSet

BUDGET = 100


def never(_):
    return False


def load(residents, key, graphs, now, is_pinned=never):
    removed = residents.reserve(key, graphs, now, is_pinned)
    if removed is not None:
        residents.fill(key, f"engine {key}", now)
    return removed


def test_the_least_recently_used_leaves_and_parts_that_are_shared_count_once():
    residents = ResidentSet(BUDGET)
    for now, key in enumerate("abc"):
        assert load(residents, key, {f"encoder {key}": 25, "vocoder": 25}, now) == []
    assert residents.memory_bytes == BUDGET
    residents.touch("a", 10)
    assert load(residents, "d", {"encoder d": 25, "vocoder": 25}, 11) == ["b"]
    assert residents.get("a") == "engine a"
    assert residents.get("b") is None


def test_what_frees_nothing_stays():
    residents = ResidentSet(BUDGET)
    load(residents, "twin", {"shared": 40}, 0)
    load(residents, "other", {"other": 30}, 1)
    load(residents, "user", {"shared": 40}, 2)
    assert load(residents, "new", {"new": 50}, 3, lambda key: key == "user") == ["other"]
    assert set(residents.keys) == {"twin", "user", "new"}


def test_without_room_nothing_is_removed():
    residents = ResidentSet(BUDGET)
    load(residents, "idle", {"idle": 50}, 0)
    load(residents, "busy", {"busy": 50}, 1)
    assert load(residents, "new", {"new": 60}, 2, lambda key: key == "busy") is None
    assert set(residents.keys) == {"idle", "busy"}
    assert not residents.could_fit({"new": 60}, lambda key: key == "busy")
    assert residents.could_fit({"new": 50}, lambda key: key == "busy")


@pytest.mark.parametrize("seed", range(20))
def test_invariants_hold_while_voices_are_loaded_used_and_unloaded_at_random(seed):
    draw = random.Random(seed)  # noqa: S311  # no secret
    costs = {part: draw.randint(1, 40) for part in range(12)}
    voices = {voice: {str(part): costs[part] for part in draw.sample(range(12), 3)} for voice in range(30)}
    residents, pins, used_at = ResidentSet(BUDGET), set(), {}
    for now in range(2000):
        voice = draw.choice(list(voices))
        if draw.random() < 0.3 and pins:
            pins.discard(draw.choice(sorted(pins)))
        if residents.get(voice) is not None:
            residents.touch(voice, now)
            used_at[voice] = now
        else:
            before = set(residents.keys)
            removed = load(residents, voice, voices[voice], now, pins.__contains__)
            assert set(residents.keys) == (before if removed is None else before - {*removed} | {voice})
            if removed is not None:
                assert pins.isdisjoint(removed)
                used_at[voice] = now
        if residents.get(voice) is not None and draw.random() < 0.2 and len(pins) < 3:
            pins.add(voice)
        if draw.random() < 0.02 and voice not in pins:
            residents.remove(voice)
        parts = {part: cost for key in residents.keys for part, cost in voices[key].items()}
        assert residents.memory_bytes == sum(parts.values()) <= BUDGET
        assert pins <= {*residents.keys}
        assert all(residents.last_use(key) == used_at[key] for key in residents.keys)
