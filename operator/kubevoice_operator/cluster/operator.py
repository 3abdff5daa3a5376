"""The operator process: wait for leadership, watch, reconcile, and end when leadership is lost."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import kopf
from kubevoice.resources.voicemodel import KIND

from kubevoice_operator.cluster.api import ApiException, Identities, KubernetesApi, load_client
from kubevoice_operator.cluster.background import background_loop
from kubevoice_operator.cluster.cache import Key, ResourceCache
from kubevoice_operator.cluster.data_plane import DataPlaneClient
from kubevoice_operator.cluster.leader import Election
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.queue import WorkQueue
from kubevoice_operator.cluster.reconciler import Reconciler
from kubevoice_operator.cluster.server import serve
from kubevoice_operator.cluster.watches import RESOURCES, Heartbeat, build_registry, build_settings
from kubevoice_operator.render.names import CLEANUP_LABEL, Images

__all__ = ["Options", "run_operator"]

logger = logging.getLogger(__name__)

WORKERS = 32
"""Workers wait for the network most of the time, some of them until a timeout."""
SILENCE_SECONDS = 60.0
"""The Lease is renewed every two seconds and watched: no event for this long means that the watches are dead."""
POLL_SECONDS = 0.5
AUDIT_SECONDS = 300.0
CLEANUP_SECONDS = 15.0
SHUTDOWN_SECONDS = 5.0
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.5, 60.0
KINDS = {
    "voicemodels": KIND,
    "jobs": "Job",
    "pods": "Pod",
    "rayservices": "RayService",
    "rayclusters": "RayCluster",
    "ingresses": "Ingress",
    "networkpolicies": "NetworkPolicy",
    "httproutes": "HTTPRoute",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the operator process.

    Attributes
    ----------
    identity
        The name of this process in the Lease and in Events.
    lease
        Namespace and name of the Lease.
    namespaces
        Namespaces to watch; empty for the whole cluster.
    port
        Port of probes and metrics.
    images
        Images used where a VoiceModel names none.
    elect
        Whether to wait for leadership before acting.
    """

    identity: str
    lease: Key
    namespaces: tuple[str, ...] = ()
    port: int = 8080
    images: Images = field(default_factory=Images)
    elect: bool = True


class Operator:
    """The leading operator: the queue, its workers, and the watches that fill it."""

    def __init__(self, options: Options, api: KubernetesApi, data: DataPlaneClient, metrics: OperatorMetrics) -> None:
        self._options, self._api, self._metrics = options, api, metrics
        self.cache, self.heartbeat = ResourceCache(), Heartbeat()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._reconciler = Reconciler(api, data, self.cache, metrics, options.images, options.identity)
        self._failures: dict[Key, int] = {}
        """Failures in a row of each VoiceModel; `_handle` counts them and removes the entry after a success."""
        self._enqueued_at: dict[Key, float] = {}
        """When the oldest unhandled event of a VoiceModel came, by time.monotonic(); `_handle` removes it."""
        self._missed_updates: dict[tuple[str, str | None], dict[str, int]] = {}
        """Versions that the last audit listed and no watch had shown, by resource and namespace."""
        self.watch_problem: str | None = None
        """What the watches miss; never cleared, because only a new process starts the watches again."""

    def enqueue(self, key: Key) -> None:
        """Enqueue a VoiceModel for reconciliation."""
        self._enqueued_at.setdefault(key, time.monotonic())
        self._queue.add(key)
        self._metrics.queue.set(len(self._queue))

    async def _handle(self, key: Key) -> None:
        """Reconcile, and schedule the next time; no error ends the worker."""
        enqueued_at, started_at = self._enqueued_at.pop(key, None), time.monotonic()
        try:
            requeue_after = await self._reconciler.reconcile(key)
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

    def _backoff(self, key: Key) -> float:
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (failures - 1)))

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and reconcile until `stop` is set. Raises the error that ended a task."""
        watch = kopf.operator(
            registry=build_registry(self.cache, self.enqueue, self.heartbeat),
            settings=build_settings(self._options.namespaces),
            standalone=True,
            clusterwide=not self._options.namespaces,
            namespaces=self._options.namespaces,
            stop_flag=stop,
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._run_workers()),
                group.create_task(self._reconciler.post_events(self._queue.wait_idle)),
                group.create_task(_repeat(AUDIT_SECONDS, self._audit)),
                group.create_task(_repeat(CLEANUP_SECONDS, self._start_cleanups)),
                group.create_task(_repeat(CLEANUP_SECONDS, self._update_phase_metrics)),
            ]
            await watch
            stop.set()  # kopf handles the signals and returned because of one
            with suppress(TimeoutError):
                async with asyncio.timeout(SHUTDOWN_SECONDS):
                    await self._reconciler.events.join()
            for task in tasks:
                task.cancel()

    async def _run_workers(self) -> None:
        """Reconcile until cancelled, after the cache is complete: a partial cache would give wrong statuses."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._wait_for_watches()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._queue.run_worker(self._handle))

    async def _wait_for_watches(self) -> None:
        for resource, labels in RESOURCES.items():
            for namespace in self._options.namespaces or (None,):
                while not await self._is_cached(resource, labels, namespace):  # noqa: ASYNC110  # the event is on the server
                    await asyncio.sleep(POLL_SECONDS)

    async def _is_cached(self, resource: tuple[str, str, str], labels: str, namespace: str | None) -> bool:
        try:
            listed = await self._api.identities(resource, namespace, labels)
        except ApiException as error:
            return bool(error.status == HTTPStatus.NOT_FOUND)  # KubeRay or the Gateway API may not be installed
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False
        return not self.cache.missed_updates(KINDS[resource[2]], listed.versions)

    async def _update_phase_metrics(self) -> None:
        phases = [str((body.get("status") or {}).get("phase", "Pending")) for body in self.cache.models()]
        self._metrics.count_phases(phases)

    async def _audit(self) -> None:
        """Compare the cache with lists, and set `watch_problem` if a watch shows nothing.

        A watch that was cut for long can miss a deletion. A watch never starts if KubeRay or the Gateway API is
        installed but its resources cannot be discovered yet.
        """
        for resource, labels in RESOURCES.items():
            for namespace in self._options.namespaces or (None,):
                with suppress(ApiException):  # KubeRay or the Gateway API may not be installed
                    listed = await self._api.identities(resource, namespace, labels)
                    self._compare(resource[2], namespace, listed)

    def _compare(self, plural: str, namespace: str | None, listed: Identities) -> None:
        kind, scope = KINDS[plural], (plural, namespace)
        for body in self.cache.missed_deletions(kind, listed.versions, listed.version):
            if namespace in (None, body["metadata"]["namespace"]):
                key = self.cache.remove(body)
                if key is not None:
                    self.enqueue(key)
        # A working watch has shown by now what the previous audit listed.
        if self.cache.missed_updates(kind, self._missed_updates.get(scope, {})).keys() & listed.versions.keys():
            self.watch_problem = f"no watch shows what became of {plural}"
            logger.error("%s", self.watch_problem)
        self._missed_updates[scope] = self.cache.missed_updates(kind, listed.versions)

    async def _start_cleanups(self) -> None:
        """Resume cleanup Jobs of VoiceModels that are gone and have no pods left."""
        for key, job in self.cache.cleanups():
            meta, model = job["metadata"], self.cache.model(key)
            if meta.get("deletionTimestamp") or not job["spec"].get("suspend"):
                continue
            if model is not None and model["metadata"]["uid"] == meta["labels"][CLEANUP_LABEL]:
                continue
            current = await self._api.voice(key)
            if current is not None:
                if current["metadata"]["uid"] != meta["labels"][CLEANUP_LABEL]:
                    # A new VoiceModel of the same name uses these artifacts.
                    await self._api.delete_job(key.namespace, meta["name"])
            elif not self.cache.children(key).pods:
                logger.info("deleting the artifacts of a deleted VoiceModel", extra={"voicemodel": key})
                patched = await self._api.patch_job(Key(key.namespace, meta["name"]), {"spec": {"suspend": False}})
                if patched is not None:
                    self.cache.put(patched)


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


