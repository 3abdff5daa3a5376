"""One look at one VoiceModel: observe, plan, carry out, tell. Level-triggered: it never matters what woke it."""

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
from kubevoice.resources.stages import Progress
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from pydantic import ValidationError

from kubevoice_operator.cluster.api import ApiException, KubernetesApi
from kubevoice_operator.cluster.applying import apply, expose, refusal_of
from kubevoice_operator.cluster.cache import Cache, Key
from kubevoice_operator.cluster.dataplane import DataPlaneClient, service_url
from kubevoice_operator.cluster.events import Note, notes, render_event
from kubevoice_operator.cluster.invalid import invalid_status
from kubevoice_operator.cluster.metrics import Metrics
from kubevoice_operator.cluster.reading import Reader
from kubevoice_operator.cluster.snapshot import DataPlane, exposure, jobs, service, unrecorded
from kubevoice_operator.cluster.trouble import when
from kubevoice_operator.observe import Observed
from kubevoice_operator.plan import Plan, plan
from kubevoice_operator.render.names import (
    REFRESH_ANNOTATION,
    RESULT_ANNOTATION,
    STAGE_LABEL,
    Images,
)

__all__ = ["Reconciler"]

logger = logging.getLogger(__name__)

NO_KUBERAY = (
    "the cluster has no RayService resource (ray.io/v1); install KubeRay, and the voice will be served without more ado"
)
ROLLOUT_SECONDS, STEADY_SECONDS = 2.0, 60.0
"""How often replicas are asked what they serve: on the way to a revision, and after."""
SHORTEST_PROGRESS_SECONDS, LONGEST_PROGRESS_SECONDS = 2.0, 30.0
MISSING_SECONDS = 15.0
SILENCE_SECONDS = 20.0
"""How long the last word of the replicas counts while they do not answer: one slow answer is no outage."""
EVENT_SECONDS = 1.0
"""How long an Event waits for statuses that are to be written."""


@dataclass(slots=True)
class _Memory:
    """What is known of a VoiceModel beyond the watches; losing it costs a moment, nothing else."""

    serving_missing: str | None = None
    refused: str | None = None
    serving_refused: str | None = None
    hindered: dict[str, tuple[Reason, str]] = field(default_factory=dict)
    heard: DataPlane = field(default_factory=DataPlane)
    heard_at: float = -math.inf
    unanswered: int = 0


