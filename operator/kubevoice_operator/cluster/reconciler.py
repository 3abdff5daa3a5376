"""One reconciliation of one VoiceModel: observe, plan, execute, update the status. Level-triggered."""

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kubevoice.resources.stages import Progress
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import ValidationError

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import ResourceCache
from kubevoice_operator.cluster.data_plane import DataPlaneClient
from kubevoice_operator.cluster.event_poster import EventPoster
from kubevoice_operator.cluster.events import diff_events
from kubevoice_operator.cluster.executor import PlanExecutor
from kubevoice_operator.cluster.invalid_status import invalid_status
from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.model_parser import VoiceModelParser
from kubevoice_operator.cluster.model_state import ModelState
from kubevoice_operator.cluster.pod_issues import parse_timestamp
from kubevoice_operator.cluster.pool_reconciler import PoolReconciler
from kubevoice_operator.cluster.service_observer import (
    MISSING_SECONDS,
    ROLLOUT_SECONDS,
    STEADY_SECONDS,
    ServiceObserver,
)
from kubevoice_operator.cluster.service_snapshot import find_blocked_deletion
from kubevoice_operator.cluster.snapshot import observe_exposure, observe_jobs, unrecorded_results
from kubevoice_operator.cluster.status_writer import StatusWriter
from kubevoice_operator.observed_state import ObservedPool, ObservedState
from kubevoice_operator.planner import Plan, plan
from kubevoice_operator.render.names import REFRESH_ANNOTATION, RESULT_ANNOTATION, STAGE_LABEL, Images

__all__ = ["Reconciler"]

SHORTEST_PROGRESS_SECONDS, LONGEST_PROGRESS_SECONDS = 2.0, 30.0
"""Bounds of the interval at which a trainer is asked for its progress: a hundredth of the time that is left."""


