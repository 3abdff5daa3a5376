"""Speaking more than one sentence: the silence between them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls
from kubevoice.engine.engine import Engine
from kubevoice.text import Sentence, analyse

__all__ = ["read_aloud", "speak_sentences"]

PAUSE_SECONDS = 0.28
"""Silence between two sentences at normal speed."""


def speak_sentences(engine: Engine, sentences: Sequence[Sentence], controls: Controls) -> Iterator[NDArray[np.float32]]:
    """Yield the samples [T] of each sentence, with a short silence before every one but the first."""
    pause = np.zeros(round(PAUSE_SECONDS / controls.speed * engine.sample_rate), np.float32)
    for number, sentence in enumerate(sentences):
        audio = engine.speak(sentence.units, controls)
        yield np.concatenate([pause, audio]) if number else audio


def read_aloud(engine: Engine, text: str, controls: Controls) -> NDArray[np.float32]:
    """Speak a text: samples [T]. Raises InputError for text or controls the voice cannot speak."""
    return np.concatenate(list(speak_sentences(engine, analyse(text).sentences, controls)))