class Reconciler:
    """Brings VoiceModels to where their specs say. `instance` is this process, named in Events."""

    def __init__(
        self,
        api: KubernetesApi,
        data: DataPlaneClient,
        cache: Cache,
        metrics: Metrics,
        images: Images,
        instance: str,
    ) -> None:
        self._api, self._data, self._cache = api, data, cache
        self._metrics, self._images, self._instance = metrics, images, instance
        self._memory: dict[Key, _Memory] = {}
        self._reader = Reader()
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def reconcile(self, key: Key) -> float | None:
        """Take one VoiceModel a step further; return in how many seconds to look again, None if events will tell.

        Raises ApiException, or what aiohttp raises, if the API cannot be reached.
        """
        raw = self._cache.model(key)
        if raw is None:
            self._memory.pop(key, None)
            self._reader.forget(key)
            self._metrics.forget(*key)
            return None
        if raw["metadata"].get("deletionTimestamp"):
            return None
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            model = self._reader.read(key, raw)
        except ValidationError as error:
            await self._tell(key, raw, VoiceModelStatus(), invalid_status(raw, error, now))
            return None
        memory = self._memory.setdefault(key, _Memory())
        await self._record_results(key)
        progress, data = await self._ask_trainers(key, now), await self._ask_replicas(key, memory)
        observed = self._observe(model, key, memory, progress, data, now)
        decided = plan(model, observed, now, self._images)
        if await self._carry_out(key, decided, observed, memory):
            # What was made or refused belongs into the status of this very look.
            observed = self._observe(model, key, memory, progress, data, now)
            decided = plan(model, observed, now, self._images)
        await self._tell(key, raw, model.status, decided.status, model)
        return self._look_again(decided, observed, memory)

    async def _record_results(self, key: Key) -> None:
        """Write answers of finished Jobs onto the Jobs themselves."""
        for name, message in unrecorded(self._cache.children(key)).items():
            patch = {"metadata": {"annotations": {RESULT_ANNOTATION: message}}}
            if (found := await self._api.patch_job(Key(key.namespace, name), patch)) is not None:
                self._cache.put(found)
                self._time_stage(found)

    def _time_stage(self, job: dict[str, Any]) -> None:
        status, stage = job.get("status", {}), job["metadata"]["labels"].get(STAGE_LABEL, "")
        began, ended = when(status.get("startTime")), when(status.get("completionTime"))
        if began is not None and ended is not None:
            self._metrics.stage_seconds.labels(stage).observe((ended - began).total_seconds())

    def _observe(
        self,
        model: VoiceModel,
        key: Key,
        memory: _Memory,
        progress: Mapping[str, Progress],
        data: DataPlane,
        now: datetime,
    ) -> Observed:
        children = self._cache.children(key)
        return Observed(
            dataset=model.metadata.annotations.get(REFRESH_ANNOTATION, ""),
            jobs=jobs(children, progress, now),
            service=service(children, key.name, service_url(key), data, now),
            serving_missing=None if key.name in children.services else memory.serving_missing,
            refused=memory.refused,
            serving_refused=memory.serving_refused,
            exposure=exposure(children, key.name, memory.hindered),
        )

    async def _ask_trainers(self, key: Key, now: datetime) -> dict[str, Progress]:
        progress: dict[str, Progress] = {}
        for name, job in jobs(self._cache.children(key), {}, now).items():
            if job.active and job.trouble is None and job.address:
                said = await self._data.progress(job.address)
                progress |= {name: said} if said is not None else {}
        return progress

    async def _ask_replicas(self, key: Key, memory: _Memory) -> DataPlane:
        if key.name not in self._cache.children(key).services:
            return DataPlane()
        data = await self._data.replicas(key)
        if data.answered:
            memory.heard, memory.heard_at = data, time.monotonic()
        return memory.heard if time.monotonic() - memory.heard_at < SILENCE_SECONDS else data

    async def _carry_out(self, key: Key, decided: Plan, observed: Observed, memory: _Memory) -> bool:
        """Do what the plan says; tell whether that changes what there is to tell."""
        before = (memory.refused, memory.serving_refused, memory.serving_missing, memory.hindered)
        for name in decided.delete_jobs:
            await self._api.delete_job(key.namespace, name)
        memory.refused = await refusal_of(self._make_jobs(key, decided))
        # Before the pods, so that they are protected from their first moment.
        memory.hindered = await expose(self._api, self._cache, key, decided, observed)
        memory.serving_refused = await refusal_of(self._change_serving(key, decided, observed, memory))
        now = (memory.refused, memory.serving_refused, memory.serving_missing, memory.hindered)
        return bool(decided.jobs) or before != now

    async def _make_jobs(self, key: Key, decided: Plan) -> None:
        for job in decided.jobs:
            if (made := await self._api.create_job(job)) is not None:
                logger.info("created Job %s", job["metadata"]["name"], extra={"voicemodel": key})
                self._cache.put(made)

    async def _change_serving(self, key: Key, decided: Plan, observed: Observed, memory: _Memory) -> None:
        if decided.service is not None:
            await self._apply_service(key, decided.service, memory)
        if decided.remove_service:
            await self._api.delete("RayService", key)
        running = observed.service
        if decided.bounds is not None and running is not None and running.cluster is not None:
            cluster = Key(key.namespace, running.cluster)
            if (found := await self._api.set_worker_bounds(cluster, decided.bounds)) is not None:
                self._cache.put(found)

    async def _apply_service(self, key: Key, wanted: dict[str, Any], memory: _Memory) -> None:
        ours = key.name in self._cache.children(key).services
        try:
            await apply(self._api, self._cache, wanted, ours=ours)
            memory.serving_missing = None
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            memory.serving_missing = NO_KUBERAY

    async def _tell(
        self,
        key: Key,
        raw: Any,
        before: VoiceModelStatus,
        after: VoiceModelStatus,
        model: VoiceModel | None = None,
    ) -> None:
        """Write the status if it differs, and post Events for what happened."""
        self._metrics.show(*key, after)
        if _same(raw.get("status"), after):
            return
        body = after.model_dump(mode="json", by_alias=True, exclude_none=True)
        written = await self._api.apply_status(key, body)
        if written is not None and not _same(written.get("status"), after):
            written = await self._api.replace_status(key, body)
        if written is None:
            return
        self._cache.put(written)
        if model is None:
            return
        for note in notes(before, after):
            self._note(model, note)

    def _note(self, model: VoiceModel, note: Note) -> None:
        name = f"{model.metadata.name}.{uuid.uuid4().hex[:16]}"
        logger.log(
            logging.WARNING if note.warning else logging.INFO,
            "%s: %s",
            note.reason,
            note.message,
            extra={"voicemodel": Key(model.metadata.namespace, model.metadata.name)},
        )
        self.events.put_nowait(render_event(model, note, self._instance, datetime.now(UTC), name))

    async def post_events(self, rest: Callable[[], Awaitable[None]]) -> None:
        """Post Events for ever; one that cannot be posted is logged, for nothing depends on it.

        One after the other, and while statuses are to be written only now and then, when `rest` takes too long:
        statuses are what people wait for.
        """
        while True:
            event = await self.events.get()
            with suppress(TimeoutError):
                await asyncio.wait_for(rest(), EVENT_SECONDS)
            try:
                await self._api.create_event(event)
            except (TimeoutError, ApiException, aiohttp.ClientError, OSError) as error:
                logger.warning("cannot post event %s: %s", event["reason"], error)
            finally:
                self.events.task_done()

    def _look_again(self, decided: Plan, observed: Observed, memory: _Memory) -> float | None:
        times = [decided.recheck_seconds]
        active = [job for job in observed.jobs.values() if job.active]
        asked = [job for job in active if job.trouble is None and job.address]
        # Nobody waits long for a trainer that cannot be reached: ever more seldom.
        memory.unanswered = memory.unanswered + 1 if any(job.progress is None for job in asked) else 0
        for job in asked:
            eta = job.progress.eta_seconds if job.progress and job.progress.eta_seconds else 0.0
            seconds = max(SHORTEST_PROGRESS_SECONDS, eta / 100, float(memory.unanswered))
            times.append(min(LONGEST_PROGRESS_SECONDS, seconds))
        if active:
            times.append(STEADY_SECONDS)  # events tell what changes, but not that nothing does
        if observed.service is not None:
            silent = time.monotonic() - memory.heard_at > ROLLOUT_SECONDS
            settled = decided.status.serving.rollout is None and not silent
            times.append(STEADY_SECONDS if settled else ROLLOUT_SECONDS)
        if memory.serving_missing or memory.refused or memory.serving_refused or memory.hindered:
            times.append(MISSING_SECONDS)
        return min((t for t in times if t is not None), default=None)


def _same(there: Any, wanted: VoiceModelStatus) -> bool:
    """Tell whether the status on the server says what is wanted, defaults and all."""
    if not there:
        return False
    try:
        return VoiceModelStatus.model_validate(there) == wanted
    except ValidationError:
        return False
