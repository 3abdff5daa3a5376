"""The leading operator: the watches fill the queue, and workers reconcile what is in it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import aiohttp
import kopf

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.cache_audit import CacheAudit
from kubevoice_operator.cluster.cleanup_jobs import resume_cleanups
from kubevoice_operator.cluster.data_plane import DataPlaneClient
from kubevoice_operator.cluster.event_poster import EventPoster
from kubevoice_operator.cluster.keys import OwnerKey, PoolKey
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.model_parser import VoiceModelParser
from kubevoice_operator.cluster.options import Options
from kubevoice_operator.cluster.pool_reconciler import PoolReconciler
from kubevoice_operator.cluster.queue import WorkQueue
from kubevoice_operator.cluster.reconciler import Reconciler
from kubevoice_operator.cluster.requests import ApiException
from kubevoice_operator.cluster.watches import Heartbeat, build_registry, build_settings

__all__ = ["Operator"]

logger = logging.getLogger(__name__)

WORKERS = 32
"""Workers wait for the network most of the time, some of them until a timeout."""
SILENCE_SECONDS = 60.0
"""The Lease is renewed every two seconds and watched: no event for this long means that the watches have stopped."""
AUDIT_SECONDS = 300.0
CLEANUP_SECONDS = 15.0
NEW_RESOURCE_SECONDS = 10.0
SHUTDOWN_SECONDS = 5.0
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.5, 60.0


class Operator:
    """The queue, its workers, and the watches that fill it.

    Parameters
    ----------
    options
        Options of the process.
    api
        The API server.
    data
        Trainers and replicas.
    metrics
        The metrics to update.

    Attributes
    ----------
    must_restart
        Whether `run` ended because the process must start again. Set by `_find_new_resources`, never cleared.
    """

    def __init__(self, options: Options, api: KubernetesApi, data: DataPlaneClient, metrics: OperatorMetrics) -> None:
        self._options, self._api, self._metrics = options, api, metrics
        self._cache, self._heartbeat = ResourceCache(), Heartbeat()
        self.must_restart = False
        self._queue: WorkQueue[OwnerKey] = WorkQueue()
        self._events = EventPoster(api, options.identity)
        self._audit = CacheAudit(api, self._cache, self.enqueue, options.namespaces)
        parser = VoiceModelParser()
        self._pools = PoolReconciler(api, data, self._cache, metrics, options.images, parser, self.enqueue)
        self._models = Reconciler(api, data, self._cache, metrics, options.images, self._events, parser, self._pools)
        self._failures: dict[OwnerKey, int] = {}
        """Consecutive failures of each owner. Counted by `_backoff`, cleared by `_handle` after a success."""
        self._enqueued_at: dict[OwnerKey, float] = {}
        """When the oldest unhandled event of each came, in seconds of time.monotonic(). Set by `enqueue`,
        cleared by `_handle`."""

    def find_problem(self) -> str | None:
        """Look for a watch that does not work.

        Returns
        -------
        str or None
            What is wrong; None if the watches work.
        """
        # Without election nothing renews the Lease, so a long time without events is normal.
        if self._options.elect and self._heartbeat.age > SILENCE_SECONDS:
            return f"no watch event for {self._heartbeat.age:.0f} s"
        return self._audit.watch_problem

    def enqueue(self, key: OwnerKey) -> None:
        """Enqueue a VoiceModel or a VoicePool for reconciliation.

        Parameters
        ----------
        key
            Its namespace and name.
        """
        self._enqueued_at.setdefault(key, time.monotonic())
        self._queue.add(key)
        self._metrics.queue.set(len(self._queue))

    async def _handle(self, key: OwnerKey) -> None:
        """Reconcile, and schedule the next time; no error ends the worker."""
        enqueued_at, started_at = self._enqueued_at.pop(key, None), time.monotonic()
        try:
            requeue_after = await (
                self._pools.reconcile(key) if isinstance(key, PoolKey) else self._models.reconcile(key)
            )
        except (ApiException, aiohttp.ClientError, OSError, TimeoutError) as error:
            requeue_after = self._backoff(key)
            self._metrics.errors.labels("api").inc()
            logger.warning(
                "cannot reconcile, retrying in %.1f s: %s",
                requeue_after,
                _format_error(error),
                extra={"voicemodel": key},
            )
        except Exception:
            requeue_after = self._backoff(key)
            self._metrics.errors.labels("bug").inc()
            logger.exception("cannot reconcile, retrying in %.1f s", requeue_after, extra={"voicemodel": key})
        else:
            self._failures.pop(key, None)
            if enqueued_at is not None:
                self._metrics.reaction_seconds.observe(time.monotonic() - enqueued_at)
        self._metrics.reconcile_seconds.observe(time.monotonic() - started_at)
        if requeue_after is not None:
            self._queue.add_later(key, requeue_after)

    def _backoff(self, key: OwnerKey) -> float:
        """Count a failure and return the seconds to the next attempt."""
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (failures - 1)))

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and reconcile until stopped. An error of a task ends the others and is raised.

        Parameters
        ----------
        stop
            Set by the caller, by kopf when it handles a signal, or when the process must start again.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._run_workers()),
                group.create_task(self._events.post_queued(self._queue.wait_idle)),
                group.create_task(_repeat(AUDIT_SECONDS, self._audit.compare)),
                group.create_task(_repeat(NEW_RESOURCE_SECONDS, partial(self._find_new_resources, stop))),
                group.create_task(_repeat(CLEANUP_SECONDS, self._resume_cleanups)),
                group.create_task(_repeat(CLEANUP_SECONDS, self._update_phase_metrics)),
            ]
            await self._run_watches(stop)
            stop.set()  # kopf handles the signals and may have returned because of one
            with suppress(TimeoutError):
                async with asyncio.timeout(SHUTDOWN_SECONDS):
                    await self._events.wait_until_posted()
            for task in tasks:
                task.cancel()

    async def _run_watches(self, stop: asyncio.Event) -> None:
        """Watch until stopped; raise the error of a watch.

        `kopf.operator` would wait for every task of the process at the end, workers among them, and cancel it.
        """
        tasks = await kopf.spawn_tasks(
            registry=build_registry(self._cache, self.enqueue, self._heartbeat),
            settings=build_settings(self._options.namespaces),
            standalone=True,
            clusterwide=not self._options.namespaces,
            namespaces=self._options.namespaces,
            stop_flag=stop,
        )
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
        for task in ended:
            await task

    async def _run_workers(self) -> None:
        """Reconcile until cancelled, after the cache is complete: a partial cache would give wrong statuses."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._audit.wait_until_complete()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._queue.run_worker(self._handle))

    async def _find_new_resources(self, stop: asyncio.Event) -> None:
        """Stop, in order to start again, if KubeRay or the Gateway API was installed.

        kopf looks for new resources once for each event of a CustomResourceDefinition. The API server's discovery may
        not show them yet then, and an operator that is limited to namespaces gets no such event.
        """
        if await self._audit.find_new_resources():
            logger.info("a resource was installed: starting again to watch it")
            self.must_restart = True
            stop.set()

    async def _resume_cleanups(self) -> None:
        await resume_cleanups(self._api, self._cache)

    async def _update_phase_metrics(self) -> None:
        phases = [str((body.get("status") or {}).get("phase", "Pending")) for body in self._cache.models()]
        self._metrics.count_phases(phases)


async def _repeat(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    """Call `action` every `seconds` until cancelled; an error is logged."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await action()
        except Exception as error:  # noqa: BLE001  # the next call may succeed
            logger.warning("%s: %s", getattr(action, "__name__", action), _format_error(error))


def _format_error(error: BaseException) -> str:
    if isinstance(error, ApiException):
        return f"the API server answered {error.status} {error.reason}"
    return str(error) or type(error).__name__
