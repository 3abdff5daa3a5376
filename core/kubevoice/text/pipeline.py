"""The front end: from text to sentences of linguistic units, all stages in order."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from kubevoice.text.analysis import Sentence, Syllable, Word
from kubevoice.text.brands import load_brands
from kubevoice.text.characters import clean, to_chinese_punctuation
from kubevoice.text.english import get_english_phones, get_mandarin_syllables
from kubevoice.text.front_end_config import FrontEndConfig
from kubevoice.text.g2p import Reading, WordReading, resolve_readings
from kubevoice.text.latin_names import find_names
from kubevoice.text.markup import strip_markup
from kubevoice.text.normalisation import Record, normalise, record_matches
from kubevoice.text.prosodic_boundaries import predict_boundaries
from kubevoice.text.sandhi import apply_sandhi
from kubevoice.text.segment import PAUSES, is_han, is_latin, split_sentences, split_words
from kubevoice.text.ssml.spans import Speech
from kubevoice.text.syllables import merge_erhua
from kubevoice.text.traced_text import Origin, TracedText
from kubevoice.text.units import Unit, build_boundary_unit
from kubevoice.text.unread_characters import pass_over_unread

__all__ = ["analyse_spans", "normalise_span"]


def analyse_spans(spans: Sequence[Speech], config: FrontEndConfig) -> list[Sentence]:
    """Run the front end on the spans of one continuous text; a sentence may go on from span to span.

    Parameters
    ----------
    spans
        The text, in parts of one style each.
    config
        The voice's front-end config.

    Returns
    -------
    list[Sentence]
        The sentences that have a reading.

    Raises
    ------
    InputError
        If a character has no known reading and the config is strict.
    """
    text = TracedText.join(
        _encode_origins(normalise_span(span, config), number, span.offset) for number, span in enumerate(spans)
    )
    reader = _SentenceReader(spans, config)
    return [sentence for part in split_sentences(text) if (sentence := reader.read(part))]


def _get_words(span: Speech) -> TracedText:
    """Return the text of a span without markup, with origins from the span's beginning."""
    if span.origins is not None:
        return TracedText(span.text, span.origins)
    written = TracedText.from_input(span.text)
    return written if span.literal else strip_markup(written)


def _replace_words(text: TracedText, config: FrontEndConfig, record: Record) -> TracedText:
    """Put the lexicon's words and the usual respellings of brands in the place of others."""
    brands, brand_pattern = load_brands()
    tables = (
        ("lexicon", partial(_get_entry, config.words), config.word_pattern),
        ("brands", partial(_get_brand, brands), brand_pattern),
    )
    for name, look_up, pattern in tables:
        if pattern is not None:
            record_matches(name, text, pattern, look_up, record)
            text = text.sub(pattern, look_up)
    return text


def _get_entry(words: Mapping[str, str], match: re.Match[str]) -> str:
    return words[match[0]]


def _get_brand(brands: Mapping[str, str], match: re.Match[str]) -> str:
    # Without the space a number would be read as one of the letters before it.
    space = " " if match.string[match.end() : match.end() + 1].isdigit() else ""
    return brands[match[0]] + space


def normalise_span(span: Speech, config: FrontEndConfig, record: Record = None) -> TracedText:
    """Normalise a span.

    Parameters
    ----------
    span
        The span.
    config
        The voice's front-end config.
    record
        Called with each decision.

    Returns
    -------
    TracedText
        The text in words, with origins from the span's beginning.

    Raises
    ------
    InputError
        If a character has no known reading and the config is strict.
    """
    if span.pinyin:
        return _get_words(span)
    cleaned = _get_words(span) if span.literal else clean(_get_words(span))
    if not span.literal:
        cleaned = _replace_words(cleaned, config, record)
    readable = pass_over_unread(cleaned, config.readings, strict=config.strict)
    if span.literal:
        return readable
    text = to_chinese_punctuation(normalise(readable, record))
    # English words at the ends of two spans are two words if there was space between them.
    space = TracedText(" ", (None,))
    before, after = span.text[:1].isspace(), span.text[-1:].isspace()
    return (space if before else text[:0]) + text + (space if after else text[:0])


SOURCE_BITS = 24
"""Bits of an origin that hold the offset plus one, 0 for none; the bits above hold the number of the span."""


def _encode_origins(text: TracedText, number: int, offset: int | None) -> TracedText:
    """Return the text of span `number`, with the span and the offset in the document in each origin."""
    places = (0 if offset is None or origin is None else offset + origin + 1 for origin in text.origins)
    return TracedText(text.text, tuple(number << SOURCE_BITS | place for place in places))


def _get_span(text: TracedText) -> int:
    return (text.origins[0] or 0) >> SOURCE_BITS


def _get_offset(origin: Origin) -> Origin:
    place = (origin or 0) & ((1 << SOURCE_BITS) - 1)
    return place - 1 if place else None


