"""The Chinese front end: text to the linguistic units of SAMBERT, one stage a module.

characters -> normalise -> sentences -> words -> pinyin -> sandhi -> erhua -> units
"""

from kubevoice.text.pipeline import Analysis, Sentence, Syllable, Word, analyse
from kubevoice.text.segment import is_han
from kubevoice.text.units import EMOTIONS, Unit, UnitTables, parse_units

__all__ = [
    "EMOTIONS",
    "Analysis",
    "Sentence",
    "Syllable",
    "Unit",
    "UnitTables",
    "Word",
    "analyse",
    "is_han",
    "parse_units",
]
