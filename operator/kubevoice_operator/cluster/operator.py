"""The operator process: wait to lead, watch, reconcile; end when leadership is lost, to begin anew as a candidate."""

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
from kubevoice_operator.cluster.aside import second_loop
from kubevoice_operator.cluster.cache import Cache, Key
from kubevoice_operator.cluster.dataplane import DataPlaneClient
from kubevoice_operator.cluster.leader import Election
from kubevoice_operator.cluster.metrics import Metrics
from kubevoice_operator.cluster.queue import WorkQueue
from kubevoice_operator.cluster.reconciler import Reconciler
from kubevoice_operator.cluster.server import serve
from kubevoice_operator.cluster.watching import RESOURCES, Heartbeat, registry, settings
from kubevoice_operator.render.names import CLEANUP_LABEL, Images

__all__ = ["Options", "run"]

logger = logging.getLogger(__name__)

WORKERS = 32
"""They wait for others most of the time, for some of these in vain."""
SILENCE_SECONDS = 60.0
"""The Lease is renewed every two seconds and watched: silence for this long means that the watches are dead."""
LOOK_SECONDS = 0.5
AUDIT_SECONDS = 300.0
ORPHAN_SECONDS = 15.0
END_SECONDS = 5.0
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
    """How the operator runs. `namespaces` empty is the whole cluster; `lease` is where leadership is decided."""

    identity: str
    lease: Key
    namespaces: tuple[str, ...] = ()
    port: int = 8080
    images: Images = field(default_factory=Images)
    elect: bool = True


class Operator:
    """One leading operator: the queue, its workers, and the watches that feed it."""

    def __init__(self, options: Options, api: KubernetesApi, data: DataPlaneClient, metrics: Metrics) -> None:
        self._options, self._api, self._metrics = options, api, metrics
        self.cache, self.heartbeat = Cache(), Heartbeat()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._reconciler = Reconciler(api, data, self.cache, metrics, options.images, options.identity)
        self._failures: dict[Key, int] = {}
        self._woken: dict[Key, float] = {}
        self._unseen: dict[tuple[str, str | None], dict[str, int]] = {}
        self.blind: str | None = None
        """What the watches miss, if so; only a new process begins them anew."""

    def wake(self, key: Key) -> None:
        """Let a VoiceModel be looked at."""
        self._woken.setdefault(key, time.monotonic())
        self._queue.add(key)
        self._metrics.queue.set(len(self._queue))

    async def _handle(self, key: Key) -> None:
        """Reconcile, and decide when to do it again; nothing that goes wrong ends the worker."""
        woken, began = self._woken.pop(key, None), time.monotonic()
        try:
            again = await self._reconciler.reconcile(key)
        except (ApiException, aiohttp.ClientError, OSError, TimeoutError) as error:
            again = self._backoff(key)
            self._metrics.errors.labels("api").inc()
            logger.warning("cannot reconcile, again in %.1f s: %s", again, _line(error), extra={"voicemodel": key})
        except Exception:
            again = self._backoff(key)
            self._metrics.errors.labels("bug").inc()
            logger.exception("cannot reconcile, again in %.1f s", again, extra={"voicemodel": key})
        else:
            self._failures.pop(key, None)
            if woken is not None:
                self._metrics.reaction_seconds.observe(time.monotonic() - woken)
        self._metrics.reconcile_seconds.observe(time.monotonic() - began)
        if again is not None:
            self._queue.add_later(key, again)

    def _backoff(self, key: Key) -> float:
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (failures - 1)))

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and reconcile until `stop` is set. Raises whatever ends one of the parts."""
        watch = kopf.operator(
            registry=registry(self.cache, self.wake, self.heartbeat),
            settings=settings(self._options.namespaces),
            standalone=True,
            clusterwide=not self._options.namespaces,
            namespaces=self._options.namespaces,
            stop_flag=stop,
        )
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._work()),
                group.create_task(self._reconciler.post_events(self._queue.rest)),
                group.create_task(_every(AUDIT_SECONDS, self._audit)),
                group.create_task(_every(ORPHAN_SECONDS, self._free_cleanups)),
                group.create_task(_every(ORPHAN_SECONDS, self._count)),
            ]
            await watch
            stop.set()  # kopf listens to the signals in our place
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._reconciler.events.join()
            for helper in helpers:
                helper.cancel()

    async def _work(self) -> None:
        """Reconcile for ever, once everything there is has been seen: half of it would make half-truths."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._everything_seen()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._queue.work(self._handle))

    async def _everything_seen(self) -> None:
        for resource, labels in RESOURCES.items():
            for namespace in self._options.namespaces or (None,):
                while not await self._seen(resource, labels, namespace):  # noqa: ASYNC110  # the event is on the server
                    await asyncio.sleep(LOOK_SECONDS)

    async def _seen(self, resource: tuple[str, str, str], labels: str, namespace: str | None) -> bool:
        try:
            found = await self._api.identities(resource, namespace, labels)
        except ApiException as error:
            return bool(error.status == HTTPStatus.NOT_FOUND)  # KubeRay or the Gateway API may not be installed
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False
        return not self.cache.unseen(KINDS[resource[2]], found.versions)

    async def _count(self) -> None:
        phases = [str((body.get("status") or {}).get("phase", "Pending")) for body in self.cache.models()]
        self._metrics.count_phases(phases)

    async def _audit(self) -> None:
        """Compare with lists: a deletion may go unseen when a watch is cut for long, and a watch may never begin.

        The latter happens when KubeRay, or the Gateway API, is installed while its resources are not yet
        to be discovered.
        """
        for resource, labels in RESOURCES.items():
            for namespace in self._options.namespaces or (None,):
                with suppress(ApiException):  # KubeRay or the Gateway API may not be installed
                    found = await self._api.identities(resource, namespace, labels)
                    self._compare(resource[2], namespace, found)

    def _compare(self, plural: str, namespace: str | None, found: Identities) -> None:
        kind, place = KINDS[plural], (plural, namespace)
        for ghost in self.cache.ghosts(kind, found.versions, found.version):
            if namespace in (None, ghost["metadata"]["namespace"]):
                key = self.cache.drop(ghost)
                if key is not None:
                    self.wake(key)
        # What a list showed a whole round ago, any watch has shown since.
        if self.cache.unseen(kind, self._unseen.get(place, {})).keys() & found.versions.keys():
            self.blind = f"no watch shows what became of {plural}"
            logger.error("%s", self.blind)
        self._unseen[place] = self.cache.unseen(kind, found.versions)

    async def _free_cleanups(self) -> None:
        """Let the Jobs run that delete the artifacts of VoiceModels that are gone, once nothing else of them runs."""
        for key, job in self.cache.cleanups():
            meta, model = job["metadata"], self.cache.model(key)
            if meta.get("deletionTimestamp") or not job["spec"].get("suspend"):
                continue
            if model is not None and model["metadata"]["uid"] == meta["labels"][CLEANUP_LABEL]:
                continue
            there = await self._api.voice(key)
            if there is not None:
                if there["metadata"]["uid"] != meta["labels"][CLEANUP_LABEL]:
                    # A successor of the same name goes on with what was made.
                    await self._api.delete_job(key.namespace, meta["name"])
            elif not self.cache.children(key).pods:
                logger.info("deleting the artifacts of a deleted VoiceModel", extra={"voicemodel": key})
                patched = await self._api.patch_job(Key(key.namespace, meta["name"]), {"spec": {"suspend": False}})
                if patched is not None:
                    self.cache.put(patched)