class Reconciler:
    """Reconciles VoiceModels.

    Parameters
    ----------
    api
        The API server.
    data
        Trainers and replicas.
    cache
        The objects that the watches have shown.
    metrics
        The metrics to update.
    images
        Images used where a VoiceModel names none.
    events
        Takes the Events of each change.
    parser
        Parses VoiceModels, and forgets those that are gone.
    pools
        Observes the pools of VoiceModels, and reconciles them after a change of a status.
    """

    def __init__(
        self,
        api: KubernetesApi,
        data: DataPlaneClient,
        cache: ResourceCache,
        metrics: OperatorMetrics,
        images: Images,
        events: EventPoster,
        parser: VoiceModelParser,
        pools: PoolReconciler,
    ) -> None:
        self._api, self._data, self._cache, self._pools = api, data, cache, pools
        self._services = ServiceObserver(api, data, cache)
        self._metrics, self._images, self._events = metrics, images, events
        self._executor, self._status_writer = PlanExecutor(api, cache), StatusWriter(api, metrics)
        self._parser = parser
        self._states: dict[Key, ModelState] = {}
        """State of each VoiceModel beyond the watches. Set and cleared by `reconcile`."""

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one VoiceModel.

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
        if raw is None:
            self._states.pop(key, None)
            self._cache.pod_failures.forget(key)
            self._parser.forget(key)
            self._metrics.forget(*key)
            return None
        if raw["metadata"].get("deletionTimestamp"):
            return None
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            model = self._parser.parse(key, raw)
        except ValidationError as error:
            await self._update_status(key, raw, VoiceModelStatus(), invalid_status(raw, error, now))
            return None
        state = self._states.setdefault(key, ModelState())
        await self._record_results(key)
        progress = await self._fetch_progress(key, state, now)
        await self._services.fetch(key, key.name, state, now)
        pools = await self._observe_pools(model, key, now)
        observed = self._observe(model, key, state, progress, pools, now)
        desired = plan(model, observed, now, self._images)
        if await self._executor.execute(key, desired, observed, state):
            # What was created or refused belongs into this status.
            observed = self._observe(model, key, state, progress, pools, now)
            desired = plan(model, observed, now, self._images)
        await self._update_status(key, raw, model.status, desired.status, model)
        return self._requeue_after(key, desired, observed, state)

    async def _record_results(self, key: Key) -> None:
        """Copy results of finished Jobs from their pods to an annotation of the Job."""
        for name, message in unrecorded_results(self._cache.children(key)).items():
            patch = {"metadata": {"annotations": {RESULT_ANNOTATION: message}}}
            if (patched := await self._api.patch_job(Key(key.namespace, name), patch)) is not None:
                self._cache.put(patched)
                self._observe_stage_duration(patched)

    def _observe_stage_duration(self, job: dict[str, Any]) -> None:
        status, stage = job.get("status", {}), job["metadata"]["labels"].get(STAGE_LABEL, "")
        began, ended = parse_timestamp(status.get("startTime")), parse_timestamp(status.get("completionTime"))
        if began is not None and ended is not None:
            self._metrics.stage_seconds.labels(stage).observe((ended - began).total_seconds())

    def _observe(
        self,
        model: VoiceModel,
        key: Key,
        state: ModelState,
        progress: Mapping[str, Progress],
        pools: Mapping[str, ObservedPool],
        now: datetime,
    ) -> ObservedState:
        children, ref = self._cache.children(key), model.spec.serving.pool_ref
        wanted, previous = ref.name if ref else None, model.status.serving.pool
        return ObservedState(
            input_version=model.metadata.annotations.get(REFRESH_ANNOTATION, ""),
            jobs=observe_jobs(children, progress, state.creation_issues, now),
            service=self._services.observe(key, key.name, state, now),
            pool=pools.get(wanted) if wanted else None,
            previous_pool=pools.get(previous) if previous and previous != wanted else None,
            serving_missing=None if key.name in children.services else state.serving_missing,
            job_refusal=state.job_refusal,
            serving_refusal=state.serving_refusal,
            serving_deletion=find_blocked_deletion(children, key.name, now),
            exposure=observe_exposure(children, key.name, state.exposure_errors),
        )

    async def _observe_pools(self, model: VoiceModel, key: Key, now: datetime) -> dict[str, ObservedPool]:
        """Observe the pools that the VoiceModel names, or that serve it, by name."""
        pools = sorted(self._cache.pools(key))
        return {pool.name: await self._pools.observe_for(pool, model.metadata.name, now) for pool in pools}

    async def _fetch_progress(self, key: Key, state: ModelState, now: datetime) -> dict[str, Progress]:
        """Ask trainers for their progress, at most every SHORTEST_PROGRESS_SECONDS whatever events come."""
        reports: dict[str, tuple[float, Progress | None]] = {}
        for name, job in observe_jobs(self._cache.children(key), {}, {}, now).items():
            if job.active and job.pod_issue is None and job.address:
                reports[name] = state.progress.get(name, (-math.inf, None))
                if time.monotonic() - reports[name][0] >= SHORTEST_PROGRESS_SECONDS:
                    reports[name] = time.monotonic(), await self._data.fetch_progress(job.address)
        state.progress = reports
        return {name: progress for name, (_, progress) in reports.items() if progress is not None}

    async def _update_status(
        self,
        key: Key,
        raw: Any,
        before: VoiceModelStatus,
        after: VoiceModelStatus,
        model: VoiceModel | None = None,
    ) -> None:
        """Write the status if it differs from what the server has, and queue Events for what changed."""
        self._metrics.update(*key, after)
        written = await self._status_writer.write(key, raw, after)
        if written is None:
            return
        self._cache.put(written)
        self._pools.enqueue_pools(key)
        if model is not None:
            for note in diff_events(before, after):
                self._events.enqueue(model, note)

    def _requeue_after(self, key: Key, desired: Plan, observed: ObservedState, state: ModelState) -> float | None:
        """Return the seconds until the next reconciliation; None if only an event makes one necessary."""
        times = [desired.recheck_seconds]
        active = [job for job in observed.jobs.values() if job.active]
        polled = [job for job in active if job.pod_issue is None and job.address]
        # A trainer that cannot be reached is polled less and less often.
        state.unanswered_polls = state.unanswered_polls + 1 if any(job.progress is None for job in polled) else 0
        for job in polled:
            eta = job.progress.eta_seconds if job.progress and job.progress.eta_seconds else 0.0
            seconds = max(SHORTEST_PROGRESS_SECONDS, eta / 100, float(state.unanswered_polls))
            times.append(min(LONGEST_PROGRESS_SECONDS, seconds))
        if active:
            times.append(STEADY_SECONDS)  # no event says that a Job makes no progress
        settled = desired.status.serving.rollout is None
        times.append(self._services.requeue_after(key, key.name, state, settled=settled))
        if observed.pool is not None or observed.previous_pool is not None:
            times.append(STEADY_SECONDS if settled else ROLLOUT_SECONDS)
        if state.serving_missing or state.job_refusal or state.serving_refusal or state.exposure_errors:
            times.append(MISSING_SECONDS)
        return min((t for t in times if t is not None), default=None)
