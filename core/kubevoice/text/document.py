"""From a text or an SSML document to sentences with a style for each unit, silences and bookmarks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubevoice.errors import SilentError
from kubevoice.text.analysis import Sentence
from kubevoice.text.front_end_config import FrontEndConfig
from kubevoice.text.inline_hints import parse_hints
from kubevoice.text.markup import find_tags
from kubevoice.text.pipeline import analyse_spans
from kubevoice.text.ssml import Break, Document, Mark, Speech, Style, is_document, parse
from kubevoice.text.unread_characters import find_unread

__all__ = ["PLAIN", "Part", "Passage", "parse_text", "read_document"]

PLAIN = FrontEndConfig()
"""The default settings: an empty lexicon, English as syllables."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence with the style of each of its units and the bookmarks in it.

    Attributes
    ----------
    sentence
        The sentence, with N units.
    styles
        The style of each unit, [N].
    marks
        Each bookmark with the index of the unit before which it stands.
    """

    sentence: Sentence
    styles: tuple[Style, ...]
    marks: tuple[tuple[int, Mark], ...] = ()


Part = Passage | Break | Mark
"""A bookmark is a part of its own where no sentence follows before the next silence."""


def parse_text(text: str, config: FrontEndConfig = PLAIN, *, ssml: bool = False) -> Document:
    """Split a text into spans.

    Parameters
    ----------
    text
        Plain text or an SSML document.
    config
        The voice's front-end config.
    ssml
        Whether the text must be an SSML document; otherwise it is one if it begins with <speak>.

    Returns
    -------
    Document
        Spans, and notices about tags and characters that have no effect.

    Raises
    ------
    InputError
        If the document is not valid, or a pause is too long.
    """
    if ssml or is_document(text):
        return parse(text)
    notices = find_tags(text, keep_code=config.keep_code) + find_unread(text, config.lexicon)
    return Document(tuple(parse_hints(text, config)), notices)


def read_document(document: Document, config: FrontEndConfig = PLAIN) -> tuple[Part, ...]:
    """Run the front end on a parsed document.

    Sentences do not go on across a silence.

    Parameters
    ----------
    document
        The spans of a text or of an SSML document.
    config
        The voice's front-end config.

    Returns
    -------
    tuple[Part, ...]
        Passages, silences and bookmarks in order.

    Raises
    ------
    SilentError
        If nothing in the document has a reading.
    InputError
        If a character has no known reading.
    """
    parts: list[Part] = []
    run: list[Speech] = []
    marks: list[tuple[int, Mark]] = []
    for span in (*document.spans, Break(0.0)):
        if isinstance(span, Speech):
            run.append(span)
        elif isinstance(span, Mark):
            marks.append((len(run), span))
        else:
            parts += _passages(analyse_spans(run, config), run, marks)
            run, marks = [], []
            if span.seconds:
                parts.append(span)
    if not any(isinstance(part, Passage) for part in parts):
        text = "".join(span.text for span in document.spans if isinstance(span, Speech))
        raise SilentError(f"{text[:40]!r} has nothing that can be spoken in Mandarin; add some Chinese text")
    return tuple(parts)


def _passages(sentences: Sequence[Sentence], run: Sequence[Speech], marks: Iterable[tuple[int, Mark]]) -> list[Part]:
    """Style the sentences of a run; a mark goes before the first unit of the spans that follow it."""
    units = [(s, u, source) for s, sentence in enumerate(sentences) for u, source in enumerate(sentence.sources)]
    within: list[list[tuple[int, Mark]]] = [[] for _ in sentences]
    after: list[Part] = []
    for span, mark in marks:
        place = next(((s, u) for s, u, source in units if source >= span), None)
        if place is None:
            after.append(mark)
        else:
            within[place[0]].append((place[1], mark))
    passages = (
        Passage(sentence, tuple(run[source].style for source in sentence.sources), tuple(inside))
        for sentence, inside in zip(sentences, within, strict=True)
    )
    return [*passages, *after]
