"""The route that tells when words are heard.

It is apart from speech: times come from durations, which the encoder alone gives, so they can be had before, after or
without the audio, whatever its format and whether it was remembered or not.
"""

from fastapi import FastAPI, Response
from kubevoice.subtitles import render

from kubevoice_serving.domain import Refusal
from kubevoice_serving.http.errors import ERRORS, refuse
from kubevoice_serving.http.request_parsing import check_text, job_of
from kubevoice_serving.http.schemas import SubtitlesRequest
from kubevoice_serving.routing.backend import Backend

__all__ = ["add_subtitles"]

TYPES = {"json": "application/json", "srt": "application/x-subrip; charset=utf-8", "vtt": "text/vtt; charset=utf-8"}


def add_subtitles(app: FastAPI, backend: Backend) -> None:
    """Add POST /v1/audio/subtitles."""

    @app.post("/v1/audio/subtitles", tags=["speech"], response_class=Response, responses=ERRORS)
    async def subtitles(request: SubtitlesRequest) -> Response:
        """Tell when each word of the same request's speech is heard, or write subtitles for it."""
        check_text(request.input, "input")
        timed = await backend.time(job_of(request, request.input, ssml=request.ssml))
        if isinstance(timed, Refusal):
            raise refuse(timed, "input")
        content = render(request.format, request.input, timed.timing, ssml=request.ssml)
        headers = {"X-Voice": timed.voice, "X-Revision": timed.revision}
        return Response(content, headers=headers, media_type=TYPES[request.format])
