"""Steps of several utterances made together: fewer of them, and the same speech for each."""

import gc
from itertools import zip_longest

import numpy as np
import pytest
from kubevoice.engine import Controls, DecoderScheduler, Engine, open_session
from kubevoice.text import analyse
from kubevoice.voice import builtin_voice

TEXTS = ("你好。", "今天下午三点我们在公司的会议室里讨论明年的工作计划。", "周末常常要排队等一个多小时才能坐下。")
CONTROLS = (Controls(), Controls(speed=0.6), Controls(speed=2.0, emotion="happy"), Controls(volume=0.5))


class Counted:
    """A session that keeps how many utterances each of its steps was of."""

    def __init__(self, session):
        self._session, self.sizes, self.fails_at = session, [], None

    def get_inputs(self):
        return self._session.get_inputs()

    def run(self, outputs, feeds):
        self.sizes.append(len(feeds["frame"]))
        if len(self.sizes) == self.fails_at:
            raise MemoryError
        return self._session.run(outputs, feeds)


def counted_engine(bundle):
    sessions = {}

    def open_counted(path, threads):
        session = open_session(path, threads)
        return sessions.setdefault(path.stem, Counted(session) if path.stem == "decoder" else session)

    return Engine(bundle, opener=open_counted), sessions["decoder"]


def encode_text(engine, text, controls):
    units = analyse(text).sentences[0].units
    return engine.encode(units, [controls] * len(units))


def decode_in_turns(streams):
    """What each stream yields, a piece of each in turn."""
    rounds = list(zip_longest(*streams))
    return [np.concatenate([chunk for chunk in pieces if chunk is not None]) for pieces in zip(*rounds, strict=True)]


@pytest.mark.parametrize("voice", ["toy", "base"])
def test_everybody_hears_in_a_batch_what_he_hears_alone(voice, toy):
    engine = Engine.load(toy.path if voice == "toy" else builtin_voice("builtin://base"))
    sentences = [encode_text(engine, text, controls) for text in TEXTS for controls in CONTROLS]
    alone = [np.concatenate(list(engine.decode(one))) for one in sentences]
    scheduler = DecoderScheduler()
    batched = decode_in_turns([engine.decode(one, first_chunk_frames=12, scheduler=scheduler) for one in sentences])
    for one, other in zip(alone, batched, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_steps_of_all_are_made_together_once_they_have_begun(toy):
    engine, decoder = counted_engine(toy)
    sentence = encode_text(engine, TEXTS[1] * 3, Controls(speed=0.5))
    steps = len(sentence.memory.states)
    scheduler = DecoderScheduler()
    decode_in_turns([engine.decode(sentence, scheduler=scheduler) for _ in range(8)])
    first = decoder.sizes[: 8 * 12]
    assert first == [1] * 8 * 12, "nobody's first 36 frames wait for another's"
    assert sum(decoder.sizes) == 8 * steps, "no step is made twice"
    assert len(decoder.sizes) < 8 * 12 + 2 * (steps - 12), "eight listeners nearly cost one's steps"


def test_nobody_is_decoded_far_ahead_of_what_he_hears(toy):
    engine, decoder = counted_engine(toy)
    sentence = encode_text(engine, TEXTS[1] * 3, Controls(speed=0.5))
    scheduler = DecoderScheduler()
    waiting = engine.decode(sentence, scheduler=scheduler)
    next(waiting)
    before = len(decoder.sizes)
    list(engine.decode(sentence, scheduler=scheduler))
    shared = sum(size == 2 for size in decoder.sizes[before:])
    assert shared == 96 // 3


def test_who_has_left_costs_nothing_more(toy):
    engine, decoder = counted_engine(toy)
    sentence = encode_text(engine, TEXTS[1] * 3, Controls(speed=0.5))
    scheduler = DecoderScheduler()
    gone, stays = (engine.decode(sentence, scheduler=scheduler) for _ in range(2))
    next(gone)
    next(stays)
    del gone
    gc.collect()
    before = len(decoder.sizes)
    list(stays)
    assert set(decoder.sizes[before:]) == {1}


def test_a_step_that_fails_is_the_matter_of_whom_it_was_made_for(toy):
    engine, decoder = counted_engine(toy)
    sentence = encode_text(engine, TEXTS[1] * 3, Controls(speed=0.5))
    alone = np.concatenate(list(engine.decode(sentence)))
    scheduler = DecoderScheduler()
    other, leader = (engine.decode(sentence, scheduler=scheduler) for _ in range(2))
    chunk = next(other)
    next(leader)
    decoder.fails_at = len(decoder.sizes) + 5
    with pytest.raises(MemoryError):
        list(leader)
    np.testing.assert_array_equal(np.concatenate([chunk, *other]), alone)


def test_voices_do_not_share_steps(toy, other_toy):
    engine, decoder = counted_engine(toy)
    other, _ = counted_engine(other_toy)
    scheduler = DecoderScheduler()
    decode_in_turns(
        [one.decode(encode_text(one, TEXTS[1], Controls()), scheduler=scheduler) for one in (engine, other)]
    )
    assert set(decoder.sizes) == {1}
