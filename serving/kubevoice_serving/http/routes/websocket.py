"""The route for incremental speech: a WebSocket that receives text and sends speech at the same time.

This module handles messages, limits and the end; `incremental` makes the speech.
"""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, NoReturn

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from kubevoice.text.segment import Splitter
from kubevoice.validation import field_path
from pydantic import ValidationError

from kubevoice_serving.domain import AtCapacityError, UnavailableError
from kubevoice_serving.http.body_limit import MAX_BODY_BYTES
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.errors import ApiError, make_invalid_value_error, make_retry_error
from kubevoice_serving.http.events import AudioDone, Event, Timestamps, document_models, make_schema_reference
from kubevoice_serving.http.incremental import IncrementalSpeech
from kubevoice_serving.http.metrics import HttpMetrics
from kubevoice_serving.http.request_parsing import parse_synthesis_request
from kubevoice_serving.http.schemas import MAX_CHARACTERS, ErrorResponse
from kubevoice_serving.http.websocket_errors import choose_subprotocol, close_with_error
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
from kubevoice_serving.routing.backend import Backend

__all__ = ["add_websocket_route"]

PATH = "/v1/audio/speech/stream"
IDLE_SECONDS = 60.0
"""A connection is closed if no message comes for this long while there is no text to synthesize."""
CALLER_MESSAGES = (StartMessage, TextMessage, FlushMessage, EndMessage)
SERVER_EVENTS = (SpeechStarted, SentenceStarted, Timestamps, Flushed, AudioDone, ErrorEvent)
UPGRADE_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.SWITCHING_PROTOCOLS: {"description": "Messages follow: see `x-messages`, and docs/http.md."},
    HTTPStatus.UPGRADE_REQUIRED: {"model": ErrorResponse},
}


def add_websocket_route(app: FastAPI, backend: Backend, metrics: HttpMetrics, rules: ClientRules) -> None:
    """Add the WebSocket /v1/audio/speech/stream, and its place in the OpenAPI document.

    Parameters
    ----------
    app : FastAPI
        The application.
    backend : Backend
        The replicas.
    metrics : HttpMetrics
        Where connections and speech are counted.
    rules : ClientRules
        Names of voices.
    """
    document_models(app, *CALLER_MESSAGES, *SERVER_EVENTS)
    messages = {
        "x-messages": {
            "sent": make_schema_reference(*CALLER_MESSAGES),
            "received": make_schema_reference(*SERVER_EVENTS),
        }
    }

    @app.get(
        PATH,
        tags=["speech"],
        status_code=HTTPStatus.SWITCHING_PROTOCOLS,
        response_model=None,
        responses=UPGRADE_RESPONSES,
        openapi_extra=messages,
    )
    async def upgrade() -> NoReturn:
        """Synthesize text as it arrives, over a WebSocket."""
        message = f"{PATH} is a WebSocket; connect to it with ws:// or wss://"
        raise ApiError(HTTPStatus.UPGRADE_REQUIRED, "upgrade_required", message, headers={"Upgrade": "websocket"})

    @app.websocket(PATH)
    async def serve_websocket(socket: WebSocket) -> None:
        try:
            await socket.accept(choose_subprotocol(socket.scope))
        except OSError:  # the caller has gone
            return
        with suppress(WebSocketDisconnect):
            try:
                with metrics.websocket_connections.track_inprogress():
                    await _Connection(socket).serve(backend, metrics, rules)
            except (AtCapacityError, UnavailableError) as error:
                await close_with_error(socket.send, make_retry_error(error))
            except ApiError as error:
                await close_with_error(socket.send, error)
            else:
                await socket.close()


