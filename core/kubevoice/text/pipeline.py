"""The front end: from text to sentences of linguistic units, all stages in order."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kubevoice.errors import SilentError
from kubevoice.text.characters import clean, to_chinese_punctuation
from kubevoice.text.english import Phone, in_mandarin, phones
from kubevoice.text.front_end_config import FrontEndConfig
from kubevoice.text.g2p import Reading, resolve_readings
from kubevoice.text.normalisation import normalise
from kubevoice.text.prosodic_boundaries import predict_boundaries
from kubevoice.text.sandhi import apply_sandhi
from kubevoice.text.segment import PAUSES, is_han, is_latin, split_sentences, split_words
from kubevoice.text.ssml.spans import Notice, Speech, Style
from kubevoice.text.traced_text import Origin, TracedText
from kubevoice.text.units import Unit, boundary_unit, english_units, erhua, word_units

__all__ = ["Analysis", "Sentence", "Syllable", "Word", "analyse", "analyse_spans"]

PLAIN = FrontEndConfig()
"""The default settings: an empty lexicon, English as syllables."""


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable and the character it is the reading of.

    `char` is the character, or the two of an erhua; `offset` is the code-point index of the (first) character in the
    input, None where normalisation made it. `base` and `pinyin` end in a tone digit, before and after sandhi.
    """

    char: str
    offset: Origin
    base: str
    pinyin: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its reading: Mandarin syllables, or the phones of English.

    `offset` is the code-point index of its beginning in the input, None where normalisation made it.
    """

    text: str
    syllables: tuple[Syllable, ...]
    phones: tuple[Phone, ...] = ()
    offset: Origin = None

    @property
    def pinyin(self) -> tuple[str, ...]:
        """The syllables after sandhi."""
        return tuple(syllable.pinyin for syllable in self.syllables)

    @property
    def units(self) -> list[Unit]:
        """The units of the word, the network's input."""
        return english_units(self.phones) if self.phones else word_units(self.pinyin)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it was cut from the normalised text, its words and its units."""

    text: str
    normalized: str
    words: tuple[Word, ...]
    units: tuple[Unit, ...]
    sources: tuple[int, ...]
    """Which of the spans that were analysed each unit comes from."""
    begin: Origin = None
    """Code-point index of its first character that stands in the input; None if none does."""
    end: Origin = None
    """Index after its last one."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The front end's result for a text."""

    text: str
    sentences: tuple[Sentence, ...]
    notices: tuple[Notice, ...] = ()
    """Parts of a document that have no effect."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values; notices only if there are any."""
        notices = {"notices": [asdict(notice) for notice in self.notices]} if self.notices else {}
        return {
            "text": self.text,
            "normalized": "".join(s.normalized for s in self.sentences),
            "words": [word.text for s in self.sentences for word in s.words],
            "pinyin": [asdict(syllable) for s in self.sentences for word in s.words for syllable in word.syllables],
            "units": [str(unit) for s in self.sentences for unit in s.units],
        } | notices


def analyse(text: str, config: FrontEndConfig = PLAIN) -> Analysis:
    """Turn text into sentences of units, with the settings of a voice.

    Raises SilentError if nothing in the text can be spoken, InputError if a character has no reading.
    """
    sentences = analyse_spans([Speech(text, Style(), 0)], config)
    if not sentences:
        raise SilentError(f"{text[:40]!r} has nothing that can be spoken in Mandarin; give it some Chinese text")
    return Analysis(text, tuple(sentences))


def analyse_spans(spans: Sequence[Speech], config: FrontEndConfig = PLAIN) -> list[Sentence]:
    """Turn the spans of one continuous text into sentences; a sentence may go on from span to span.

    Raises InputError if a character has no reading.
    """
    text = TracedText.join(_placed(_in_words(span), number, span.offset) for number, span in enumerate(spans))
    reader = _SentenceReader(spans, config)
    return [sentence for part in split_sentences(text) if (sentence := reader.read(part))]


def _in_words(span: Speech) -> TracedText:
    """Return a span's text without figures and signs, its origins counted from the span's beginning."""
    if span.pinyin or span.literal:
        return TracedText.from_input(span.text)
    spoken = to_chinese_punctuation(normalise(clean(span.text)))
    # English words at the ends of two spans are two words if there was space between them.
    space = TracedText(" ", (None,))
    before, after = span.text[:1].isspace(), span.text[-1:].isspace()
    return (space if before else spoken[:0]) + spoken + (space if after else spoken[:0])


SOURCE_BITS = 24
"""An origin carries the number of its span above so many bits, and below them the offset plus one, 0 for none."""


def _placed(text: TracedText, number: int, offset: int | None) -> TracedText:
    places = (0 if offset is None or origin is None else offset + origin + 1 for origin in text.origins)
    return TracedText(text.text, tuple(number << SOURCE_BITS | place for place in places))