async def run_operator(options: Options, stop: asyncio.Event) -> bool:
    """Run the operator until `stop` is set or leadership is lost.

    Parameters
    ----------
    options
        How to run.
    stop
        Set by the caller to end it.

    Returns
    -------
    bool
        True if `stop` ended it; False if leadership was lost, so that the caller starts it again as a candidate.
    """
    metrics, client = OperatorMetrics(), await load_client()
    api, data = KubernetesApi(client, metrics, options.lease), DataPlaneClient()
    current: list[Operator] = []

    def find_problem() -> str | None:
        if current and options.elect and current[0].heartbeat.age > SILENCE_SECONDS:
            return f"no watch event for {current[0].heartbeat.age:.0f} s"
        return current[0].watch_problem if current else None

    server = await serve(options.port, metrics, find_problem)

    async def lead() -> None:
        metrics.leading.set(1)
        current.append(Operator(options, api, data, metrics))
        await current[0].run(stop)

    try:
        if options.elect:
            return await _lead_if_elected(options, api, metrics, stop, lead)
        await lead()
        return True
    finally:
        await data.close()
        await server.cleanup()
        await client.close()  # type: ignore[no-untyped-call]


async def _lead_if_elected(
    options: Options,
    api: KubernetesApi,
    metrics: OperatorMetrics,
    stop: asyncio.Event,
    lead: Callable[[], Awaitable[None]],
) -> bool:
    """Lead once elected; return True if `stop` ended it, False if leadership was lost."""
    async with background_loop() as run_in_background:
        client = await run_in_background(load_client())
        election = Election(KubernetesApi(client, metrics, options.lease), options.identity)
        api.may_write = lambda: election.is_leader
        try:
            if not await _wait_first(stop.wait(), run_in_background(election.acquire())):
                return True
            lost, leading = run_in_background(election.renew_until_lost()), asyncio.ensure_future(lead())
            await asyncio.wait({lost, leading}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                # Another process may lead already, so everything here must end at once.
                leading.cancel()
                await asyncio.wait({leading}, timeout=SHUTDOWN_SECONDS)
                return False
            lost.cancel()
            with suppress(Exception):
                await run_in_background(election.release())
            await leading
            return True
        finally:
            await run_in_background(client.close())


async def _wait_first(stop: Awaitable[object], go: Awaitable[object]) -> bool:
    """Wait for either; return whether it was `go`."""
    stopping, going = asyncio.ensure_future(stop), asyncio.ensure_future(go)
    await asyncio.wait({stopping, going}, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, going):
        task.cancel()
    return going.done() and not going.cancelled()
