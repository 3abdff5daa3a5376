"""How well the speakers of a released voice read sentences: naturalness, recognition errors and real-time factor."""

import time
from collections.abc import Callable, Sequence
from importlib import resources

from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.validation import CamelModel

from kubevoice_training.evaluation.model_files import EXTRA
from kubevoice_training.evaluation.naturalness import is_naturalness_model_installed, rate_naturalness
from kubevoice_training.evaluation.recognition import compute_pinyin_error_rate, is_recognizer_installed, transcribe

__all__ = ["BundleEvaluation", "SpeakerEvaluation", "evaluate_bundle", "read_default_sentences"]


class SpeakerEvaluation(CamelModel):
    """What was measured of one speaker; None is what could not be."""

    speaker: str
    naturalness: float | None
    pinyin_error_rate: float | None
    pinyin_error_rate_with_tones: float | None
    real_time_factor: float
    seconds: float
    """Length of the speech."""


class BundleEvaluation(CamelModel):
    """What was measured of a bundle's speakers.

    Attributes
    ----------
    missing : for each metric that was not measured, why.
    """

    name: str
    revision: str
    emotion: str | None
    sentences: int
    speakers: tuple[SpeakerEvaluation, ...]
    missing: dict[str, str]


def read_default_sentences() -> list[str]:
    """Read the sentences that a voice is measured with if the user has none; they are in no training data.

    Returns
    -------
    list of str
        Twenty sentences of everyday talk and news.
    """
    path = resources.files("kubevoice_training.evaluation") / "sentences.txt"
    return path.read_text(encoding="utf-8").splitlines()


def _evaluate_speaker(engine: Engine, sentences: Sequence[str], controls: Controls) -> SpeakerEvaluation:
    began = time.perf_counter()
    speech = [synthesize_text(engine, text, controls) for text in sentences]
    elapsed = time.perf_counter() - began
    transcripts = (
        [(text, transcribe(audio, engine.sample_rate)) for text, audio in zip(sentences, speech, strict=True)]
        if is_recognizer_installed()
        else []
    )
    seconds = sum(map(len, speech)) / engine.sample_rate
    return SpeakerEvaluation(
        speaker=str(controls.speaker),
        naturalness=round(rate_naturalness(speech, engine.sample_rate), 3)
        if is_naturalness_model_installed()
        else None,
        pinyin_error_rate=round(compute_pinyin_error_rate(transcripts), 4) if transcripts else None,
        pinyin_error_rate_with_tones=(
            round(compute_pinyin_error_rate(transcripts, tones=True), 4) if transcripts else None
        ),
        real_time_factor=round(elapsed / max(1e-9, seconds), 4),
        seconds=round(seconds, 2),
    )


def evaluate_bundle(
    engine: Engine,
    sentences: Sequence[str],
    speakers: Sequence[str],
    emotion: str | None,
    report: Callable[[int, int], None],
) -> BundleEvaluation:
    """Measure how speakers of a voice read sentences.

    Parameters
    ----------
    engine : The voice.
    sentences : What they read; at least one.
    speakers : Names; none means all speakers of the voice.
    emotion : Label; None is the voice's default emotion.
    report : Called with the number of speakers that are done and of all of them.

    Returns
    -------
    BundleEvaluation
        A row for each speaker.

    Raises
    ------
    InputError
        If the voice lacks a speaker or the emotion, or cannot read a sentence.
    """
    names = tuple(speakers) or engine.manifest.speakers
    rows = []
    for number, name in enumerate(names):
        rows.append(_evaluate_speaker(engine, sentences, Controls(speaker=name, emotion=emotion)))
        report(number + 1, len(names))
    missing = {}
    if not is_naturalness_model_installed():
        missing["naturalness"] = f"install {EXTRA}"
    if not is_recognizer_installed():
        missing["pinyinErrorRate"] = f"install {EXTRA}"
    return BundleEvaluation(
        name=engine.manifest.name,
        revision=engine.revision,
        emotion=emotion,
        sentences=len(sentences),
        speakers=tuple(rows),
        missing=missing,
    )
