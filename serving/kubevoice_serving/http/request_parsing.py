"""Request parsing: from a validated body to a SynthesisRequest."""

from http import HTTPStatus

from kubevoice.engine import Controls
from kubevoice.errors import InputError
from kubevoice.text import ReadingOptions, make_lexicon

from kubevoice_serving.domain import Refusal, SynthesisRequest
from kubevoice_serving.http.errors import ApiError, make_refusal_error
from kubevoice_serving.http.schemas import MAX_CHARACTERS, ReadingFields, SpeechOptions
from kubevoice_serving.tracing import current_span

__all__ = ["check_text", "parse_reading_options", "parse_synthesis_request"]


def check_text(text: str, param: str) -> None:
    """Check that a text is neither empty nor too long. White space is text with nothing to speak.

    Parameters
    ----------
    text : str
        The text.
    param : str
        Field that it came in, for the error.

    Raises
    ------
    ApiError
        400 `empty_text` or 413 `text_too_long`.
    """
    if not text:
        raise ApiError(HTTPStatus.BAD_REQUEST, "empty_text", f"{param} is empty; send text to speak", param=param)
    if len(text) > MAX_CHARACTERS:
        message = (
            f"{param} has {len(text)} characters; split the text: at most {MAX_CHARACTERS} are allowed in one request"
        )
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long", message, param=param)


def parse_synthesis_request(options: SpeechOptions, text: str, *, ssml: bool = False) -> SynthesisRequest:
    """Build the request for a text, with the trace of the current HTTP request.

    Parameters
    ----------
    options : SpeechOptions
        Voice, controls and lexicon of a body.
    text : str
        Text to synthesize; not checked.
    ssml : bool
        Whether the text is an SSML document.

    Returns
    -------
    SynthesisRequest
        The request, with the defaults for what `options` does not have.

    Raises
    ------
    ApiError
        As `parse_reading_options`.
    """
    controls = Controls(
        speaker=options.speaker,
        emotion=options.emotion,
        intensity=options.intensity,
        speed=options.speed,
        pitch=options.pitch,
        volume=options.volume,
    )
    trace = current_span().propagation_headers
    return SynthesisRequest(
        text,
        options.voice,
        controls=controls,
        instructions=options.instructions,
        ssml=ssml,
        reading_options=parse_reading_options(options),
        trace=trace,
    )


def parse_reading_options(fields: ReadingFields) -> ReadingOptions:
    """Read how the text of a body is to be read.

    Parameters
    ----------
    fields : ReadingFields
        The body.

    Returns
    -------
    ReadingOptions
        With the lexicon, unless it has no readings.

    Raises
    ------
    ApiError
        400 `cannot_speak`, which names every entry of the lexicon that is wrong.
    """
    readings = (fields.lexicon or {}).items()
    try:
        lexicon = make_lexicon((f"lexicon[{word[:32]!r}]", word, pinyin) for word, pinyin in readings)
    except InputError as error:
        raise make_refusal_error(Refusal.from_error(error), "lexicon") from None
    return ReadingOptions(lexicon or None, hints=fields.hints, keep_code=fields.keep_code)
