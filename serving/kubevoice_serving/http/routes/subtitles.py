"""The route for timestamps and subtitles.

It is separate from the route for speech because the encoder alone predicts the durations. So the times are available
before, after or without the audio, in every format, and also for cached speech.
"""

from http import HTTPStatus

from fastapi import FastAPI, Response
from kubevoice.subtitles import render_subtitles

from kubevoice_serving.domain import Refusal
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.errors import ERRORS, make_refusal_error
from kubevoice_serving.http.notices import make_notices_header
from kubevoice_serving.http.request_parsing import check_text, parse_synthesis_request
from kubevoice_serving.http.schemas import SubtitlesRequest
from kubevoice_serving.routing.backend import Backend

__all__ = ["add_subtitles_route"]

MEDIA_TYPES = {
    "json": "application/json",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


def add_subtitles_route(app: FastAPI, backend: Backend, rules: ClientRules) -> None:
    """Add POST /v1/audio/subtitles.

    Parameters
    ----------
    app : FastAPI
        The application.
    backend : Backend
        The replicas.
    rules : ClientRules
        Names of voices, and what becomes of text with nothing to speak.
    """

    @app.post("/v1/audio/subtitles", tags=["speech"], response_class=Response, responses=ERRORS)
    async def subtitles(body: SubtitlesRequest) -> Response:
        """Return the times of the words in the same request's speech, or subtitles for it."""
        check_text(body.input, "input")
        parsed = rules.allow_silence(parse_synthesis_request(body, body.input, ssml=body.ssml))
        request, notices = await rules.resolve_voice(parsed, backend)
        timing = await backend.compute_timing(request)
        if isinstance(timing, Refusal):
            if timing.silent:
                return Response(status_code=HTTPStatus.NO_CONTENT)
            raise make_refusal_error(timing, "input")
        content = render_subtitles(
            body.format, body.input, timing.timing, ssml=body.ssml, options=request.reading_options
        )
        headers = {"X-Voice": timing.voice, "X-Revision": timing.revision} | make_notices_header(body.notices + notices)
        return Response(content, headers=headers, media_type=MEDIA_TYPES[body.format])
