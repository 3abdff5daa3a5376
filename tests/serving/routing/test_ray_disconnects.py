"""A caller who leaves is a disconnection, however Ray reports it."""

import asyncio

import pytest
from kubevoice_serving.routing.ray_disconnects import RayDisconnects
from ray.exceptions import TaskCancelledError


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_cancelled_receive_is_a_disconnection(kind):
    received = []

    async def app(scope, receive, send):
        received.append(await receive())

    async def receive():
        raise TaskCancelledError

    asyncio.run(RayDisconnects(app)({"type": kind}, receive, None))
    assert [message["type"] for message in received] == [f"{kind}.disconnect"]


def test_messages_pass_unchanged():
    async def app(scope, receive, send):
        await send(await receive())

    sent = []

    async def receive():
        return {"type": "http.request", "body": b"x"}

    async def send(message):
        sent.append(message)

    asyncio.run(RayDisconnects(app)({"type": "http"}, receive, send))
    assert sent == [{"type": "http.request", "body": b"x"}]
