"""What is heard in order: sentences, the silence between them, and what a document asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubevoice.engine.controls import Controls, styled, unmet
from kubevoice.engine.engine import Engine
from kubevoice.text import Lexicon, Part, Passage, analyse, read_document
from kubevoice.text.ssml import Break, Notice, Style, parse

__all__ = ["PAUSE_SECONDS", "Script", "Turn", "script_of", "turns"]

PAUSE_SECONDS = 0.28
"""Silence between two sentences at normal speed."""


@dataclass(frozen=True, slots=True)
class Script:
    """Sentences and silences in order, and what of the document they come from is not obeyed."""

    parts: tuple[Part, ...]
    notices: tuple[Notice, ...] = ()


def script_of(engine: Engine, text: str, *, ssml: bool = False, lexicon: Lexicon | None = None) -> Script:
    """Read a text or an SSML document as a voice does; readings of `lexicon` come before the voice's own.

    Raises InputError if it cannot be spoken.
    """
    manner = engine.manner.with_lexicon(lexicon)
    if not ssml:
        found = analyse(text, manner).sentences
        return Script(tuple(Passage(sentence, (Style(),) * len(sentence.units)) for sentence in found))
    document = parse(text)
    parts = read_document(document, manner)
    styles = (style for part in parts if isinstance(part, Passage) for style in part.styles)
    return Script(parts, document.notices + unmet(styles, engine.manifest))


@dataclass(frozen=True, slots=True)
class Turn:
    """A part, the samples of silence that come before it, and the controls of each unit if it is spoken."""

    part: Part
    silence: int
    controls: tuple[Controls, ...] = ()


def turns(engine: Engine, parts: Sequence[Part], controls: Controls) -> Iterator[Turn]:
    """Yield what is heard in order: a document's silences, and a short one between two sentences."""
    pause = round(PAUSE_SECONDS / controls.speed * engine.sample_rate)
    after_speech = False
    for part in parts:
        if isinstance(part, Passage):
            each = {style: styled(controls, style, engine.manifest) for style in set(part.styles)}
            yield Turn(part, pause if after_speech else 0, tuple(each[style] for style in part.styles))
            after_speech = True
        elif isinstance(part, Break):
            yield Turn(part, round(part.seconds * engine.sample_rate))
            after_speech = False
        else:
            yield Turn(part, 0)
