"""One reconciliation of one VoiceModel: observe, plan, execute, update the status. Level-triggered."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kubevoice.resources.data_plane import RevisionsResponse
from kubevoice.resources.stages import Progress
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import ValidationError

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.cache import Key, ResourceCache
from kubevoice_operator.cluster.creation_issues import CHECK_SECONDS, fetch_creation_issues, lacks_pods
from kubevoice_operator.cluster.data_plane import DataPlaneClient, service_url
from kubevoice_operator.cluster.event_poster import EventPoster
from kubevoice_operator.cluster.events import diff_events
from kubevoice_operator.cluster.executor import PlanExecutor
from kubevoice_operator.cluster.invalid_status import invalid_status
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.model_parser import VoiceModelParser
from kubevoice_operator.cluster.model_state import ModelState
from kubevoice_operator.cluster.pod_issues import parse_timestamp
from kubevoice_operator.cluster.service_snapshot import find_blocked_deletion, find_heads, is_deleted, observe_service
from kubevoice_operator.cluster.snapshot import observe_exposure, observe_jobs, unrecorded_results
from kubevoice_operator.cluster.status_writer import StatusWriter
from kubevoice_operator.observed_state import ObservedService, ObservedState
from kubevoice_operator.planner import Plan, plan
from kubevoice_operator.render.names import REFRESH_ANNOTATION, RESULT_ANNOTATION, STAGE_LABEL, Images

__all__ = ["Reconciler"]

ROLLOUT_SECONDS, STEADY_SECONDS = 2.0, 60.0
"""How often replicas are asked what they serve: during a rollout, and otherwise."""
SHORTEST_PROGRESS_SECONDS, LONGEST_PROGRESS_SECONDS = 2.0, 30.0
"""Bounds of the interval at which a trainer is asked for its progress: a hundredth of the time that is left."""
MISSING_SECONDS = 15.0
"""How often what the API server refused is tried again."""
SILENCE_SECONDS = 20.0
"""How long the replicas' last report is used while they do not answer: one slow answer is not an outage."""
START_ERROR_SECONDS = 180.0
"""How long is remembered why a replica could not start. Ray Serve tells it only until the next attempt, which waits up
to a minute and a half for storage."""


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
    """

    def __init__(
        self,
        api: KubernetesApi,
        data: DataPlaneClient,
        cache: ResourceCache,
        metrics: OperatorMetrics,
        images: Images,
        events: EventPoster,
    ) -> None:
        self._api, self._data, self._cache = api, data, cache
        self._metrics, self._images, self._events = metrics, images, events
        self._executor, self._status_writer = PlanExecutor(api, cache), StatusWriter(api, metrics)
        self._parser = VoiceModelParser()
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
        raw = self._cache.model(key)
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
        await fetch_creation_issues(self._api, key, self._cache.children(key), state, now)
        report = await self._fetch_report(key, state)
        observed = self._observe(model, key, state, progress, report, now)
        desired = plan(model, observed, now, self._images)
        if await self._executor.execute(key, desired, observed, state):
            # What was created or refused belongs into this status.
            observed = self._observe(model, key, state, progress, report, now)
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
        report: RevisionsResponse | None,
        now: datetime,
    ) -> ObservedState:
        children = self._cache.children(key)
        return ObservedState(
            input_version=model.metadata.annotations.get(REFRESH_ANNOTATION, ""),
            jobs=observe_jobs(children, progress, state.creation_issues, now),
            service=self._observe_service(key, state, report, now),
            serving_missing=None if key.name in children.services else state.serving_missing,
            job_refusal=state.job_refusal,
            serving_refusal=state.serving_refusal,
            serving_deletion=find_blocked_deletion(children, key.name, now),
            exposure=observe_exposure(children, key.name, state.exposure_errors),
        )

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

    def _observe_service(
        self, key: Key, state: ModelState, report: RevisionsResponse | None, now: datetime
    ) -> ObservedService | None:
        failures = self._cache.pod_failures.recent(key)
        service = observe_service(
            self._cache.children(key), key.name, service_url(key), report, now, failures, state.creation_issues
        )
        if service is None:
            return None
        if service.start_error is not None:
            state.start_error, state.start_error_at = service.start_error, time.monotonic()
        elif time.monotonic() - state.start_error_at < START_ERROR_SECONDS:
            return replace(service, start_error=state.start_error)
        return service

    async def _fetch_report(self, key: Key, state: ModelState) -> RevisionsResponse | None:
        """Ask the replicas what they serve; for SILENCE_SECONDS their last answer stands in for one that is missing.

        Not after the head, and with it the ingress, was lost: then no caller is answered.
        """
        if key.name not in self._cache.children(key).services:
            return None
        heads = find_heads(self._cache.children(key), key.name)
        report = await self._data.fetch_revisions(key)
        if report is not None:
            state.last_report, state.last_report_at, state.last_report_heads = report, time.monotonic(), heads
        recent = time.monotonic() - state.last_report_at < SILENCE_SECONDS
        return state.last_report if recent and state.last_report_heads == heads else None

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
        if observed.service is not None:
            silent = time.monotonic() - state.last_report_at > ROLLOUT_SECONDS
            settled = desired.status.serving.rollout is None and not silent
            times.append(STEADY_SECONDS if settled else ROLLOUT_SECONDS)
        if state.serving_missing or state.job_refusal or state.serving_refusal or state.exposure_errors:
            times.append(MISSING_SECONDS)
        children = self._cache.children(key)
        if lacks_pods(key, children) or is_deleted(children, key.name):
            times.append(CHECK_SECONDS)
        return min((t for t in times if t is not None), default=None)
