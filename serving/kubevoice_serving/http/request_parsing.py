"""What a request asks for, checked: from its body to a job."""

from http import HTTPStatus

from kubevoice.engine import Controls
from kubevoice.errors import InputError
from kubevoice.text import Lexicon, make_lexicon

from kubevoice_serving.domain import Refusal, SpeechJob
from kubevoice_serving.http.errors import ApiError, refuse
from kubevoice_serving.http.schemas import MAX_CHARACTERS, Controlled
from kubevoice_serving.tracing import current

__all__ = ["check_text", "job_of", "lexicon_of"]


def check_text(text: str, param: str) -> None:
    """Raise ApiError for a text that is empty or too long; `param` is the field it came in."""
    if not text.strip():
        raise ApiError(HTTPStatus.BAD_REQUEST, "empty_text", f"{param} is empty; send text to speak", param=param)
    if len(text) > MAX_CHARACTERS:
        message = f"{param} has {len(text)} characters; at most {MAX_CHARACTERS} are taken at once: split the text"
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long", message, param=param)


def job_of(request: Controlled, text: str, *, ssml: bool = False) -> SpeechJob:
    """Return what is to be spoken and how. Raises ApiError as `lexicon_of` does."""
    controls = Controls(
        speaker=request.speaker,
        emotion=request.emotion,
        intensity=request.intensity,
        speed=request.speed,
        pitch=request.pitch,
        volume=request.volume,
    )
    lexicon = lexicon_of(request.lexicon)
    return SpeechJob(text, request.voice, controls=controls, ssml=ssml, lexicon=lexicon, trace=current().carried)


def lexicon_of(readings: dict[str, str] | None) -> Lexicon | None:
    """Return a request's lexicon. Raises ApiError naming every entry that is wrong."""
    try:
        entries = ((f"lexicon[{word[:32]!r}]", word, pinyin) for word, pinyin in (readings or {}).items())
        return make_lexicon(entries) or None
    except InputError as error:
        raise refuse(Refusal.of(error), "lexicon") from None
