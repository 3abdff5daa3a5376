"""Blends of a voice's speakers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubevoice.engine import Controls, Engine
from kubevoice.engine.controls import build_speaker_weights
from kubevoice.errors import InputError
from kubevoice.text import analyse
from kubevoice.voice import builtin_voice, load_bundle


@pytest.fixture(scope="module")
def manifest(toy):
    return load_bundle(toy.path).manifest


@pytest.mark.parametrize(
    ("speaker", "shares"),
    [
        ("second", (0.0, 1.0)),
        ("first+second", (0.5, 0.5)),
        ("first(3) + second(1)", (0.75, 0.25)),
        ("second(0.5)+first(0)", (0.0, 1.0)),
        ("first+first(2)+second", (0.75, 0.25)),
    ],
)
def test_shares_are_what_was_written(manifest, speaker, shares):
    assert tuple(build_speaker_weights(manifest, speaker)[:2]) == shares


@pytest.mark.parametrize(
    ("speaker", "message"),
    [
        ("first+nobody", "no speaker 'nobody'; it has: first, second"),
        ("first(-1)", r"no speaker 'first\(-1\)'"),
        ("first(1e9)+second", r"no speaker 'first\(1e9\)'"),
        ("first(0)+second(0)", "a blend without a share"),
        ("first+", "no speaker ''"),
        ("", "no speaker ''"),
    ],
)
def test_what_is_wrong_with_a_blend_is_reported(manifest, speaker, message):
    with pytest.raises(InputError, match=message):
        build_speaker_weights(manifest, speaker)


@given(st.text("first second()+.0123456789\n", max_size=30) | st.text(max_size=20))
def test_whatever_is_written_is_shares_of_one_or_an_error(toy, text):
    try:
        weights = build_speaker_weights(toy.manifest, text)
    except InputError:
        return
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()


def test_a_blend_of_real_speakers_lies_between_them():
    engine = Engine.load(builtin_voice("builtin://base"))
    units = analyse("今天天气真好。").sentences[0].units

    def synthesize(speaker):
        return engine.synthesize(units, Controls(speaker=speaker))

    woman, man, both = (synthesize(one) for one in ("zf_xiaoxiao", "zm_yunxi", "zf_xiaoxiao+zm_yunxi"))
    np.testing.assert_array_equal(synthesize("zf_xiaoxiao(1)+zm_yunxi(0)"), woman)
    assert not any(len(both) == len(other) and np.allclose(both, other, atol=1e-3) for other in (woman, man))
