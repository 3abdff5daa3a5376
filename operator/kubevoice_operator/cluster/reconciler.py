"""One reconciliation of one VoiceModel: observe, plan, execute, update the status. Level-triggered."""

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from kubevoice.resources.conditions import Reason
from kubevoice.resources.data_plane import RevisionsResponse
from kubevoice.resources.stages import Progress
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import ValidationError

from kubevoice_operator.cluster.api import ApiException, KubernetesApi
from kubevoice_operator.cluster.applier import apply_exposure, apply_object, catch_refusal
from kubevoice_operator.cluster.cache import Key, ResourceCache
from kubevoice_operator.cluster.data_plane import DataPlaneClient, service_url
from kubevoice_operator.cluster.events import EventNote, diff_events, render_event
from kubevoice_operator.cluster.invalid_status import invalid_status
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.model_parser import VoiceModelParser
from kubevoice_operator.cluster.pod_issues import parse_timestamp
from kubevoice_operator.cluster.snapshot import observe_exposure, observe_jobs, observe_service, unrecorded_results
from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.planner import Plan, plan
from kubevoice_operator.render.names import (
    REFRESH_ANNOTATION,
    RESULT_ANNOTATION,
    STAGE_LABEL,
    Images,
)

__all__ = ["Reconciler"]

logger = logging.getLogger(__name__)

NO_KUBERAY = "the cluster has no RayService resource (ray.io/v1); install KubeRay, and the voice will be served"
ROLLOUT_SECONDS, STEADY_SECONDS = 2.0, 60.0
"""How often replicas are asked what they serve: during a rollout, and otherwise."""
SHORTEST_PROGRESS_SECONDS, LONGEST_PROGRESS_SECONDS = 2.0, 30.0
MISSING_SECONDS = 15.0
SILENCE_SECONDS = 20.0
"""How long the replicas' last report is used while they do not answer: one slow answer is not an outage."""
EVENT_SECONDS = 1.0
"""How long an Event waits until no status is to be written."""


@dataclass(slots=True)
class _ModelState:
    """What is known of a VoiceModel beyond the watches.

    Only the worker that reconciles the VoiceModel reads and writes it, so it needs no lock. It is dropped when the
    VoiceModel is gone or the process ends; the next reconciliation then finds everything out again.
    """

    serving_missing: str | None = None
    """Why RayServices cannot be created. Set by `_apply_service` when the resource is missing, cleared by the next
    success."""
    job_refusal: str | None = None
    """The API server's message that refused a Job. Set or cleared by every `_execute`."""
    serving_refusal: str | None = None
    """The API server's message that refused a change of the RayService. Set or cleared by every `_execute`."""
    exposure_errors: dict[str, tuple[Reason, str]] = field(default_factory=dict)
    """Why exposure objects could not be applied, by kind. Replaced by every `_execute`."""
    last_report: RevisionsResponse | None = None
    """The last answer of /v1/revisions. Set by `_fetch_report`, used for SILENCE_SECONDS, never cleared."""
    last_report_at: float = -math.inf
    """When that was, by time.monotonic()."""
    unanswered_polls: int = 0
    """Consecutive polls without a progress report. Set by `_requeue_after`, which lengthens the interval by it."""


