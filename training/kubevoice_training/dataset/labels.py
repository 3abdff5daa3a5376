"""Linguistic units of a dataset's clips, from the front end or from the dataset's own pinyin."""

from dataclasses import dataclass

from kubevoice.errors import InputError
from kubevoice.resources.voicemodel import PinyinTones
from kubevoice.text import FrontEndConfig, Unit, analyse, is_han

from kubevoice_training.dataset.prosody import parse_marked_units
from kubevoice_training.dataset.rows import DatasetRow

__all__ = ["UnitLabeler"]

MAX_TEXT = 512


@dataclass(frozen=True, slots=True)
class UnitLabeler:
    """Settings by which the texts of a dataset become linguistic units.

    Attributes
    ----------
    front_end_config
        How the voice's front end differs from the default.
    tones
        Which tones the dataset's own pinyin has, if it has pinyin.
    """

    front_end_config: FrontEndConfig
    tones: PinyinTones

    def label(self, row: DatasetRow) -> tuple[Unit, ...]:
        """Return the linguistic units of a row.

        Parameters
        ----------
        row
            A row of the dataset.

        Returns
        -------
        tuple
            Units of all sentences, from the row's pinyin if it has some, else from the front end.

        Raises
        ------
        InputError
            If the text is too long or has no Mandarin, or does not fit its pinyin.
        """
        text = row.fields["text"]
        if len(text) > MAX_TEXT:
            raise InputError(f"the text has {len(text)} characters, {MAX_TEXT} are allowed; cut the recording")
        if text and not any(is_han(c) or c.isdigit() for c in text):
            raise InputError(f"the text {text[:40]!r} has no Mandarin; write it in Chinese characters")
        if row.reading:
            return tuple(parse_marked_units(text, row.reading, sandhi=self.tones is PinyinTones.AS_WRITTEN))
        return tuple(unit for sentence in analyse(text, self.front_end_config).sentences for unit in sentence.units)
