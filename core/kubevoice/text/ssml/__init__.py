"""SSML: one grammar for the elements of the W3C and of the common vendors (docs/ssml.md)."""

from kubevoice.text.ssml.parse import is_document, parse
from kubevoice.text.ssml.spans import Break, Document, Mark, Notice, Span, Speech, Style

__all__ = ["Break", "Document", "Mark", "Notice", "Span", "Speech", "Style", "is_document", "parse"]
