"""Home Assistant's client speaks with `kubevoice wyoming`."""

import json
import socket
import threading
import warnings
from contextlib import contextmanager

import pytest
from http_app import serve_app
from kubevoice.resources.data_plane import AccessConfig
from kubevoice_cli.wyoming_server import WyomingServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of audioop, which the package uses
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.error import Error
    from wyoming.event import read_event, write_event
    from wyoming.info import Describe, Info
    from wyoming.tts import (
        Synthesize,
        SynthesizeChunk,
        SynthesizeStart,
        SynthesizeStop,
        SynthesizeStopped,
        SynthesizeVoice,
    )

TEXT = "今天天气真好。我们去公园。"
PAUSE_SECONDS = 0.28


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


@pytest.fixture(scope="module")
def server(site):
    with WyomingServer(("127.0.0.1", 0), site.url) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Client:
    def __init__(self, file):
        self._file = file

    def send(self, *items):
        for item in items:
            write_event(item.event(), self._file)

    def receive_until(self, kind):
        """Return the events up to one of a type, and that one."""
        events = []
        while not events or not kind.is_type(events[-1].type):
            event = read_event(self._file)
            assert event is not None
            events.append(event)
        return events


@contextmanager
def open_client(server):
    with socket.create_connection(server.server_address, timeout=60) as connection, connection.makefile("rwb") as file:
        yield Client(file)


@pytest.fixture
def client(server):
    with open_client(server) as client:
        yield client


def join_audio(events):
    return b"".join(AudioChunk.from_event(event).audio for event in events if AudioChunk.is_type(event.type))


def speak(site, text, **fields):
    body = {"input": text, "response_format": "pcm", "stream": False} | fields
    return site.call("POST", "/v1/audio/speech", body)[2]


def test_the_voices_are_described(client, toy):
    client.send(Describe())
    (event,) = client.receive_until(Info)
    (program,) = Info.from_event(event).tts
    (voice,) = program.voices
    assert (program.name, program.supports_synthesize_streaming) == ("kubevoice", True)
    assert (voice.name, voice.languages[0]) == ("toy", "zh")
    assert [speaker.name for speaker in voice.speakers] == ["first", "second"]


def test_a_text_is_spoken(client, site, toy):
    client.send(Synthesize(text=TEXT, voice=SynthesizeVoice(name="toy", speaker="second")))
    events = client.receive_until(AudioStop)
    start = AudioStart.from_event(events[0])
    assert (start.rate, start.width, start.channels) == (toy.manifest.sample_rate, 2, 1)
    assert join_audio(events) == speak(site, TEXT, speaker="second")
    client.send(Synthesize(text="再见。"))  # on the same connection
    assert join_audio(client.receive_until(AudioStop)) == speak(site, "再见。")


def test_a_text_that_arrives_in_parts_is_spoken_by_sentences(client, site, toy):
    client.send(SynthesizeStart(voice=SynthesizeVoice(name="toy")))
    client.send(*(SynthesizeChunk(text=TEXT[at : at + 3]) for at in range(0, len(TEXT), 3)))
    client.send(Synthesize(text=TEXT), SynthesizeStop())  # as Home Assistant sends it, for older servers too
    events = client.receive_until(SynthesizeStopped)
    pause = bytes(2 * round(PAUSE_SECONDS * toy.manifest.sample_rate))
    assert join_audio(events) == pause.join(speak(site, part) for part in ("今天天气真好。", "我们去公园。"))
    assert sum(AudioStart.is_type(event.type) for event in events) == 1


@pytest.mark.parametrize("text", ["", "😀"])
def test_text_with_nothing_to_speak_is_a_silence(client, text):
    client.send(Synthesize(text=text))
    audio = join_audio(client.receive_until(AudioStop))
    assert audio == bytes(len(audio)) != b""


def test_an_error_of_the_server_is_an_event_and_the_next_text_is_spoken(client):
    client.send(Synthesize(text=TEXT, voice=SynthesizeVoice(name="nobody")))
    assert "there are: toy" in Error.from_event(client.receive_until(Error)[-1]).text
    client.send(Synthesize(text=TEXT))
    assert join_audio(client.receive_until(AudioStop))


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"[1]\n",
        b"{}\n",
        b'{"type": 3}\n',
        b'{"type": "synthesize", "data": 3}\n',
        b'{"type": "synthesize", "data_length": -1}\n',
        b'{"type": "synthesize", "data_length": 99999999}\n',
        b'{"type": "synthesize", "data_length": "x"}\n',
        b'{"type": "synthesize", "data_length": 3}\n[1]',
        b"x" * 100_000,
    ],
)
def test_what_is_no_event_ends_the_connection_with_an_error(server, line):
    with socket.create_connection(server.server_address, timeout=60) as connection:
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            header = json.loads(file.readline())
            data = json.loads(file.read(header["data_length"]))
    assert header["type"] == "error"
    assert "not an event of the Wyoming protocol" in data["text"]


def test_the_key_is_read_from_the_environment(site, server, tmp_path, monkeypatch):
    keys = tmp_path / "keys"
    keys.write_text("home sha256:" + "0" * 64 + "\n")
    site.access.configure(AccessConfig(keys_file=keys))
    try:
        with open_client(server) as client:
            client.send(Synthesize(text=TEXT))
            assert "401" in Error.from_event(client.receive_until(Error)[-1]).text
    finally:
        site.access.configure(AccessConfig())
