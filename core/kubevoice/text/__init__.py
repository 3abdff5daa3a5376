"""The Chinese front end: text to the linguistic units of SAMBERT, one stage a module.

characters -> normalisation -> sentences -> words -> pinyin -> sandhi -> erhua -> units
"""

from kubevoice.text.analysis import Analysis, Sentence, Syllable, Word
from kubevoice.text.document import Part, Passage, analyse, parse_text, read_document
from kubevoice.text.front_end_config import LEXICON_FILE, FrontEndConfig
from kubevoice.text.g2p import Lexicon
from kubevoice.text.lexicon import has_neutral_tones, make_lexicon, read_lexicon
from kubevoice.text.segment import is_han
from kubevoice.text.units import EMOTIONS, Unit, UnitTables, parse_units

__all__ = [
    "EMOTIONS",
    "LEXICON_FILE",
    "Analysis",
    "FrontEndConfig",
    "Lexicon",
    "Part",
    "Passage",
    "Sentence",
    "Syllable",
    "Unit",
    "UnitTables",
    "Word",
    "analyse",
    "has_neutral_tones",
    "is_han",
    "make_lexicon",
    "parse_text",
    "parse_units",
    "read_document",
    "read_lexicon",
]
