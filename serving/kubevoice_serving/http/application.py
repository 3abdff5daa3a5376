"""The HTTP application: routes over a `Backend`. It knows nothing of Ray or of engines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from kubevoice.audio.encode import CONTENT_TYPES
from kubevoice.engine import Controls
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubevoice_serving.domain import Refusal, SpeechJob, Track
from kubevoice_serving.http.access import Access, Cors, Gate
from kubevoice_serving.http.body_limit import BodyBound
from kubevoice_serving.http.errors import ERRORS, ApiError, add_error_handlers, refuse
from kubevoice_serving.http.metrics import Metrics, Observer
from kubevoice_serving.http.recordings import Recordings
from kubevoice_serving.http.request_parsing import check_text, lexicon_of
from kubevoice_serving.http.routes.batches import add_batch
from kubevoice_serving.http.routes.speech import add_speech, speak
from kubevoice_serving.http.routes.subtitles import add_subtitles
from kubevoice_serving.http.routes.websocket import add_live
from kubevoice_serving.http.schemas import (
    AnalyzeAnswer,
    AnalyzeRequest,
    LegacyAnswer,
    LegacyRequest,
    Model,
    ModelList,
    Replica,
    RevisionList,
    Traffic,
    Voice,
    VoiceList,
)
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.tracing import current, tracer

__all__ = ["create_app"]

logger = logging.getLogger(__name__)

WEBUI = Path(__file__).parents[1] / "webui"
SWEEP_SECONDS = 3600.0
NO_ROOM_SECONDS = 60
"""When a caller may try again whose recording found no room."""
CONTENT_SECURITY_POLICY = "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; frame-ancestors 'none'"


def create_app(backend: Backend, recordings: Recordings, access: Access) -> FastAPI:
    """Return the application: speech, text, voices, the WebUI and what operators of it look at."""
    tracer()  # what it loads would keep the first request waiting
    metrics = Metrics()
    app = FastAPI(title="KubeVoice", version=version("kubevoice"), lifespan=_sweeping(recordings))
    add_error_handlers(app)
    # The last one added is the first to see a request.
    app.add_middleware(BodyBound)
    app.add_middleware(Gate, access=access)
    app.add_middleware(Cors, access=access)
    app.add_middleware(Observer, metrics=metrics)
    add_speech(app, backend, metrics)
    add_batch(app, backend, metrics, access)
    add_live(app, backend, metrics)
    add_subtitles(app, backend)
    _add_text(app, backend)
    _add_legacy(app, backend, metrics, recordings)
    _add_lists(app, backend)
    _add_operations(app, backend, metrics)
    _add_webui(app)
    return app


def _sweeping(recordings: Recordings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    async def sweep() -> None:
        while True:
            with suppress(OSError):  # a full or vanished disk must not end the sweeping
                await asyncio.to_thread(recordings.sweep)
            await asyncio.sleep(SWEEP_SECONDS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(sweep())
        yield
        task.cancel()

    return lifespan


def _add_text(app: FastAPI, backend: Backend) -> None:
    @app.post("/v1/text/analyze", tags=["speech"], responses=ERRORS)
    async def analyze(request: AnalyzeRequest) -> AnalyzeAnswer:
        """Show how text would be read: sentences, words, pinyin and the voice's units."""
        check_text(request.text, "text")
        readings = lexicon_of(request.lexicon)
        analysis = await backend.analyze(request.text, readings, ssml=request.ssml, voice=request.voice)
        if isinstance(analysis, Refusal):
            raise refuse(analysis, "text")
        return AnalyzeAnswer.model_validate(analysis.as_dict())


def _add_legacy(app: FastAPI, backend: Backend, metrics: Metrics, recordings: Recordings) -> None:
    @app.post("/api/tts", tags=["speech"])
    async def tts(request: LegacyRequest) -> LegacyAnswer:
        """Speak text and keep the WAV for seven days."""
        if not request.text.strip():
            raise ApiError(HTTPStatus.BAD_REQUEST, "empty_text", "文本不能为空", param="text")
        controls = Controls(
            speaker=request.speaker_id, emotion=request.emotion, speed=request.speed, volume=request.volume
        )
        job = SpeechJob(request.text, controls=controls, trace=current().carried)
        answer = await speak(backend, metrics, job, "text")
        try:
            recording = await asyncio.to_thread(recordings.add, answer.audio)
        except OSError as error:
            logger.error("a recording cannot be kept: %s", error)  # noqa: TRY400  # the traceback tells nothing more
            message = f"no recording can be kept now ({error.strerror}); POST /v1/audio/speech needs no room"
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE, "no_room", message, headers={"Retry-After": str(NO_ROOM_SECONDS)}
            ) from None
        return LegacyAnswer(audio_url=f"/audio/{recording}.wav")

    @app.get("/audio/{recording}.wav", tags=["speech"], response_class=FileResponse)
    async def audio(recording: str) -> FileResponse:
        """A WAV that /api/tts made."""
        path = recordings.find(recording)
        if path is None:
            message = f"there is no recording {recording[:64]!r}; recordings are deleted after seven days"
            raise ApiError(HTTPStatus.NOT_FOUND, "no_recording", message)
        return FileResponse(path, media_type=CONTENT_TYPES["wav"])


def _add_lists(app: FastAPI, backend: Backend) -> None:
    @app.get("/v1/voices", tags=["voices"])
    async def voices() -> VoiceList:
        """List voices with their speakers, emotions and provenance."""
        return VoiceList(voices=[Voice.model_validate(voice) for voice in await backend.voices()])

    @app.get("/v1/models", tags=["voices"])
    async def models() -> ModelList:
        """The voices again, as OpenAI's clients look for them."""
        return ModelList(data=[Model(id=voice.name) for voice in await backend.voices()])

    @app.get("/v1/revisions", tags=["operations"])
    async def revisions() -> RevisionList:
        """List the revision of each voice in each replica, and how the requests of either track fare."""
        states = [Replica.model_validate(state) for state in await backend.states()]
        traffic = {track: Traffic.model_validate(found) for track, found in backend.traffic().items()}
        return RevisionList(replicas=states, traffic=traffic)


def _add_operations(app: FastAPI, backend: Backend, metrics: Metrics) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Whether this process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"])
    async def readyz() -> JSONResponse:
        """Whether a replica has voices loaded."""
        ready = any(state.voices and state.track is Track.STABLE for state in await backend.states())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"status": "ready" if ready else "no replica has a voice loaded"}, status)

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def exposition() -> Response:
        """Prometheus metrics of this process."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_webui(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(WEBUI / "index.html", headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    app.mount("/webui", StaticFiles(directory=WEBUI), name="webui")
