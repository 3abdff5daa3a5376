"""Talk of several speakers in one request: turns, or `[voice:NAME]` in a text, become an SSML document."""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from pydantic import BaseModel, ConfigDict, Field

from kubevoice_serving.http.text_field import Text

__all__ = ["DialogueTurn", "build_document", "split_turns"]

PAUSE_SECONDS = 0.4
"""Silence between two turns that say no other."""
NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no document can have; plain text passes over them."""
TAG = re.compile(r"\[voice:([^\[\]]{1,64})\]")


class DialogueTurn(BaseModel):
    """What one speaker says."""

    model_config = ConfigDict(extra="forbid")

    text: Text = Field(min_length=1, description="Plain text.", examples=["你好！"])
    speaker: Text | None = Field(None, max_length=256, description="Speaker; that of the request if omitted.")
    emotion: Text | None = Field(None, max_length=64, description="Emotion; that of the request if omitted.")
    intensity: float = Field(1.0, ge=0, le=2, description="Intensity of the emotion.")
    speed: float = Field(1.0, ge=0.25, le=4, description="Factor on the speed of the request.")
    pause: float = Field(PAUSE_SECONDS, ge=0, le=20, description="Seconds of silence before the next turn.")


def split_turns(text: str) -> tuple[DialogueTurn, ...] | None:
    """Split a text at its tags `[voice:NAME]`.

    Parameters
    ----------
    text : str
        Plain text. What comes before the first tag is said by the speaker of the request.

    Returns
    -------
    tuple of DialogueTurn or None
        The turns that have words; None if there is no tag.
    """
    first, *others = TAG.split(text)
    if not others:
        return None
    parts = [(None, first), *zip(others[::2], others[1::2], strict=True)]
    return tuple(DialogueTurn(text=words, speaker=speaker) for speaker, words in parts if words.strip())


def build_document(turns: Sequence[DialogueTurn]) -> str:
    """Write turns as an SSML document.

    Parameters
    ----------
    turns : sequence of DialogueTurn
        The turns in their order.

    Returns
    -------
    str
        The document.
    """
    parts: list[str] = []
    for number, turn in enumerate(turns):
        part = escape(NOT_XML.sub("", turn.text))
        if turn.speed != 1.0:
            part = f'<prosody rate="{turn.speed:g}">{part}</prosody>'
        if turn.emotion:
            part = f'<emotion category={quoteattr(turn.emotion)} intensity="{turn.intensity:g}">{part}</emotion>'
        if turn.speaker:
            part = f"<voice name={quoteattr(turn.speaker)}>{part}</voice>"
        if turn.pause and number < len(turns) - 1:
            part += f'<break time="{turn.pause:g}s"/>'
        parts.append(part)
    return f"<speak>{''.join(parts)}</speak>"
