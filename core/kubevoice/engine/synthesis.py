"""Synthesis of a script: samples and the times of its sentences and bookmarks."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls
from kubevoice.engine.decoder import DecoderScheduler
from kubevoice.engine.engine import Engine
from kubevoice.engine.script import build_script, iter_segments
from kubevoice.engine.timing import Times, time_mark, time_passage
from kubevoice.text import Part, Passage, ReadingOptions
from kubevoice.text.ssml import Mark

__all__ = ["SamplesOrTimes", "synthesize_parts", "synthesize_text", "synthesize_with_times"]

SamplesOrTimes = NDArray[np.float32] | Times


def synthesize_with_times(
    engine: Engine, parts: Sequence[Part], controls: Controls, *, scheduler: DecoderScheduler | None = None
) -> Iterator[SamplesOrTimes]:
    """Yield the samples of all parts, and the times of each sentence and bookmark.

    The times of a sentence come before its samples and equal those of `time_parts`.

    Parameters
    ----------
    engine
        The voice.
    parts
        The parts of a script.
    controls
        Controls of the request.
    scheduler
        As in `Engine.decode`; with it, empty arrays are yielded where another utterance may go first.

    Yields
    ------
    SamplesOrTimes
        Samples, [T], or times.

    Raises
    ------
    InputError
        If the voice cannot synthesize a part.
    """
    at = 0
    for segment in iter_segments(engine, parts, controls):
        if segment.leading_silence_samples:
            yield np.zeros(segment.leading_silence_samples, np.float32)
            at += segment.leading_silence_samples
        if isinstance(segment.part, Passage):
            encoded = engine.encode(segment.part.sentence.units, segment.controls)
            yield time_passage(engine, segment.part, encoded.durations, at)
            yield from engine.decode(encoded, scheduler=scheduler)
            at += int(encoded.durations.sum()) * engine.manifest.hop
        elif isinstance(segment.part, Mark):
            yield time_mark(engine, segment.part, at)


def synthesize_parts(
    engine: Engine, parts: Sequence[Part], controls: Controls, *, scheduler: DecoderScheduler | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of all parts, with a short silence between two sentences.

    Parameters
    ----------
    engine
        The voice.
    parts
        The parts of a script.
    controls
        Controls of the request.
    scheduler
        As in `Engine.decode`.

    Yields
    ------
    NDArray[np.float32]
        Samples, [T].

    Raises
    ------
    InputError
        If the voice cannot synthesize a part.
    """
    items = synthesize_with_times(engine, parts, controls, scheduler=scheduler)
    return (samples for samples in items if not isinstance(samples, Times))


def synthesize_text(
    engine: Engine, text: str, controls: Controls, *, ssml: bool = False, options: ReadingOptions | None = None
) -> NDArray[np.float32]:
    """Synthesize a text or an SSML document.

    Parameters
    ----------
    engine
        The voice.
    text
        Plain text, or an SSML document if `ssml` is true.
    controls
        Controls of the request.
    ssml
        Whether `text` is an SSML document.
    options
        How this text is read; None for the defaults.

    Returns
    -------
    NDArray[np.float32]
        Samples, [T], at the voice's sample rate.

    Raises
    ------
    InputError
        If nothing in the text has a reading, a character has no known reading, or the voice lacks a speaker or an
        emotion.
    """
    script = build_script(engine, text, ssml=ssml, options=options)
    return np.concatenate(list(synthesize_parts(engine, script.parts, controls)))