async def _every(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again; a failure is logged and the next time is another."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await action()
        except Exception as error:  # noqa: BLE001  # the next round may go well
            logger.warning("%s: %s", getattr(action, "__name__", action), _line(error))


def _line(error: BaseException) -> str:
    if isinstance(error, ApiException):
        return f"the API server answered {error.status} {error.reason}"
    return str(error) or type(error).__name__


async def run(options: Options, stop: asyncio.Event) -> bool:
    """Run until `stop` is set, or leadership is lost; tell whether it ended because it was asked to."""
    metrics, client = Metrics(), await load_client()
    api, data = KubernetesApi(client, metrics, options.lease), DataPlaneClient()
    current: list[Operator] = []

    def complaint() -> str | None:
        if current and options.elect and current[0].heartbeat.age > SILENCE_SECONDS:
            return f"the watches have been silent for {current[0].heartbeat.age:.0f} s"
        return current[0].blind if current else None

    server = await serve(options.port, metrics, complaint)

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
    options: Options, api: KubernetesApi, metrics: Metrics, stop: asyncio.Event, lead: Callable[[], Awaitable[None]]
) -> bool:
    """Lead once elected; tell whether that ended because it was asked to, and not because another leads."""
    async with second_loop() as aside:
        client = await aside(load_client())
        election = Election(KubernetesApi(client, metrics, options.lease), options.identity)
        api.may_write = lambda: election.holds
        try:
            if not await _first(stop.wait(), aside(election.acquire())):
                return True
            lost, leading = aside(election.keep()), asyncio.ensure_future(lead())
            await asyncio.wait({lost, leading}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                # Another may act already: whatever is under way here must end at once.
                leading.cancel()
                await asyncio.wait({leading}, timeout=END_SECONDS)
                return False
            lost.cancel()
            with suppress(Exception):
                await aside(election.release())
            await leading
            return True
        finally:
            await aside(client.close())


async def _first(stop: Awaitable[object], go: Awaitable[object]) -> bool:
    """Wait for either; tell whether it was `go`."""
    stopping, going = asyncio.ensure_future(stop), asyncio.ensure_future(go)
    await asyncio.wait({stopping, going}, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, going):
        task.cancel()
    return going.done() and not going.cancelled()
