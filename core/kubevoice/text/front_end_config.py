"""The front end's settings of a voice."""

from dataclasses import dataclass, field, replace
from typing import Literal

from kubevoice.text.g2p import Lexicon

__all__ = ["LEXICON_FILE", "English", "FrontEndConfig"]

English = Literal["syllables", "phones"]
LEXICON_FILE = "lexicon.txt"
"""The file of a dataset or a bundle with the voice's own readings."""


@dataclass(frozen=True, slots=True)
class FrontEndConfig:
    """The front end's settings of a voice.

    Attributes
    ----------
    lexicon
        Readings that override all other sources.
    english
        What English words become: the nearest Mandarin "syllables", or English "phones", which need a voice that was
        trained on English.
    strict
        Whether a character without a reading is an error. Otherwise it is passed over, and a notice names it.
    hints
        Whether plain text may have readings and pauses in it (text/inline_hints.py).
    keep_code
        Whether fenced code in plain text is read; otherwise it is left out.
    neutral_tones
        Whether words such as 衣服 end with a neutral tone. A dataset may have full tones there.
    """

    lexicon: Lexicon = field(default_factory=dict)
    english: English = "syllables"
    strict: bool = False
    hints: bool = True
    keep_code: bool = False
    neutral_tones: bool = True

    def with_lexicon(self, lexicon: Lexicon | None) -> "FrontEndConfig":
        """Return a copy with more readings.

        Parameters
        ----------
        lexicon
            Readings that override those of this config; None or empty for none.

        Returns
        -------
        FrontEndConfig
            The new config, or this one if there are no readings.
        """
        return replace(self, lexicon={**self.lexicon, **lexicon}) if lexicon else self
