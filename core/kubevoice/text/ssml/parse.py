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
from kubevoice.text.ssml.grammar import Frame, Grammar
from kubevoice.text.ssml.spans import Document

__all__ = ["LONGEST", "parse"]

LONGEST = 200_000
"""Code points of a document."""
DEEPEST = 32
MOST_ELEMENTS = 20_000
LONGEST_ATTRIBUTE = 2_000
SPACED = str.maketrans(dict.fromkeys(LINE_ENDS, " "))
"""In plain text a sentence ends where its line does; in XML, lines are how somebody liked to lay the document out."""


class _Parser(DefusedExpatParser):  # type: ignore[misc]  # defusedxml has no types
    """Tells each piece of text where it stands: expat must not join pieces for that."""

    @override
    def reset(self) -> None:
        super().reset()
        self._parser.buffer_text = False


class _Handler(ContentHandler):
    """Keeps the stack of elements and asks the grammar what each means."""

    def __init__(self, document: str) -> None:
        super().__init__()
        # Line ends as expat counts them.
        self._starts = [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", document))]
        self._locator: Any = None
        self._elements = 0
        self._stack: list[Frame] = []
        self.grammar = Grammar()

    @override
    def setDocumentLocator(self, locator: Any) -> None:
        self._locator = locator

    @property
    def where(self) -> tuple[int, int]:
        """Line and column, both from 1."""
        return self._locator.getLineNumber() or 1, (self._locator.getColumnNumber() or 0) + 1

    def refuse(self, message: str) -> InputError:
        """Make the error for what stands here."""
        line, column = self.where
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
            self._stack.append(self.grammar.enter(name, attributes, parent, self.where))
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
        line, column = self.where
        self._stack[-1].add(content.translate(SPACED), self._starts[line - 1] + column - 1)


def parse(document: str) -> Document:
    """Return what a document asks for.

    Raises InputError with line and column for XML that is not well-formed, declarations and entities, values that mean
    nothing, `<audio src>`, and documents beyond the limits. Elements that are not known keep their text, with a notice.
    """
    if len(document) > LONGEST:
        raise InputError(f"the SSML document has {len(document)} characters; at most {LONGEST} are taken: split it")
    handler = _Handler(document)
    parser = _Parser(forbid_dtd=True)
    parser.setContentHandler(handler)
    parser.setFeature(xml.sax.handler.feature_external_ges, False)
    source = xml.sax.InputSource()
    # A lone surrogate is no character; as a space it takes the same place and says nothing.
    source.setByteStream(io.BytesIO(re.sub("[\ud800-\udfff]", " ", document).encode()))
    source.setEncoding("utf-8")
    try:
        parser.parse(source)
    except xml.sax.SAXParseException as error:
        line, column = error.getLineNumber() or 1, (error.getColumnNumber() or 0) + 1
        message = f"SSML line {line}, column {column}: {error.getMessage()}; the document must be well-formed XML"
        raise InputError(message) from None
    except DefusedXmlException:
        raise handler.refuse("declarations, entities and external references are not taken; remove them") from None
    return Document(tuple(handler.grammar.spans), tuple(handler.grammar.notices))
