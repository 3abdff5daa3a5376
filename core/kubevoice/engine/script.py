"""The script of a request: its sentences, the silences between them, and the controls of each unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubevoice.engine.controls import Controls, apply_style, report_unknown_names
from kubevoice.engine.engine import Engine
from kubevoice.text import Decision, Part, Passage, ReadingOptions, explain, parse_text, read_document
from kubevoice.text.ssml import Break, Notice

__all__ = ["SENTENCE_PAUSE_SECONDS", "Script", "ScriptSegment", "build_script", "iter_segments"]

SENTENCE_PAUSE_SECONDS = 0.28
"""Silence between two sentences at normal speed."""


@dataclass(frozen=True, slots=True)
class Script:
    """Sentences, silences and bookmarks in order, notices about what has no effect, and what decided the readings."""

    parts: tuple[Part, ...]
    notices: tuple[Notice, ...] = ()
    decisions: tuple[Decision, ...] = ()


def build_script(
    engine: Engine, text: str, *, ssml: bool = False, options: ReadingOptions | None = None, explained: bool = False
) -> Script:
    """Run the front end on a text or an SSML document with the settings of a voice.

    Parameters
    ----------
    engine
        The voice.
    text
        Plain text or an SSML document.
    ssml
        Whether the text must be an SSML document; otherwise it is one if it begins with <speak>.
    options
        How this text is read; None for the defaults.
    explained
        Whether the script has decisions, too.

    Returns
    -------
    Script
        The parts in order.

    Raises
    ------
    InputError
        If nothing in the text can be synthesized or a character has no reading.
    """
    front_end_config = engine.front_end_config.with_options(options)
    document = parse_text(text, front_end_config, ssml=ssml)
    parts = read_document(document, front_end_config)
    styles = (style for part in parts if isinstance(part, Passage) for style in part.styles)
    decisions = explain(document, parts, front_end_config) if explained else ()
    return Script(parts, document.notices + report_unknown_names(styles, engine.manifest), decisions)


@dataclass(frozen=True, slots=True)
class ScriptSegment:
    """A part of a script.

    Attributes
    ----------
    part
        A sentence, a silence or a bookmark.
    leading_silence_samples
        Samples of silence before it.
    controls
        One value for each unit of a sentence; empty for other parts.
    """

    part: Part
    leading_silence_samples: int
    controls: tuple[Controls, ...] = ()


def iter_segments(engine: Engine, parts: Sequence[Part], controls: Controls) -> Iterator[ScriptSegment]:
    """Yield the segments of a script, with the silences of its document and a short one between two sentences.

    Parameters
    ----------
    engine
        The voice.
    parts
        The parts of the script.
    controls
        Controls of the request; styles of the document change them.

    Yields
    ------
    ScriptSegment
        The segments in order.
    """
    pause = round(SENTENCE_PAUSE_SECONDS / controls.speed * engine.sample_rate)
    after_speech = False
    for part in parts:
        if isinstance(part, Passage):
            of_style = {style: apply_style(controls, style, engine.manifest) for style in set(part.styles)}
            yield ScriptSegment(part, pause if after_speech else 0, tuple(of_style[style] for style in part.styles))
            after_speech = True
        elif isinstance(part, Break):
            yield ScriptSegment(part, round(part.seconds * engine.sample_rate))
            after_speech = False
        else:
            yield ScriptSegment(part, 0)