class Reconciler:
    """Reconciles VoiceModels. `instance` names this process in Events."""

    def __init__(
        self,
        api: KubernetesApi,
        data: DataPlaneClient,
        cache: ResourceCache,
        metrics: OperatorMetrics,
        images: Images,
        instance: str,
    ) -> None:
        self._api, self._data, self._cache = api, data, cache
        self._metrics, self._images, self._instance = metrics, images, instance
        self._states: dict[Key, _ModelState] = {}
        self._parser = VoiceModelParser()
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

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
        raw = self._cache.model(key)
        if raw is None:
            self._states.pop(key, None)
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
        state = self._states.setdefault(key, _ModelState())
        await self._record_results(key)
        progress = await self._fetch_progress(key, now)
        report = await self._fetch_report(key, state)
        observed = self._observe(model, key, state, progress, report, now)
        desired = plan(model, observed, now, self._images)
        if await self._execute(key, desired, observed, state):
            # What was created or refused belongs into this status.
            observed = self._observe(model, key, state, progress, report, now)
            desired = plan(model, observed, now, self._images)
        await self._update_status(key, raw, model.status, desired.status, model)
        return self._requeue_after(desired, observed, state)

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
        state: _ModelState,
        progress: Mapping[str, Progress],
        report: RevisionsResponse | None,
        now: datetime,
    ) -> ObservedState:
        children = self._cache.children(key)
        return ObservedState(
            dataset_version=model.metadata.annotations.get(REFRESH_ANNOTATION, ""),
            jobs=observe_jobs(children, progress, now),
            service=observe_service(children, key.name, service_url(key), report, now),
            serving_missing=None if key.name in children.services else state.serving_missing,
            job_refusal=state.job_refusal,
            serving_refusal=state.serving_refusal,
            exposure=observe_exposure(children, key.name, state.exposure_errors),
        )

    async def _fetch_progress(self, key: Key, now: datetime) -> dict[str, Progress]:
        progress: dict[str, Progress] = {}
        for name, job in observe_jobs(self._cache.children(key), {}, now).items():
            if job.active and job.pod_issue is None and job.address:
                reported = await self._data.fetch_progress(job.address)
                progress |= {name: reported} if reported is not None else {}
        return progress

    async def _fetch_report(self, key: Key, state: _ModelState) -> RevisionsResponse | None:
        """Ask the replicas what they serve; for SILENCE_SECONDS their last answer stands in for one that is missing."""
        if key.name not in self._cache.children(key).services:
            return None
        report = await self._data.fetch_revisions(key)
        if report is not None:
            state.last_report, state.last_report_at = report, time.monotonic()
        return state.last_report if time.monotonic() - state.last_report_at < SILENCE_SECONDS else None

    async def _execute(self, key: Key, desired: Plan, observed: ObservedState, state: _ModelState) -> bool:
        """Carry out the plan; return whether that changes the status."""
        before = (state.job_refusal, state.serving_refusal, state.serving_missing, state.exposure_errors)
        for name in desired.delete_jobs:
            await self._api.delete_job(key.namespace, name)
        state.job_refusal = await catch_refusal(self._create_jobs(key, desired))
        # Before the pods, so that the NetworkPolicy is there when they start.
        state.exposure_errors = await apply_exposure(self._api, self._cache, key, desired, observed)
        state.serving_refusal = await catch_refusal(self._change_serving(key, desired, observed, state))
        now = (state.job_refusal, state.serving_refusal, state.serving_missing, state.exposure_errors)
        return bool(desired.jobs) or before != now

    async def _create_jobs(self, key: Key, desired: Plan) -> None:
        for job in desired.jobs:
            if (created := await self._api.create_job(job)) is not None:
                logger.info("created Job %s", job["metadata"]["name"], extra={"voicemodel": key})
                self._cache.put(created)

    async def _change_serving(self, key: Key, desired: Plan, observed: ObservedState, state: _ModelState) -> None:
        if desired.service is not None:
            await self._apply_service(key, desired.service, state)
        if desired.remove_service:
            await self._api.delete("RayService", key)
        running = observed.service
        if desired.bounds is not None and running is not None and running.cluster is not None:
            cluster = Key(key.namespace, running.cluster)
            if (patched := await self._api.set_worker_bounds(cluster, desired.bounds)) is not None:
                self._cache.put(patched)

    async def _apply_service(self, key: Key, wanted: dict[str, Any], state: _ModelState) -> None:
        ours = key.name in self._cache.children(key).services
        try:
            await apply_object(self._api, self._cache, wanted, ours=ours)
            state.serving_missing = None
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            state.serving_missing = NO_KUBERAY

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
        if _is_same_status(raw.get("status"), after):
            return
        body = after.model_dump(mode="json", by_alias=True, exclude_none=True)
        written = await self._api.apply_status(key, body)
        if written is not None and not _is_same_status(written.get("status"), after):
            written = await self._api.replace_status(key, body)
        if written is None:
            return
        self._cache.put(written)
        if model is None:
            return
        for note in diff_events(before, after):
            self._queue_event(model, note)

    def _queue_event(self, model: VoiceModel, note: EventNote) -> None:
        name = f"{model.metadata.name}.{uuid.uuid4().hex[:16]}"
        logger.log(
            logging.WARNING if note.warning else logging.INFO,
            "%s: %s",
            note.reason,
            note.message,
            extra={"voicemodel": Key(model.metadata.namespace, model.metadata.name)},
        )
        self.events.put_nowait(render_event(model, note, self._instance, datetime.now(UTC), name))

    async def post_events(self, wait_idle: Callable[[], Awaitable[None]]) -> None:
        """Post queued Events, one after the other, until cancelled.

        An Event that cannot be posted is logged and dropped; nothing depends on it.

        Parameters
        ----------
        wait_idle
            Waits until no reconciliation is due. Each Event waits for it, at most EVENT_SECONDS: statuses are written
            first.
        """
        while True:
            event = await self.events.get()
            with suppress(TimeoutError):
                await asyncio.wait_for(wait_idle(), EVENT_SECONDS)
            try:
                await self._api.create_event(event)
            except (TimeoutError, ApiException, aiohttp.ClientError, OSError) as error:
                logger.warning("cannot post event %s: %s", event["reason"], error)
            finally:
                self.events.task_done()

    def _requeue_after(self, desired: Plan, observed: ObservedState, state: _ModelState) -> float | None:
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
        if observed.service is not None:
            silent = time.monotonic() - state.last_report_at > ROLLOUT_SECONDS
            settled = desired.status.serving.rollout is None and not silent
            times.append(STEADY_SECONDS if settled else ROLLOUT_SECONDS)
        if state.serving_missing or state.job_refusal or state.serving_refusal or state.exposure_errors:
            times.append(MISSING_SECONDS)
        return min((t for t in times if t is not None), default=None)


def _is_same_status(current: Any, wanted: VoiceModelStatus) -> bool:
    """Return whether the status on the server equals the wanted one, with defaults filled in."""
    if not current:
        return False
    try:
        return VoiceModelStatus.model_validate(current) == wanted
    except ValidationError:
        return False
