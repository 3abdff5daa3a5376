"""Speaking more than one sentence: the silence between them, and what a document asks for."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls, styled
from kubevoice.engine.engine import Engine
from kubevoice.text import Lexicon, Manner, Part, Passage, analyse, read_document
from kubevoice.text.ssml import Style, parse

__all__ = ["parts_of", "read_aloud", "speak_parts"]

PAUSE_SECONDS = 0.28
"""Silence between two sentences at normal speed."""


def parts_of(text: str, manner: Manner, *, ssml: bool = False) -> tuple[Part, ...]:
    """Return the sentences and silences of a text or of an SSML document; InputError if it cannot be spoken."""
    if ssml:
        return read_document(parse(text), manner)
    found = analyse(text, manner).sentences
    return tuple(Passage(sentence, (Style(),) * len(sentence.units)) for sentence in found)


def speak_parts(engine: Engine, parts: Sequence[Part], controls: Controls) -> Iterator[NDArray[np.float32]]:
    """Yield the samples [T] of each part, with a short silence between two sentences."""
    pause = round(PAUSE_SECONDS / controls.speed * engine.sample_rate)
    after_speech = False
    for part in parts:
        if isinstance(part, Passage):
            each = {style: styled(controls, style, engine.manifest) for style in set(part.styles)}
            audio = engine.speak(part.sentence.units, [each[style] for style in part.styles])
            yield np.pad(audio, (pause if after_speech else 0, 0))
        else:
            yield np.zeros(round(part.seconds * engine.sample_rate), np.float32)
        after_speech = isinstance(part, Passage)


def read_aloud(
    engine: Engine, text: str, controls: Controls, *, ssml: bool = False, lexicon: Lexicon | None = None
) -> NDArray[np.float32]:
    """Speak a text or an SSML document: samples [T]; readings of `lexicon` come before the voice's own.

    Raises InputError for what the voice cannot speak.
    """
    parts = parts_of(text, engine.manner.with_lexicon(lexicon), ssml=ssml)
    return np.concatenate(list(speak_parts(engine, parts, controls)))
