"""Open elements of an SSML document while it is parsed."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from kubevoice.text.ssml.spans import Span, Speech, Style

__all__ = ["Attributes", "Frame", "Position"]

Position = tuple[int, int]
"""Line and column, from 1."""
Attributes = Mapping[str, str]


@dataclass(slots=True)
class Frame:
    """An open element.

    The grammar creates it when the element opens. The parser adds text and drops the frame when the element closes.

    Attributes
    ----------
    name
        Local name in small letters; "" for an element inside one that is read as one piece.
    attributes
        Its attributes.
    style
        Style of its text; set when it opens.
    position
        Line and column of its beginning.
    collects
        Whether its text is read as one piece when it closes.
    mute
        Whether its text is dropped.
    pieces
        Text so far, each piece with its offset in the document.
    spans
        Spans of the document, to which text is added at once unless it collects.
    """

    name: str
    attributes: Attributes
    style: Style
    position: Position
    collects: bool = False
    mute: bool = False
    pieces: list[tuple[str, int]] = field(default_factory=list)
    spans: list[Span] | None = None

    def add_text(self, text: str, offset: int) -> None:
        """Add a piece of text.

        Parameters
        ----------
        text
            The text.
        offset
            Code-point index of its beginning in the document.
        """
        if self.mute:
            return
        self.pieces.append((text, offset))
        if not self.collects and self.spans is not None:
            self.spans.append(Speech(text, self.style, offset))

    def join_text(self) -> tuple[str, int | None]:
        """Join the pieces of text.

        Returns
        -------
        tuple[str, int | None]
            The text and the offset of its beginning; None if the text is not contiguous in the document.
        """
        text = "".join(piece for piece, _ in self.pieces)
        start = self.pieces[0][1] if self.pieces else 0
        lengths = [0, *itertools.accumulate(len(piece) for piece, _ in self.pieces)]
        is_contiguous = all(offset == start + length for (_, offset), length in zip(self.pieces, lengths, strict=False))
        return text, start if is_contiguous else None
