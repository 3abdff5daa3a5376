"""Speaking more than one sentence, and telling on the way when each is heard."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls
from kubevoice.engine.decoding import Batch
from kubevoice.engine.engine import Engine
from kubevoice.engine.reading import script_of, turns
from kubevoice.engine.timing import Times, time_mark, time_passage
from kubevoice.text import Lexicon, Part, Passage
from kubevoice.text.ssml import Mark

__all__ = ["Heard", "read_aloud", "speak_and_time", "speak_parts"]

Heard = NDArray[np.float32] | Times


def speak_and_time(
    engine: Engine, parts: Sequence[Part], controls: Controls, *, batch: Batch | None = None
) -> Iterator[Heard]:
    """Yield the samples [T] of all parts as they are made, and before each sentence's and at each bookmark the times.

    They are those that `time_parts` returns, and the samples those of `speak_parts`. In a batch there are empty pieces,
    as of `Engine.decode`.
    """
    at = 0
    for turn in turns(engine, parts, controls):
        if turn.silence:
            yield np.zeros(turn.silence, np.float32)
            at += turn.silence
        if isinstance(turn.part, Passage):
            encoded = engine.encode(turn.part.sentence.units, turn.controls)
            yield time_passage(engine, turn.part, encoded.frames, at)
            yield from engine.decode(encoded, batch=batch)
            at += int(encoded.frames.sum()) * engine.manifest.hop
        elif isinstance(turn.part, Mark):
            yield time_mark(engine, turn.part, at)


def speak_parts(
    engine: Engine, parts: Sequence[Part], controls: Controls, *, batch: Batch | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield the samples [T] of all parts as they are made, with a short silence between two sentences."""
    heard = speak_and_time(engine, parts, controls, batch=batch)
    return (samples for samples in heard if not isinstance(samples, Times))


def read_aloud(
    engine: Engine, text: str, controls: Controls, *, ssml: bool = False, lexicon: Lexicon | None = None
) -> NDArray[np.float32]:
    """Speak a text or an SSML document, read as `script_of` does: samples [T].

    Raises InputError for what the voice cannot speak.
    """
    script = script_of(engine, text, ssml=ssml, lexicon=lexicon)
    return np.concatenate(list(speak_parts(engine, script.parts, controls)))
