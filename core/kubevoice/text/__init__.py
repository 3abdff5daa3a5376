"""The Chinese front end: text to the linguistic units of SAMBERT, one stage a module.

characters -> normalisation -> sentences -> words -> pinyin -> sandhi -> erhua -> units
"""

from kubevoice.text.document import Part, Passage, read_document
from kubevoice.text.lexicon import make_lexicon, read_lexicon
from kubevoice.text.manner import LEXICON_FILE, Manner
from kubevoice.text.pinyin import Lexicon
from kubevoice.text.pipeline import Analysis, Sentence, Syllable, Word, analyse
from kubevoice.text.segment import is_han
from kubevoice.text.units import EMOTIONS, Unit, UnitTables, parse_units

__all__ = [
    "EMOTIONS",
    "LEXICON_FILE",
    "Analysis",
    "Lexicon",
    "Manner",
    "Part",
    "Passage",
    "Sentence",
    "Syllable",
    "Unit",
    "UnitTables",
    "Word",
    "analyse",
    "is_han",
    "make_lexicon",
    "parse_units",
    "read_document",
    "read_lexicon",
]
