"""The Chinese front end: text to the linguistic units of SAMBERT, one stage a module.

characters -> normalisation -> sentences -> words -> pinyin -> sandhi -> erhua -> units
"""

from kubevoice.text.analysis import Analysis, Decision, Sentence, Syllable, Word
from kubevoice.text.document import Part, Passage, parse_text, read_document
from kubevoice.text.explanation import analyse, explain
from kubevoice.text.front_end_config import LEXICON_FILE, FrontEndConfig, ReadingOptions
from kubevoice.text.g2p import Lexicon, Reading
from kubevoice.text.lexicon import has_neutral_tones, make_lexicon, read_lexicon
from kubevoice.text.segment import is_han
from kubevoice.text.units import EMOTIONS, Unit, UnitTables, parse_units

__all__ = [
    "EMOTIONS",
    "LEXICON_FILE",
    "Analysis",
    "Decision",
    "FrontEndConfig",
    "Lexicon",
    "Part",
    "Passage",
    "Reading",
    "ReadingOptions",
    "Sentence",
    "Syllable",
    "Unit",
    "UnitTables",
    "Word",
    "analyse",
    "explain",
    "has_neutral_tones",
    "is_han",
    "make_lexicon",
    "parse_text",
    "parse_units",
    "read_document",
    "read_lexicon",
]
