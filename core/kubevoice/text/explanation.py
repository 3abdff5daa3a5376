"""The analysis of a text, with an account of which rule, table or model decided each part of it."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from kubevoice.text.analysis import Analysis, Decision, Word
from kubevoice.text.document import PLAIN, Part, Passage, parse_text, read_document
from kubevoice.text.front_end_config import FrontEndConfig
from kubevoice.text.pipeline import normalise_span
from kubevoice.text.ssml import Document, Speech
from kubevoice.text.traced_text import TracedText

__all__ = ["analyse", "explain"]

TABLES = ("lexicon", "brands")
"""Sources of words that are read instead of others; the rest are rules of normalisation."""


def _explain_words(words: Iterable[Word]) -> Iterator[Decision]:
    for word in words:
        if word.phones:
            spoken = " ".join(phone for phone, _ in word.phones)
            yield Decision(word.offset, word.text, spoken, "English")
        for source, syllables in groupby(word.syllables, lambda syllable: syllable.by):
            parts = list(syllables)
            # Syllables of a word with a reading of its own share its characters.
            characters = [part.char for part in parts]
            written = word.text if characters == [word.text] * len(parts) else "".join(characters)
            yield Decision(parts[0].offset, written, " ".join(part.base for part in parts), source)


def explain(document: Document, parts: Iterable[Part], config: FrontEndConfig) -> tuple[Decision, ...]:
    """List what decided each part of a text.

    Parameters
    ----------
    document
        The spans of the text.
    parts
        What `read_document` returns for them.
    config
        The voice's front-end config.

    Returns
    -------
    tuple[Decision, ...]
        The rules of normalisation that changed the text, then the readings of its words; each in order.
    """
    rules: list[Decision] = []
    for span in document.spans:
        if not isinstance(span, Speech):
            continue

        def record(name: str, written: TracedText, words: str, begin: int | None = span.offset) -> None:
            places = [origin for origin in written.origins if origin is not None]
            if places:
                offset = None if begin is None else begin + places[0]
                by = name if name in TABLES else f"rule: {name}"
                rules.append(Decision(offset, written.text, words, by))

        normalise_span(span, config, record)
    rules.sort(key=lambda decision: -1 if decision.offset is None else decision.offset)
    passages = (part for part in parts if isinstance(part, Passage))
    return (*rules, *(each for passage in passages for each in _explain_words(passage.sentence.words)))


def analyse(text: str, config: FrontEndConfig = PLAIN, *, explained: bool = False) -> Analysis:
    """Run the front end on a text.

    Parameters
    ----------
    text
        Plain text, or an SSML document in <speak>.
    config
        The voice's front-end config.
    explained
        Whether the analysis has decisions, too.

    Returns
    -------
    Analysis
        The sentences with their units.

    Raises
    ------
    SilentError
        If nothing in the text has a reading.
    InputError
        If a document is not valid, or a character has no known reading and the config is strict.
    """
    document = parse_text(text, config)
    parts = read_document(document, config)
    sentences = tuple(part.sentence for part in parts if isinstance(part, Passage))
    return Analysis(text, sentences, document.notices, explain(document, parts, config) if explained else ())
