"""A client of the WebSocket for incremental speech."""

import json
from contextlib import contextmanager, suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PATH = "/v1/audio/speech/stream"
DEADLINE_SECONDS = 60.0


class SpeechConnection:
    """A connection, and the events and audio that it received."""

    def __init__(self, websocket):
        self.websocket, self.events, self.audio = websocket, [], b""

    def send(self, kind, **fields):
        """Send a message; do nothing if the server has closed the connection."""
        with suppress(ConnectionClosed):
            self.websocket.send(json.dumps({"type": kind} | fields))

    def receive_until(self, kind):
        """Receive until an event of this type; return it."""
        while self._receive().get("type") != kind:
            pass
        return self.events[-1]

    def receive_until_closed(self):
        """Receive until the connection is closed; return the close code and its reason."""
        with suppress(ConnectionClosed):
            while True:
                self._receive()
        return self.websocket.close_code, self.websocket.close_reason

    def _receive(self):
        message = self.websocket.recv(timeout=DEADLINE_SECONDS)
        if isinstance(message, bytes):
            self.audio += message
            self.events.append(len(message))
            return {}
        self.events.append(json.loads(message))
        return self.events[-1]

    def events_of(self, kind):
        return [event for event in self.events if not isinstance(event, int) and event["type"] == kind]

    @property
    def error(self):
        (event,) = self.events_of("error")
        return event["error"]


@contextmanager
def open_websocket(url, query="", **options):
    """Open a connection to the server at `url` until the end of the block."""
    with connect(url.replace("http", "ws", 1) + PATH + query, **options) as websocket:
        yield SpeechConnection(websocket)
