"""One reconciliation of one VoicePool, and what its VoiceModels see of it. Level-triggered."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubevoice.resources.conditions import ConditionType, Reason, State
from kubevoice.resources.data_plane import VoiceConfig
from kubevoice.resources.status import VoicePoolStatus
from kubevoice.resources.voicepool import VoicePool
from kubevoice.validation import describe_errors
from pydantic import ValidationError

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.data_plane import DataPlaneClient
from kubevoice_operator.cluster.executor import PlanExecutor
from kubevoice_operator.cluster.keys import Key, OwnerKey, PoolKey
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.model_parser import VoiceModelParser
from kubevoice_operator.cluster.model_state import ModelState
from kubevoice_operator.cluster.service_observer import MISSING_SECONDS, ROLLOUT_SECONDS, ServiceObserver
from kubevoice_operator.cluster.service_snapshot import find_blocked_deletion
from kubevoice_operator.cluster.snapshot import observe_exposure
from kubevoice_operator.cluster.status_writer import StatusWriter
from kubevoice_operator.condition_value import ConditionValue, update_conditions
from kubevoice_operator.observed_state import ObservedPool, ObservedService, ObservedState
from kubevoice_operator.pool_membership import list_voices, narrow_service
from kubevoice_operator.pool_planner import plan_pool
from kubevoice_operator.render.names import Images, pool_object_name

__all__ = ["PoolReconciler"]


@dataclass(frozen=True, slots=True)
class _PoolView:
    """A pool as all of its voices see it: why it cannot serve them, or its RayService and least replicas."""

    name: str
    problem: str | None
    service: ObservedService | None = None
    min_replicas: int = 0

    def narrow(self, voice: str) -> ObservedPool:
        """Return it as one voice sees it."""
        service = narrow_service(self.service, voice, self.min_replicas) if self.service else None
        return ObservedPool(self.name, service, self.problem)


class PoolReconciler:
    """Reconciles VoicePools.

    Parameters
    ----------
    api
        The API server.
    data
        The replicas.
    cache
        The objects that the watches have shown.
    metrics
        Refused statuses are counted there.
    images
        Images used where a VoicePool names none.
    parser
        Parses VoiceModels; `Reconciler` lets it forget those that are gone.
    enqueue
        Called with each VoiceModel for which a pool's replicas report something else than before, and with each pool
        that a changed VoiceModel concerns.
    """

    def __init__(
        self,
        api: KubernetesApi,
        data: DataPlaneClient,
        cache: ResourceCache,
        metrics: OperatorMetrics,
        images: Images,
        parser: VoiceModelParser,
        enqueue: Callable[[OwnerKey], None],
    ) -> None:
        self._cache, self._images, self._enqueue = cache, images, enqueue
        self._services, self._executor = ServiceObserver(api, data, cache), PlanExecutor(api, cache)
        self._status_writer, self._parser = StatusWriter(api, metrics), parser
        self._states: dict[PoolKey, ModelState] = {}
        """State of each VoicePool beyond the watches. Set and cleared by `reconcile`."""
        self._seen: dict[PoolKey, dict[str, ObservedPool]] = {}
        """A pool as each of its VoiceModels saw it last. Replaced by `_enqueue_changed`."""
        self._locks: dict[PoolKey, asyncio.Lock] = {}
        """Held while a pool's replicas are asked, for its VoiceModels ask at the same time."""

    async def reconcile(self, key: PoolKey) -> float | None:
        """Reconcile one VoicePool.

        Parameters
        ----------
        key
            Its namespace and name; it may be gone.

        Returns
        -------
        float or None
            Seconds until the next reconciliation; None if only an event makes one necessary.

        Raises
        ------
        ApiException
            If the API server answers with an error that is not a refusal of an object.
        aiohttp.ClientError, OSError, TimeoutError
            If the API server cannot be reached.
        """
        raw = self._cache.owner(key)
        if raw is None or raw["metadata"].get("deletionTimestamp"):
            self._states.pop(key, None)
            self._locks.pop(key, None)
            self._cache.pod_failures.forget(key)
            self._enqueue_changed(key, datetime.now(UTC))
            return None
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            pool = _parse_pool(raw)
        except ValidationError as error:
            await self._write_status(key, raw, _build_invalid_status(raw, error, now))
            return None
        state = self._states.setdefault(key, ModelState())
        await self._fetch(key, state, now)
        voices = self._list_voices(key)
        observed = self._observe(key, state, now)
        desired = plan_pool(pool, voices, observed, now, self._images)
        if await self._executor.change_service(key, pool_object_name(key.name), desired, observed, state):
            observed = self._observe(key, state, now)
            desired = plan_pool(pool, voices, observed, now, self._images)
        await self._write_status(key, raw, desired.status)
        self._enqueue_changed(key, now)
        settled = desired.status.voices.ready == desired.status.voices.desired
        times = [self._services.requeue_after(key, pool_object_name(key.name), state, settled=settled)]
        if state.serving_missing or state.serving_refusal or state.exposure_errors:
            times.append(MISSING_SECONDS)
        return min((seconds for seconds in times if seconds is not None), default=None)

    def enqueue_pools(self, key: Key) -> None:
        """Enqueue the pools that a VoiceModel names or that serve it.

        Parameters
        ----------
        key
            Namespace and name of the VoiceModel, whose status has changed.
        """
        for pool in self._cache.pools(key):
            self._enqueue(pool)

    async def observe_for(self, key: PoolKey, voice: str, now: datetime) -> ObservedPool:
        """Observe a pool for one of its voices.

        Parameters
        ----------
        key
            The pool's namespace and name; there need not be one.
        voice
            Name of the voice.
        now
            The time.

        Returns
        -------
        ObservedPool
            Its replicas were asked within the last ROLLOUT_SECONDS.

        Raises
        ------
        ApiException, aiohttp.ClientError, OSError, TimeoutError
            If the API server does not answer.
        """
        if self._cache.owner(key) is not None:
            await self._fetch(key, self._states.setdefault(key, ModelState()), now)
        return self._observe_pool(key, now).narrow(voice)

    async def _fetch(self, key: PoolKey, state: ModelState, now: datetime) -> None:
        async with self._locks.setdefault(key, asyncio.Lock()):
            if time.monotonic() - state.asked_at >= ROLLOUT_SECONDS:
                await self._services.fetch(key, pool_object_name(key.name), state, now)

    def _observe_pool(self, key: PoolKey, now: datetime) -> _PoolView:
        """Return a pool as all of its voices see it."""
        raw, place = self._cache.owner(key), f"VoicePool {key.name} of namespace {key.namespace}"
        if raw is None:
            return _PoolView(key.name, f"there is no {place}; create it, or remove spec.serving.poolRef")
        if raw["metadata"].get("deletionTimestamp"):
            return _PoolView(key.name, f"{place} is being deleted; name another in spec.serving.poolRef")
        try:
            pool = _parse_pool(raw)
        except ValidationError:
            return _PoolView(key.name, f"{place} is not valid; its conditions say why")
        state = self._states.setdefault(key, ModelState())
        service = self._services.observe(key, pool_object_name(key.name), state, now)
        problem = None
        if pool.spec.serving.suspend:
            problem = f"{place} is suspended by its spec.serving.suspend"
        elif refusal := state.serving_missing or state.serving_refusal:
            problem = f"{place}: {refusal}"
        return _PoolView(key.name, problem, service, pool.spec.serving.min_replicas)

    def _enqueue_changed(self, key: PoolKey, now: datetime) -> None:
        """Enqueue the VoiceModels that see something else of the pool than before."""
        before, view = self._seen.pop(key, {}), self._observe_pool(key, now)
        seen = {member.name: view.narrow(member.name) for member in self._cache.members(key)}
        if seen:
            self._seen[key] = seen
        for name, pool in seen.items():
            if pool != before.get(name):
                self._enqueue(Key(key.namespace, name))

    def _list_voices(self, key: PoolKey) -> tuple[VoiceConfig, ...]:
        models = []
        for member in self._cache.members(key):
            raw: Any = self._cache.owner(member)
            if raw["metadata"].get("deletionTimestamp"):
                continue
            try:
                models.append(self._parser.parse(member, raw))
            except ValidationError:
                continue  # its own status says why
        return list_voices(key.name, models)

    def _observe(self, key: PoolKey, state: ModelState, now: datetime) -> ObservedState:
        children, name = self._cache.children(key), pool_object_name(key.name)
        return ObservedState(
            service=self._services.observe(key, name, state, now),
            serving_missing=None if name in children.services else state.serving_missing,
            serving_refusal=state.serving_refusal,
            serving_deletion=find_blocked_deletion(children, name, now),
            exposure=observe_exposure(children, name, state.exposure_errors),
        )

    async def _write_status(self, key: PoolKey, raw: Any, status: VoicePoolStatus) -> None:
        if (written := await self._status_writer.write(key, raw, status)) is not None:
            self._cache.put(written)


def _parse_pool(raw: Any) -> VoicePool:
    """Parse a VoicePool; a status that cannot be parsed is replaced by an empty one."""
    try:
        status = VoicePoolStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        status = VoicePoolStatus()
    return VoicePool.model_validate({**raw, "status": status})


def _build_invalid_status(raw: Any, error: ValidationError, now: datetime) -> VoicePoolStatus:
    """Return the status that names each invalid field."""
    generation = int(raw["metadata"].get("generation", 0))
    invalid = ConditionValue(State.FALSE, Reason.INVALID_SPEC, "; ".join(describe_errors(error.errors())))
    conditions = update_conditions((), {ConditionType.READY: invalid}, generation, now)
    return VoicePoolStatus(observed_generation=generation, conditions=conditions)
