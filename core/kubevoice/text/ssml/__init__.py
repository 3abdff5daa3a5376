"""SSML: one grammar for the W3C's core and the dialects that people already write (docs/ssml.md)."""

from kubevoice.text.ssml.parse import parse
from kubevoice.text.ssml.spans import Break, Document, Mark, Notice, Span, Speech, Style

__all__ = ["Break", "Document", "Mark", "Notice", "Span", "Speech", "Style", "parse"]
