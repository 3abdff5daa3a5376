"""From a document to spans: an expat parser that refuses declarations and entities, and a handler for each element."""

import io
import re
import xml.sax
from collections.abc import Mapping
from typing import Any
from xml.sax.handler import ContentHandler

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser
from typing_extensions import override

from kubevoice.errors import InputError
from kubevoice.text.characters import LINE_ENDS
from kubevoice.text.ssml.frame import Frame
from kubevoice.text.ssml.grammar import Grammar
from kubevoice.text.ssml.spans import Document

__all__ = ["LONGEST", "is_document", "parse"]

LONGEST = 200_000
"""Code points of a document."""
DEEPEST = 32
MOST_ELEMENTS = 20_000
LONGEST_ATTRIBUTE = 2_000
DOCUMENT = re.compile(
    r"\ufeff?\s{0,1000}(?:<\?xml[^<>]{0,200}\?>\s{0,1000})?<speak(?:\s[^<>]{0,4000})?>.*</speak\s*>\s*", re.DOTALL
)
SPACED = str.maketrans(dict.fromkeys(LINE_ENDS, " "))
"""In plain text the end of a line ends the sentence; in XML it is only layout."""


class _Parser(DefusedExpatParser):  # type: ignore[misc]  # defusedxml has no types
    """A parser that reports the place of each piece of text; expat would otherwise join pieces."""

    @override
    def reset(self) -> None:
        super().reset()
        self._parser.buffer_text = False


class _Handler(ContentHandler):
    """Keeps the stack of open elements and passes each element to the grammar."""

    def __init__(self, document: str) -> None:
        super().__init__()
        # Line ends as expat counts them.
        self._starts = [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", document))]
        self._locator: Any = None
        """The parser's position. The parser sets it before the first event."""
        self._elements = 0
        self._stack: list[Frame] = []
        self.grammar = Grammar()

    @override
    def setDocumentLocator(self, locator: Any) -> None:
        self._locator = locator

    @property
    def position(self) -> tuple[int, int]:
        """Line and column, both from 1."""
        return self._locator.getLineNumber() or 1, (self._locator.getColumnNumber() or 0) + 1

    def refuse(self, message: str) -> InputError:
        """Return an error with the current line and column."""
        line, column = self.position
        return InputError(f"SSML line {line}, column {column}: {message}")

    @override
    def startElement(self, name: str, attrs: Any) -> None:
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise self.refuse(f"more than {MOST_ELEMENTS} elements; split the document")
        if len(self._stack) >= DEEPEST:
            raise self.refuse(f"elements lie more than {DEEPEST} deep; flatten the document")
        attributes: Mapping[str, str] = dict(attrs.items())
        if too_long := [key for key, value in attributes.items() if len(value) > LONGEST_ATTRIBUTE]:
            raise self.refuse(f"attribute {too_long[0]} has more than {LONGEST_ATTRIBUTE} characters")
        plain = name.rpartition(":")[2].lower()
        if not self._stack and plain != "speak":
            raise self.refuse(f"the document begins with <{name[:40]}>; it must be <speak>")
        parent = self._stack[-1] if self._stack else None
        try:
            self._stack.append(self.grammar.enter(name, attributes, parent, self.position))
        except InputError as error:
            raise self.refuse(str(error)) from None

    @override
    def endElement(self, name: str) -> None:
        try:
            self.grammar.leave(self._stack.pop())
        except InputError as error:
            raise self.refuse(str(error)) from None

    @override
    def characters(self, content: str) -> None:
        line, column = self.position
        self._stack[-1].add_text(content.translate(SPACED), self._starts[line - 1] + column - 1)


def is_document(text: str) -> bool:
    """Return whether a text is an SSML document, whatever its sender calls it.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    bool
        True for a text that begins with <speak>, perhaps after an XML declaration, and ends with </speak>.
    """
    return DOCUMENT.fullmatch(text) is not None


def parse(document: str) -> Document:
    """Parse an SSML document.

    Unknown elements get a notice, and their text is read.

    Parameters
    ----------
    document
        The document.

    Returns
    -------
    Document
        Spans and notices.

    Raises
    ------
    InputError
        With line and column: if the XML is not well-formed, has declarations or entities, an invalid value or `<audio
        src>`, or exceeds the limits.
    """
    if len(document) > LONGEST:
        raise InputError(f"the SSML document has {len(document)} characters; the limit is {LONGEST}: split it")
    handler = _Handler(document)
    parser = _Parser(forbid_dtd=True)
    parser.setContentHandler(handler)
    parser.setFeature(xml.sax.handler.feature_external_ges, False)
    source = xml.sax.InputSource()
    # A lone surrogate is not a character. A space in its place keeps the offsets and has no reading.
    source.setByteStream(io.BytesIO(re.sub("[\ud800-\udfff]", " ", document).encode()))
    source.setEncoding("utf-8")
    try:
        parser.parse(source)
    except xml.sax.SAXParseException as error:
        line, column = error.getLineNumber() or 1, (error.getColumnNumber() or 0) + 1
        message = f"SSML line {line}, column {column}: {error.getMessage()}; the document must be well-formed XML"
        raise InputError(message) from None
    except DefusedXmlException:
        raise handler.refuse("declarations, entities and external references are refused; remove them") from None
    return Document(tuple(handler.grammar.spans), tuple(handler.grammar.notices))