def _source(text: TracedText) -> int:
    return (text.origins[0] or 0) >> SOURCE_BITS


def _offset(origin: Origin) -> Origin:
    place = (origin or 0) & ((1 << SOURCE_BITS) - 1)
    return place - 1 if place else None


def _phrases(tokens: Sequence[TracedText], bases: Sequence[Reading]) -> Iterator[list[tuple[TracedText, Reading]]]:
    """Words and readings between pauses; quotes and brackets are not spoken and part nothing."""
    phrase: list[tuple[TracedText, Reading]] = []
    for token, base in zip(tokens, bases, strict=True):
        if base:
            phrase.append((token, base))
        elif phrase and any(c in PAUSES for c in token.text):
            yield phrase
            phrase = []
    if phrase:
        yield phrase


def _word(text: TracedText, base: Reading, spoken: Reading) -> Word:
    """Pair a word's characters with its syllables; a lexicon may give it another number of them."""
    written = list(zip(text.text, map(_offset, text.origins), strict=True))
    if len(written) != len(spoken):
        written = [(text.text, written[0][1])] * len(spoken)
    merged = erhua(text.text, spoken)
    if len(merged) < len(spoken):
        written[-2:] = [(written[-2][0] + written[-1][0], written[-2][1])]
    pairs = zip(written, erhua(text.text, base), merged, strict=True)
    syllables = tuple(Syllable(char, offset, before, after) for (char, offset), before, after in pairs)
    return Word(text.text, syllables, offset=_offset(text.origins[0]))


@dataclass(frozen=True, slots=True)
class _SentenceReader:
    """Turns sentences into units, with what the spans of a document prescribe for their words."""

    spans: Sequence[Speech]
    config: FrontEndConfig

    def _tokens(self, sentence: TracedText) -> list[TracedText]:
        """Cut into words; a span that is one word stays one."""
        tokens: list[TracedText] = []
        at = 0
        while at < len(sentence):
            source = _source(sentence[at : at + 1])
            end = next((i for i in range(at, len(sentence)) if _source(sentence[i : i + 1]) != source), len(sentence))
            if not self.spans[source].whole:
                ordinary = (i for i in range(at, len(sentence)) if self.spans[_source(sentence[i : i + 1])].whole)
                end = next(ordinary, len(sentence))
            part = sentence[at:end]
            tokens += [part] if self.spans[source].whole else split_words(part, self.config.lexicon)
            at = end
        return tokens

    def _bases(self, tokens: Sequence[TracedText]) -> list[Reading]:
        """Return each word's syllables before sandhi; none for what is not spoken."""
        texts, lexicon = [token.text for token in tokens], self.config.lexicon
        is_spoken = [is_han(text[0]) or text in lexicon for text in texts]
        readings = resolve_readings(texts, is_spoken, lexicon)
        for i, token in enumerate(tokens):
            given = self.spans[_source(token)].pinyin
            if given:
                readings[i] = given
            elif is_latin(texts[i][0]) and texts[i] not in lexicon:
                readings[i] = in_mandarin(texts[i])
        return readings

    def _pronounce(self, phrase: Sequence[tuple[TracedText, Reading]]) -> Iterator[tuple[Word, int]]:
        changed = apply_sandhi([token.text for token, _ in phrase], [base for _, base in phrase])
        for (token, base), reading in zip(phrase, changed, strict=True):
            source = _source(token)
            if self.config.english == "phones" and is_latin(token.text[0]) and token.text not in self.config.lexicon:
                yield Word(token.text, (), phones(token.text), _offset(token.origins[0])), source
            else:
                # The document's own pinyin is not changed by sandhi.
                yield _word(token, base, base if self.spans[source].pinyin else reading), source

    def read(self, sentence: TracedText) -> Sentence | None:
        """Return the sentence's words and units; None if nothing in it is spoken."""
        tokens = self._tokens(sentence)
        spoken: list[Word] = []
        units: list[Unit] = []
        sources: list[int] = []
        source = 0
        for phrase in _phrases(tokens, self._bases(tokens)):
            pronounced = list(self._pronounce(phrase))
            lengths = [len(word.syllables) or len(word.phones) // 2 for word, _ in pronounced]
            levels = predict_boundaries([word.text for word, _ in pronounced], lengths)
            for (word, source), level in zip(
                pronounced, levels, strict=True
            ):  # the last word's source is also the boundary's
                word_units = [boundary_unit(level), *word.units] if level else word.units
                units += word_units
                sources += [source] * len(word_units)
                spoken.append(word)
            units.append(boundary_unit(3))
            sources.append(source)
        if not units:
            return None
        units[-1] = boundary_unit(4)
        offsets = [offset for origin in sentence.origins if (offset := _offset(origin)) is not None]
        begin, end = (offsets[0], offsets[-1] + 1) if offsets else (None, None)
        return Sentence(sentence.text, sentence.text, tuple(spoken), tuple(units), tuple(sources), begin, end)
