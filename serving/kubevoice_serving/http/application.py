"""The HTTP application: middleware and routes over a `Backend`. It depends neither on Ray nor on engines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from http import HTTPStatus
from importlib.metadata import version

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, JSONResponse
from kubevoice.audio.encode import CONTENT_TYPES
from kubevoice.engine import Controls
from kubevoice.resources.data_plane import Track
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubevoice_serving.domain import Refusal, SynthesisRequest
from kubevoice_serving.http.access import AccessControl, AccessMiddleware, DynamicCorsMiddleware
from kubevoice_serving.http.body_limit import BodyLimit
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.errors import ERRORS, ApiError, add_error_handlers, make_refusal_error
from kubevoice_serving.http.head_requests import HeadRequests
from kubevoice_serving.http.metrics import HttpMetrics, ObservabilityMiddleware
from kubevoice_serving.http.recordings import Recordings
from kubevoice_serving.http.request_parsing import check_text, parse_reading_options
from kubevoice_serving.http.residency_metrics import render_residency
from kubevoice_serving.http.routes.batches import add_batch_route
from kubevoice_serving.http.routes.lists import add_list_routes
from kubevoice_serving.http.routes.pages import add_pages
from kubevoice_serving.http.routes.speech import add_speech_route, synthesize
from kubevoice_serving.http.routes.subtitles import add_subtitles_route
from kubevoice_serving.http.routes.websocket import add_websocket_route
from kubevoice_serving.http.schemas import AnalyzeRequest, AnalyzeResponse, LegacyRequest, LegacyResponse
from kubevoice_serving.http.voice_access import VoiceAccessBackend
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.tracing import current_span, get_tracer

__all__ = ["create_app"]

logger = logging.getLogger(__name__)

CLEANUP_SECONDS = 3600.0
NO_ROOM_SECONDS = 60
"""When a caller may try again if the disk had no room for its recording."""


def create_app(
    backend: Backend,
    recordings: Recordings,
    access: AccessControl,
    rules: ClientRules | None = None,
    *,
    name_responses: bool = True,
) -> FastAPI:
    """Create the application: speech, text analysis, voices, the web page, and routes for operators.

    Parameters
    ----------
    backend : Backend
        The replicas.
    recordings : Recordings
        Where /api/tts keeps its files; expired ones are deleted while the application runs.
    access : AccessControl
        Who may call; it may be reconfigured while the application runs.
    rules : ClientRules or None
        Names of voices, and what becomes of text with nothing to speak; it may be reconfigured likewise.
    name_responses : bool
        False if the HTTP server before the application writes X-Request-Id.

    Returns
    -------
    FastAPI
        An ASGI application.
    """
    get_tracer()  # loads the exporter now, so that the first request does not wait for it
    metrics, rules, backend = HttpMetrics(), rules or ClientRules(), VoiceAccessBackend(backend)
    # FastAPI's own pages load scripts from the Internet.
    app = FastAPI(
        title="KubeVoice",
        version=version("kubevoice"),
        lifespan=_clean_up_recordings(recordings),
        docs_url=None,
        redoc_url=None,
    )
    add_error_handlers(app)
    # The middleware that is added last runs first.
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadRequests)
    app.add_middleware(AccessMiddleware, access=access)
    app.add_middleware(DynamicCorsMiddleware, access=access)
    app.add_middleware(ObservabilityMiddleware, metrics=metrics, name_responses=name_responses)
    add_speech_route(app, backend, metrics, rules)
    add_batch_route(app, backend, metrics, access, rules)
    add_websocket_route(app, backend, metrics, rules)
    add_subtitles_route(app, backend, rules)
    _add_analyze_route(app, backend, rules)
    _add_legacy_routes(app, backend, metrics, recordings, rules)
    add_list_routes(app, backend, rules)
    _add_operations_routes(app, backend, metrics)
    add_pages(app)
    return app


def _clean_up_recordings(recordings: Recordings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a lifespan in which expired recordings are deleted every hour."""

    async def clean_up_forever() -> None:
        while True:
            with suppress(OSError):  # a full or missing disk must not end this task
                await asyncio.to_thread(recordings.delete_expired)
            await asyncio.sleep(CLEANUP_SECONDS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(clean_up_forever())
        yield
        task.cancel()

    return lifespan


def _add_analyze_route(app: FastAPI, backend: Backend, rules: ClientRules) -> None:
    @app.post("/v1/text/analyze", tags=["speech"], responses=ERRORS)
    async def analyze(body: AnalyzeRequest) -> AnalyzeResponse:
        """Analyze how text would be read: sentences, words, pinyin and the voice's units."""
        check_text(body.text, "text")
        options = parse_reading_options(body)
        request = SynthesisRequest(body.text, body.voice, ssml=body.ssml, reading_options=options)
        resolved, _ = await rules.resolve_voice(request, backend)
        analysis = await backend.analyze(resolved)
        if isinstance(analysis, Refusal):
            raise make_refusal_error(analysis, "text")
        return AnalyzeResponse.model_validate(analysis.as_dict())


def _add_legacy_routes(
    app: FastAPI, backend: Backend, metrics: HttpMetrics, recordings: Recordings, rules: ClientRules
) -> None:
    @app.post("/api/tts", tags=["speech"])
    async def tts(body: LegacyRequest) -> LegacyResponse:
        """Synthesize text and keep the WAV for seven days."""
        if not body.text:
            raise ApiError(HTTPStatus.BAD_REQUEST, "empty_text", "文本不能为空", param="text")
        controls = Controls(speaker=body.speaker_id, emotion=body.emotion, speed=body.speed, volume=body.volume)
        request = SynthesisRequest(body.text, controls=controls, trace=current_span().propagation_headers)
        result = await synthesize(backend, metrics, rules.allow_silence(request), "text")
        try:
            recording_id = await asyncio.to_thread(recordings.save, result.audio)
        except OSError as error:
            logger.error("a recording cannot be stored: %s", error)  # noqa: TRY400  # the traceback adds nothing
            message = (
                f"the recording cannot be stored now ({error.strerror}); POST /v1/audio/speech needs no disk space"
            )
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE, "no_room", message, headers={"Retry-After": str(NO_ROOM_SECONDS)}
            ) from None
        return LegacyResponse(audio_url=f"/audio/{recording_id}.wav")

    @app.get("/audio/{recording}.wav", tags=["speech"], response_class=FileResponse)
    async def audio(recording: str) -> FileResponse:
        """Return a WAV that /api/tts made."""
        path = recordings.get_path(recording)
        if path is None:
            message = f"there is no recording {recording[:64]!r}; recordings are deleted after seven days"
            raise ApiError(HTTPStatus.NOT_FOUND, "no_recording", message)
        return FileResponse(path, media_type=CONTENT_TYPES["wav"])


def _add_operations_routes(app: FastAPI, backend: Backend, metrics: HttpMetrics) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Whether this process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"])
    async def readyz() -> JSONResponse:
        """Whether a replica has voices, loaded or to be loaded on demand."""
        states = await backend.list_replicas()
        ready = any(state.voices and state.track is Track.STABLE for state in states)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"status": "ready" if ready else "no replica has a voice loaded"}, status)

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def exposition() -> Response:
        """Prometheus metrics of this process, and of the voices that replicas load on demand."""
        residency = render_residency(await backend.list_replicas())
        return Response(generate_latest(metrics.registry) + residency, media_type=CONTENT_TYPE_LATEST)
