"""A server of the Wyoming protocol, by which Home Assistant's voice pipelines speak with a voice.

An event is a line of JSON with its `type`, then `data_length` bytes of JSON and `payload_length` bytes of audio
(https://github.com/OHF-Voice/wyoming). Each text is a request to the HTTP API, whose scheduler, cache and limits apply.
"""

import json
import socket
import socketserver
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from io import BufferedIOBase
from typing import Any, cast

from kubevoice.engine.script import SENTENCE_PAUSE_SECONDS
from kubevoice.errors import KubeVoiceError
from kubevoice.text.segment import Splitter
from typing_extensions import override

from kubevoice_cli.client import fetch_voices, open_request

__all__ = ["WyomingServer"]

MAX_LINE_BYTES, MAX_DATA_BYTES = 64 << 10, 1 << 20
CHUNK_BYTES, SAMPLE_BYTES = 4096, 2
IDLE_SECONDS = 600.0
DISCARD_SECONDS = 2.0
LANGUAGES = ("zh", "zh-CN", "cmn")
"""Home Assistant offers a voice in the languages that it names."""


class WyomingServer(socketserver.ThreadingTCPServer):
    """Answers each client in a thread of its own.

    Parameters
    ----------
    address : tuple of str and int
        Host and port to listen on.
    url : str
        Address of the HTTP API.
    """

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, address: tuple[str, int], url: str) -> None:
        self.url = url
        super().__init__(address, _Connection)


class _Connection(socketserver.StreamRequestHandler):
    """One client. It sends one text after the other."""

    timeout = IDLE_SECONDS

    @override
    def setup(self) -> None:
        super().setup()
        self._url = cast("WyomingServer", self.server).url
        self._voice: dict[str, Any] = {}
        """Name and speaker for the text; set by its first event."""
        self._splitter: Splitter | None = None
        """Cuts a text that arrives in parts into sentences; None while there is none."""
        self._shape: dict[str, int] = {}
        """Rate, width and channels of the audio; empty before the first audio of a text."""

    @override
    def handle(self) -> None:
        """Answer events until the client leaves, or sends what is no event."""
        try:
            while event := _read_event(self.rfile):
                try:
                    self._answer(*event)
                except KubeVoiceError as error:
                    self._splitter, self._shape = None, {}
                    self._write("error", {"text": str(error), "code": type(error).__name__})
        except OSError:  # the client has gone
            return
        except (ValueError, TypeError) as error:
            self._write("error", {"text": f"this is not an event of the Wyoming protocol: {error}", "code": "invalid"})
            self._discard_input()

    def _discard_input(self) -> None:
        """Read what the client still sends. Closed with unread bytes, TCP would drop the error on its way."""
        self.connection.settimeout(DISCARD_SECONDS)
        unread = MAX_DATA_BYTES
        with suppress(OSError):  # the client has gone, or keeps the connection open
            self.connection.shutdown(socket.SHUT_WR)
            while unread > 0 and (discarded := self.rfile.read1(unread)):
                unread -= len(discarded)

    def _write(self, kind: str, data: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        content = json.dumps(data or {}).encode()
        header = {"type": kind, "data_length": len(content), "payload_length": len(payload)}
        self.wfile.write(json.dumps(header).encode() + b"\n" + content + payload)

    def _answer(self, kind: str, data: dict[str, Any]) -> None:
        voice, text = data.get("voice"), str(data.get("text", ""))
        match kind:
            case "describe":
                self._write("info", _describe_voices(fetch_voices(self._url)))
            case "ping":
                self._write("pong", {"text": text})
            case "synthesize-start":
                self._voice, self._splitter = voice if isinstance(voice, dict) else {}, Splitter()
            case "synthesize-chunk" if self._splitter is not None:
                self._speak(self._splitter.feed(text))
            case "synthesize-stop" if self._splitter is not None:
                self._speak(self._splitter.flush())
                self._splitter = None
                self._end_audio()
                self._write("synthesize-stopped")
            case "synthesize" if self._splitter is None:  # with a text in parts, it has that text once more
                self._voice = voice if isinstance(voice, dict) else {}
                self._speak([text])
                self._end_audio()

    def _speak(self, texts: Iterable[str]) -> None:
        """Send the audio of texts as it arrives, with a pause between two of them."""
        fields = {"voice": self._voice.get("name"), "speaker": self._voice.get("speaker")}
        for text in texts:
            # White space has a silence: the client waits for audio.
            body = fields | {"input": text or " ", "response_format": "pcm", "stream": True}
            with open_request(self._url, body) as response:
                rate = int(response.headers["X-Sample-Rate"])
                if self._shape:
                    self._write("audio-chunk", self._shape, bytes(SAMPLE_BYTES * round(SENTENCE_PAUSE_SECONDS * rate)))
                else:
                    self._shape = {"rate": rate, "width": SAMPLE_BYTES, "channels": 1}
                    self._write("audio-start", self._shape)
                while chunk := response.read(CHUNK_BYTES):
                    self._write("audio-chunk", self._shape, chunk)

    def _end_audio(self) -> None:
        if self._shape:
            self._write("audio-stop")
        self._shape = {}


def _read_event(stream: BufferedIOBase) -> tuple[str, dict[str, Any]] | None:
    """Return type and data of the next event, None at the end. ValueError or TypeError if it is not one."""
    line = stream.readline(MAX_LINE_BYTES)
    if not line:
        return None
    header = json.loads(line)
    data = dict(header.get("data") or {}) if isinstance(header, dict) else {}
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise TypeError("it has no type")
    for name in ("data_length", "payload_length"):
        length = int(header.get(name) or 0)
        if not 0 <= length <= MAX_DATA_BYTES:
            raise ValueError(f"{name} is {length}, more than {MAX_DATA_BYTES}")
        content = stream.read(length)
        if name == "data_length" and length:
            data |= dict(json.loads(content))
    return header["type"], data


def _describe_voices(voices: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the data of an info event for the voices of /v1/voices; the default voice comes first."""
    common = {"attribution": {"name": "KubeVoice", "url": ""}, "installed": True}
    listed = [
        {
            **common,
            "name": voice["name"],
            "description": voice["name"],
            "version": voice["revision"].removeprefix("sha256:")[:12],
            "languages": LANGUAGES,
            "speakers": [{"name": speaker} for speaker in voice["speakers"]],
        }
        for voice in sorted(voices, key=lambda voice: not voice["default"])
    ]
    program = {
        **common,
        "name": "kubevoice",
        "description": "Mandarin voices",
        "version": version("kubevoice"),
        "voices": listed,
        "supports_synthesize_streaming": True,
    }
    return {"tts": [program]}