def _read_all(syllables: Reading, source: str) -> WordReading:
    return WordReading(syllables, (source,) * len(syllables))


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of a sentence with its reading before sandhi.

    Attributes
    ----------
    text
        The word.
    source
        The number of the span that it comes from.
    reading
        Its syllables; empty for punctuation and signs.
    is_final
        Whether the document gives the reading: sandhi does not change it.
    is_english
        Whether it is an English word.
    """

    text: TracedText
    source: int
    reading: WordReading
    is_final: bool = False
    is_english: bool = False


def _split_phrases(tokens: Iterable[_Token]) -> Iterator[list[_Token]]:
    """Yield the words between pauses; quotes and brackets have no reading and do not end a phrase."""
    phrase: list[_Token] = []
    for token in tokens:
        if token.reading.syllables:
            phrase.append(token)
        elif phrase and any(c in PAUSES for c in token.text.text):
            yield phrase
            phrase = []
    if phrase:
        yield phrase


def _build_word(token: _Token, changed: Reading) -> Word:
    """Pair the characters of a word with its syllables, before and after sandhi; a lexicon may give more or fewer."""
    text, (base, by) = token.text, token.reading
    written = list(zip(text.text, map(_get_offset, text.origins), strict=True))
    if len(written) != len(changed):
        written = [(text.text, written[0][1])] * len(changed)
    merged = merge_erhua(text.text, changed)
    if len(merged) < len(changed):
        written[-2:] = [(written[-2][0] + written[-1][0], written[-2][1])]
    rows = zip(written, merge_erhua(text.text, base), merged, by[: len(merged)], strict=True)
    syllables = tuple(Syllable(char, offset, before, after, source) for (char, offset), before, after, source in rows)
    return Word(text.text, syllables, offset=_get_offset(text.origins[0]))


@dataclass(frozen=True, slots=True)
class _SentenceReader:
    """Turns sentences into units, with the pinyin and the word boundaries that the spans of a document give."""

    spans: Sequence[Speech]
    config: FrontEndConfig

    def _split(self, sentence: TracedText) -> list[TracedText]:
        """Split a sentence into words; a span that is marked as one word stays one."""
        tokens: list[TracedText] = []
        sources = [(origin or 0) >> SOURCE_BITS for origin in sentence.origins]
        # A word may go on from span to span, unless one of them is marked.
        parts = itertools.groupby(range(len(sentence)), lambda i: sources[i] if self.spans[sources[i]].is_word else -1)
        for number, places in parts:
            begin, *rest = places
            part = sentence[begin : begin + 1 + len(rest)]
            tokens += [part] if number >= 0 else split_words(part, self.config.reading_pattern)
        return tokens

    def _read(self, parts: Sequence[TracedText]) -> Iterator[_Token]:
        """Yield each word with its syllables before sandhi; none for punctuation and signs."""
        texts, lexicon = [part.text for part in parts], self.config.readings
        is_spoken = [is_han(text[0]) or text in lexicon for text in texts]
        readings = resolve_readings(texts, is_spoken, lexicon, neutral_tones=self.config.neutral_tones)
        names = find_names(texts) if any(is_latin(text[0]) for text in texts) else {}
        for i, (part, text) in enumerate(zip(parts, texts, strict=True)):
            source = _get_span(part)
            pinyin, syllables = self.spans[source].pinyin, names.get(i)
            if pinyin:
                yield _Token(part, source, _read_all(pinyin, "document"), is_final=True)
            elif not is_latin(text[0]) or text in lexicon:
                yield _Token(part, source, readings[i])
            elif syllables:
                yield _Token(part, source, _read_all(syllables, "names"))
            else:
                yield _Token(part, source, _read_all(get_mandarin_syllables(text), "English"), is_english=True)

    def _pronounce(self, phrase: Sequence[_Token]) -> Iterator[tuple[Word, int]]:
        """Yield the words of a phrase after sandhi, each with the number of its span."""
        changed = apply_sandhi([token.text.text for token in phrase], [token.reading.syllables for token in phrase])
        for token, reading in zip(phrase, changed, strict=True):
            if token.is_english and self.config.english == "phones":
                text = token.text
                yield Word(text.text, (), get_english_phones(text.text), _get_offset(text.origins[0])), token.source
            else:
                yield _build_word(token, token.reading.syllables if token.is_final else reading), token.source

    def read(self, sentence: TracedText) -> Sentence | None:
        """Return the sentence's words and units; None if nothing in it has a reading."""
        words: list[Word] = []
        units: list[Unit] = []
        sources: list[int] = []
        source = 0
        for phrase in _split_phrases(self._read(self._split(sentence))):
            pronounced = list(self._pronounce(phrase))
            lengths = [len(word.syllables) or len(word.phones) // 2 for word, _ in pronounced]
            levels = predict_boundaries([word.text for word, _ in pronounced], lengths)
            # The last word's source is also the boundary's.
            for (word, source), level in zip(pronounced, levels, strict=True):
                word_units = [build_boundary_unit(level), *word.units] if level else word.units
                units += word_units
                sources += [source] * len(word_units)
                words.append(word)
            units.append(build_boundary_unit(3))
            sources.append(source)
        if not units:
            return None
        units[-1] = build_boundary_unit(4)
        offsets = [offset for origin in sentence.origins if (offset := _get_offset(origin)) is not None]
        begin, end = (offsets[0], offsets[-1] + 1) if offsets else (None, None)
        return Sentence(sentence.text, sentence.text, tuple(words), tuple(units), tuple(sources), begin, end)
