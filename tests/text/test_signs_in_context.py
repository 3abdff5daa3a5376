"""Signs, figures and units are read by what is around them; the table has both sides of each rule's border."""

from pathlib import Path

import pytest
from kubevoice.text.characters import clean
from kubevoice.text.normalisation import normalise

TABLE = Path(__file__).parent / "written_and_spoken.tsv"
ROWS = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if "\t" in line]


@pytest.mark.parametrize(("written", "spoken"), ROWS)
def test_signs_are_read_by_what_is_around_them(written, spoken):
    assert normalise(clean(written)).text == spoken
