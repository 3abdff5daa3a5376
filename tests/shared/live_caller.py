"""A caller of the WebSocket whose text comes bit by bit."""

import json
from contextlib import contextmanager, suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PATH = "/v1/audio/speech/stream"
DEADLINE_SECONDS = 60.0


class Caller:
    """A connection, and what came over it."""

    def __init__(self, connection):
        self.connection, self.events, self.audio = connection, [], b""

    def say(self, kind, **fields):
        """Send a message; who has been turned away hears why with what comes."""
        with suppress(ConnectionClosed):
            self.connection.send(json.dumps({"type": kind} | fields))

    def hear(self, kind):
        """Take what comes until an event of this type."""
        while self._take().get("type") != kind:
            pass
        return self.events[-1]

    def end(self):
        """Take what comes until the end; the close code and its reason."""
        with suppress(ConnectionClosed):
            while True:
                self._take()
        return self.connection.close_code, self.connection.close_reason

    def _take(self):
        got = self.connection.recv(timeout=DEADLINE_SECONDS)
        if isinstance(got, bytes):
            self.audio += got
            self.events.append(len(got))
            return {}
        self.events.append(json.loads(got))
        return self.events[-1]

    def events_of(self, kind):
        return [event for event in self.events if not isinstance(event, int) and event["type"] == kind]

    @property
    def error(self):
        (event,) = self.events_of("error")
        return event["error"]


@contextmanager
def open_call(url, query="", **options):
    """A connection to the server at `url`."""
    with connect(url.replace("http", "ws", 1) + PATH + query, **options) as connection:
        yield Caller(connection)
