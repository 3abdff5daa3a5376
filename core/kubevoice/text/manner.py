"""How a voice reads: what differs from voice to voice before any sound is made."""

from dataclasses import dataclass, field, replace
from typing import Literal

from kubevoice.text.pinyin import Lexicon

__all__ = ["LEXICON_FILE", "English", "Manner"]

English = Literal["syllables", "phones"]
LEXICON_FILE = "lexicon.txt"
"""Where a dataset and the bundle of a voice hold readings of their own."""


@dataclass(frozen=True, slots=True)
class Manner:
    """Readings that come before all others, and what English words become.

    Those are the Mandarin syllables nearest to them, or "phones" of their own, which only a voice that was trained on
    English can say.
    """

    lexicon: Lexicon = field(default_factory=dict)
    english: English = "syllables"

    def with_lexicon(self, lexicon: Lexicon | None) -> "Manner":
        """Let readings come before this manner's own."""
        return replace(self, lexicon={**self.lexicon, **lexicon}) if lexicon else self
