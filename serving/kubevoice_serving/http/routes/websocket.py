"""The WebSocket that speaks text as it comes: its messages, its bounds and its end. What is said is Narration's."""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NoReturn

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from kubevoice.text.segment import Splitter
from pydantic import ValidationError

from kubevoice_serving.http.body_limit import MAX_BODY_BYTES
from kubevoice_serving.http.errors import ApiError, api_error, invalid_value
from kubevoice_serving.http.events import AudioDone, Event, Timestamps, add_models, reference
from kubevoice_serving.http.incremental import Narration
from kubevoice_serving.http.metrics import Metrics
from kubevoice_serving.http.request_parsing import job_of
from kubevoice_serving.http.schemas import MAX_CHARACTERS, ErrorAnswer
from kubevoice_serving.http.websocket_errors import close, protocol_of
from kubevoice_serving.http.websocket_messages import (
    MESSAGE,
    EndMessage,
    ErrorEvent,
    Flushed,
    FlushMessage,
    Message,
    SentenceStarted,
    SpeechStarted,
    StartMessage,
    TextMessage,
)
from kubevoice_serving.routing.backend import Backend, BusyError, UnavailableError

__all__ = ["add_live"]

PATH = "/v1/audio/speech/stream"
IDLE_SECONDS = 60.0
"""Whoever sends nothing for so long, while there is nothing to speak, is taken to be gone."""
SENT = (StartMessage, TextMessage, FlushMessage, EndMessage)
TOLD = (SpeechStarted, SentenceStarted, Timestamps, Flushed, AudioDone, ErrorEvent)
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    HTTPStatus.SWITCHING_PROTOCOLS: {"description": "Messages follow: see `x-messages`, and docs/http.md."},
    HTTPStatus.UPGRADE_REQUIRED: {"model": ErrorAnswer},
}


def add_live(app: FastAPI, backend: Backend, metrics: Metrics) -> None:
    """Add the WebSocket /v1/audio/speech/stream, and its place in the OpenAPI document."""
    add_models(app, *SENT, *TOLD)
    messages = {"x-messages": {"sent": reference(*SENT), "received": reference(*TOLD)}}

    @app.get(PATH, tags=["speech"], status_code=101, response_model=None, responses=DOCUMENTED, openapi_extra=messages)
    async def upgrade() -> NoReturn:
        """Speak text as it comes, over a WebSocket."""
        message = f"{PATH} is a WebSocket; connect to it with ws:// or wss://"
        raise ApiError(HTTPStatus.UPGRADE_REQUIRED, "upgrade_required", message, headers={"Upgrade": "websocket"})

    @app.websocket(PATH)
    async def live(socket: WebSocket) -> None:
        try:
            await socket.accept(protocol_of(socket.scope))
        except OSError:  # the caller has gone
            return
        with suppress(WebSocketDisconnect):
            try:
                with metrics.conversations.track_inprogress():
                    await _Conversation(socket).hold(backend, metrics)
            except (BusyError, UnavailableError) as error:
                await close(socket.send, api_error(error))
            except ApiError as error:
                await close(socket.send, error)
            else:
                await socket.close()


class _Conversation:
    """One connection: text comes and speech goes at the same time. Whichever ends first ends the other."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._due: asyncio.Queue[str | FlushMessage | EndMessage] = asyncio.Queue()
        """Sentences to speak, and what is to be told between them."""
        self._speaking = False

    async def hold(self, backend: Backend, metrics: Metrics) -> None:
        """Speak what comes until it ends. Raises WebSocketDisconnect, and what keeps it from being spoken."""
        start = await self._message()
        if not isinstance(start, StartMessage):
            raise ApiError(HTTPStatus.BAD_REQUEST, "not_started", "the first message must be of type start")
        job = replace(job_of(start, ""), timestamps=start.timestamps)
        speech = asyncio.create_task(self._speak(Narration(backend, metrics, job, start.response_format)))
        text = asyncio.create_task(self._read())
        try:
            done, _ = await asyncio.wait({speech, text}, return_when=asyncio.FIRST_COMPLETED)
            (text if text in done else speech).result()
        finally:
            speech.cancel()
            text.cancel()
            await asyncio.gather(speech, text, return_exceptions=True)

    async def _speak(self, narration: Narration) -> None:
        while True:
            self._speaking = False
            item = await self._due.get()
            self._speaking = True
            if isinstance(item, FlushMessage):
                await self._send(Flushed())
                continue
            ended = isinstance(item, EndMessage)
            async with aclosing(narration.end() if isinstance(item, EndMessage) else narration.sentence(item)) as made:
                async for one in made:
                    await self._send(one)
            if ended:
                return

    async def _send(self, one: Event | bytes) -> None:
        try:
            if isinstance(one, bytes):
                await self._socket.send_bytes(one)
            else:
                await self._socket.send_text(one.model_dump_json())
        except RuntimeError as error:  # the server has closed it, as after a message that it does not even take
            raise WebSocketDisconnect from error

    async def _read(self) -> None:
        """Cut what comes into sentences until it ends; then see to it that the caller stays."""
        splitter, size = Splitter(), 0
        while True:
            message = await self._message()
            if isinstance(message, StartMessage):
                raise ApiError(HTTPStatus.BAD_REQUEST, "already_started", "a connection makes one speech; open another")
            # Whoever only flushes would otherwise be answered without end.
            size += len(message.text) if isinstance(message, TextMessage) else 1
            if size > MAX_CHARACTERS:
                words = f"more than {MAX_CHARACTERS} characters have come; end the speech and open another connection"
                raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long", words, param="text")
            for sentence in splitter.feed(message.text) if isinstance(message, TextMessage) else splitter.flush():
                self._due.put_nowait(sentence)
            if not isinstance(message, TextMessage):
                self._due.put_nowait(message)
            if isinstance(message, EndMessage):
                await self._received()
                raise ApiError(HTTPStatus.BAD_REQUEST, "ended", "a message came after the one of type end")

    async def _message(self) -> Message:
        """Return the next message. Raises ApiError for what is none, and if none comes."""
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    return _parsed(await self._received())
            except TimeoutError:
                if self._due.empty() and not self._speaking:
                    words = f"no message has come for {IDLE_SECONDS:g} s; send one, or end the speech"
                    raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "idle", words) from None

    async def _received(self) -> str | None:
        """Return the text of the next message, None if it is binary. Raises WebSocketDisconnect."""
        got = await self._socket.receive()
        if got["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(got.get("code", 1006))
        text: str | None = got.get("text")
        return text


def _parsed(text: str | None) -> Message:
    if text is None:
        message = "the message is binary; send JSON in text messages"
        raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_json", message)
    if len(text) > MAX_BODY_BYTES:
        message = f"the message is larger than {MAX_BODY_BYTES} bytes; send less text"
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", message)
    try:
        return MESSAGE.validate_json(text)
    except ValidationError as error:
        faults = error.errors()
        if faults[0]["type"] == "json_invalid":
            reason = f"the message is not JSON: {faults[0]['ctx']['error']}"
            raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_json", reason) from None
        # Where the type is known, it stands before the name of a field.
        named = ((".".join(map(str, fault["loc"][1:])) or "type", fault["msg"]) for fault in faults)
        raise invalid_value(named) from None
