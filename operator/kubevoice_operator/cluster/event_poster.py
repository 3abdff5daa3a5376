"""Posts Events in the background, so that no reconciliation waits for them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.events import EventNote, render_event
from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.cluster.requests import ApiException

__all__ = ["EventPoster"]

logger = logging.getLogger(__name__)

EVENT_SECONDS = 1.0
"""How long an Event waits for the work queue to be idle."""


class EventPoster:
    """A queue of Events, and the task that posts them.

    Parameters
    ----------
    api
        The API server.
    instance
        The name of this process in Events.
    """

    def __init__(self, api: KubernetesApi, instance: str) -> None:
        self._api, self._instance = api, instance
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        """Rendered Events. Filled by `enqueue`, emptied by `post_queued`."""
        self._number = 0
        """Number of the last Event, in its name. It rises, because kubectl shows Events of one second by name."""

    def enqueue(self, model: VoiceModel, note: EventNote) -> None:
        """Log an Event and enqueue it.

        Parameters
        ----------
        model
            The VoiceModel that it is about.
        note
            Reason and message.
        """
        self._number = max(self._number + 1, time.time_ns())
        name = f"{model.metadata.name}.{self._number:x}"
        logger.log(
            logging.WARNING if note.warning else logging.INFO,
            "%s: %s",
            note.reason,
            note.message,
            extra={"voicemodel": Key(model.metadata.namespace, model.metadata.name)},
        )
        self._queue.put_nowait(render_event(model, note, self._instance, datetime.now(UTC), name))

    async def post_queued(self, wait_idle: Callable[[], Awaitable[None]]) -> None:
        """Post Events one after the other until cancelled.

        An Event that cannot be posted is logged and dropped; nothing depends on it.

        Parameters
        ----------
        wait_idle
            Waits until no reconciliation is due. Each Event waits for it, at most EVENT_SECONDS: statuses are written
            first.
        """
        while True:
            event = await self._queue.get()
            with suppress(TimeoutError):
                await asyncio.wait_for(wait_idle(), EVENT_SECONDS)
            try:
                await self._api.create_event(event)
            except (TimeoutError, ApiException, aiohttp.ClientError, OSError) as error:
                logger.warning("cannot post event %s: %s", event["reason"], error)
            finally:
                self._queue.task_done()

    async def wait_until_posted(self) -> None:
        """Wait until every Event in the queue has been posted or dropped."""
        await self._queue.join()