class _Connection:
    """One connection. It reads text and sends speech at the same time; whichever ends first ends the other."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._queue: asyncio.Queue[str | FlushMessage | EndMessage] = asyncio.Queue()
        """Sentences, and messages to answer between them; filled by `_read_text`, emptied by `_send_speech`."""
        self._synthesizing = False
        """Whether an item of the queue is being answered; written by `_send_speech`."""

    async def serve(self, backend: Backend, metrics: HttpMetrics, rules: ClientRules) -> None:
        """Synthesize the text that comes until its end.

        Raises
        ------
        WebSocketDisconnect
            If the caller closes the connection.
        ApiError, AtCapacityError, UnavailableError
            For what is wrong with a message, or as `IncrementalSpeech`.
        """
        start = await self._receive_message()
        if not isinstance(start, StartMessage):
            raise ApiError(HTTPStatus.BAD_REQUEST, "not_started", "the first message must be of type start")
        parsed = replace(parse_synthesis_request(start, ""), timestamps=start.timestamps)
        request, notices = await rules.resolve_voice(parsed, backend)
        speech = IncrementalSpeech(backend, metrics, request, start.response_format, start.notices + notices)
        sending = asyncio.create_task(self._send_speech(speech))
        reading = asyncio.create_task(self._read_text())
        try:
            done, _ = await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            (reading if reading in done else sending).result()
        finally:
            sending.cancel()
            reading.cancel()
            await asyncio.gather(sending, reading, return_exceptions=True)

    async def _send_speech(self, speech: IncrementalSpeech) -> None:
        """Answer the items of the queue until the end of the text."""
        while True:
            self._synthesizing = False
            item = await self._queue.get()
            self._synthesizing = True
            if isinstance(item, FlushMessage):
                await self._send(Flushed())
                continue
            ended = isinstance(item, EndMessage)
            items = speech.finish() if isinstance(item, EndMessage) else speech.synthesize_sentence(item)
            async with aclosing(items):
                async for event_or_audio in items:
                    await self._send(event_or_audio)
            if ended:
                return

    async def _send(self, item: Event | bytes) -> None:
        try:
            if isinstance(item, bytes):
                await self._socket.send_bytes(item)
            else:
                await self._socket.send_text(item.model_dump_json())
        except RuntimeError as error:  # the server has closed it, as after a message that is too large for it
            raise WebSocketDisconnect from error

    async def _read_text(self) -> None:
        """Cut the text into sentences until its end; then wait for the caller to leave."""
        splitter, size = Splitter(), 0
        while True:
            message = await self._receive_message()
            if isinstance(message, StartMessage):
                raise ApiError(HTTPStatus.BAD_REQUEST, "already_started", "a connection makes one speech; open another")
            # A flush counts as a character, so that a caller who sends only flushes reaches the limit.
            size += len(message.text) if isinstance(message, TextMessage) else 1
            if size > MAX_CHARACTERS:
                reason = (
                    f"the text has more than {MAX_CHARACTERS} characters; end the speech and open another connection"
                )
                raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long", reason, param="text")
            for sentence in splitter.feed(message.text) if isinstance(message, TextMessage) else splitter.flush():
                self._queue.put_nowait(sentence)
            if not isinstance(message, TextMessage):
                self._queue.put_nowait(message)
            if isinstance(message, EndMessage):
                await self._receive_text()
                raise ApiError(HTTPStatus.BAD_REQUEST, "ended", "a message arrived after the one of type end")

    async def _receive_message(self) -> Message:
        """Return the next message. Raises ApiError if it is invalid, or if none comes."""
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    return _parse_message(await self._receive_text())
            except TimeoutError:
                if self._queue.empty() and not self._synthesizing:
                    reason = f"no message arrived for {IDLE_SECONDS:g} s; send one, or end the speech"
                    raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "idle", reason) from None

    async def _receive_text(self) -> str | None:
        """Return the text of the next message, None if it is binary. Raises WebSocketDisconnect."""
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1006))
        text: str | None = frame.get("text")
        return text


def _parse_message(text: str | None) -> Message:
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
        # Where the type is known, it is before the name of a field.
        named = ((field_path(fault["loc"][1:], "type"), fault["msg"]) for fault in faults)
        raise make_invalid_value_error(named) from None
