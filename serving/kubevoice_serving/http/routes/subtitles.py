"""The route for timestamps and subtitles.

It is apart from the one for speech: times come from durations, which the encoder alone predicts. So they can be had
before, after or without the audio, whatever its format, and whether it was cached or not.
"""

from fastapi import FastAPI, Response
from kubevoice.subtitles import render_subtitles

from kubevoice_serving.domain import Refusal
from kubevoice_serving.http.errors import ERRORS, make_refusal_error
from kubevoice_serving.http.request_parsing import check_text, parse_synthesis_request
from kubevoice_serving.http.schemas import SubtitlesRequest
from kubevoice_serving.routing.backend import Backend

__all__ = ["add_subtitles_route"]

MEDIA_TYPES = {
    "json": "application/json",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


def add_subtitles_route(app: FastAPI, backend: Backend) -> None:
    """Add POST /v1/audio/subtitles.

    Parameters
    ----------
    app : FastAPI
        The application.
    backend : Backend
        The replicas.
    """

    @app.post("/v1/audio/subtitles", tags=["speech"], response_class=Response, responses=ERRORS)
    async def subtitles(body: SubtitlesRequest) -> Response:
        """Return when each word of the same request's speech is heard, or subtitles for it."""
        check_text(body.input, "input")
        timing = await backend.compute_timing(parse_synthesis_request(body, body.input, ssml=body.ssml))
        if isinstance(timing, Refusal):
            raise make_refusal_error(timing, "input")
        content = render_subtitles(body.format, body.input, timing.timing, ssml=body.ssml)
        headers = {"X-Voice": timing.voice, "X-Revision": timing.revision}
        return Response(content, headers=headers, media_type=MEDIA_TYPES[body.format])
