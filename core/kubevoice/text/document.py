"""An SSML document, read: sentences with a style for each unit, and silences."""

from dataclasses import dataclass

from kubevoice.errors import InputError
from kubevoice.text.manner import Manner
from kubevoice.text.pipeline import PLAIN, Sentence, analyse_spans
from kubevoice.text.ssml import Break, Document, Speech, Style

__all__ = ["Part", "Passage", "read_document"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence to speak, and the style of each of its units."""

    sentence: Sentence
    styles: tuple[Style, ...]


Part = Passage | Break


def read_document(document: Document, manner: Manner = PLAIN) -> tuple[Part, ...]:
    """Return what is to be spoken, in order; a silence parts sentences.

    Raises InputError if nothing in it can be spoken, or a character has no reading.
    """
    parts: list[Part] = []
    run: list[Speech] = []
    for span in (*document.spans, Break(0.0)):
        if isinstance(span, Speech):
            run.append(span)
        elif isinstance(span, Break):
            found = analyse_spans(run, manner)
            parts += [Passage(s, tuple(run[source].style for source in s.sources)) for s in found]
            run = []
            if span.seconds:
                parts.append(span)
    if not any(isinstance(part, Passage) for part in parts):
        raise InputError("the SSML document has nothing that can be spoken in Mandarin; give it some Chinese text")
    return tuple(parts)
