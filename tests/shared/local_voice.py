"""The voice `toy`, served by Ray on this machine, and HTTP requests to it."""

import http.client
import json
import time
from contextlib import contextmanager

from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.local.ray import port_is_free
from kubevoice_operator.local.ray_serve import LocalServing
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.rayservice import BundleRef, TrafficSplit, render_rayservice
from websocket_client import open_websocket

MODEL = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {{name: toy}}
spec:
  base: {{uri: builtin://base}}
  dataset: {{uri: s3://data/set}}
  storage: {{artifactsUri: s3://voices}}
  serving: {{minReplicas: 1, maxReplicas: 1{more}}}
"""
DEADLINE_SECONDS = 180.0


def bundle(toy):
    return BundleRef(toy.digest, str(toy.path))


def render(stable, canary=None, weight=0, more=""):
    """Return the RayService of the toy voice; `more` is added to spec.serving."""
    return render_rayservice(load_voicemodel(MODEL.format(more=more)), TrafficSplit(stable, canary, weight), Images())


def free_port():
    return next(port for port in range(18400, 18600) if port_is_free(port))


@contextmanager
def serve_voice(folder, toy, more=""):
    """Serve the toy voice, with `more` in spec.serving, until the end of the block."""
    local = LocalServing(folder, free_port())
    try:
        local.apply(render(bundle(toy), more=more))
        local.wait("toy", toy.digest, DEADLINE_SECONDS)
        yield local
    finally:
        local.stop()


def call(serving, method, path, body=None, *, cached=False, headers=None):
    """Return status, headers and body of one request; the response cache is not used unless `cached`."""
    connection = http.client.HTTPConnection(serving.url.removeprefix("http://"), timeout=60)
    try:
        payload = None if body is None else json.dumps(body)
        defaults = {"Content-Type": "application/json"} | ({} if cached else {"Cache-Control": "no-cache"})
        connection.request(method, path, payload, defaults | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def speak(serving, *, cached=False, headers=None, **fields):
    body = {"input": "你好。", "response_format": "wav"} | fields
    return call(serving, "POST", "/v1/audio/speech", body, cached=cached, headers=headers)


@contextmanager
def open_speech(serving, start=None, **options):
    """Open a WebSocket, and start speech with the fields `start`."""
    with open_websocket(serving.url, **options) as connection:
        connection.send("start", **(start or {}))
        yield connection


def wait_until(check):
    """Wait until `check` returns a true value."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)
