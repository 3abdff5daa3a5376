"""The status of a VoicePool, built from what was observed of its replicas. Pure."""

from collections.abc import Sequence
from datetime import datetime

from kubevoice.resources.conditions import ConditionType, Reason, State
from kubevoice.resources.data_plane import VoiceConfig
from kubevoice.resources.status import PoolDisplay, PoolVoices, Replicas, VoicePoolStatus
from kubevoice.resources.voicepool import VoicePool

from kubevoice_operator.condition_value import ConditionValue, replace_conditions
from kubevoice_operator.conditions import build_exposed_condition
from kubevoice_operator.exposure_plan import ExposurePlan
from kubevoice_operator.observed_state import ObservedService, ObservedState
from kubevoice_operator.render.names import POOL_LABEL, WORKERS_SELECTOR
from kubevoice_operator.serving_conditions import build_unavailable_condition

__all__ = ["build_pool_status"]

NO_VOICES = "no voice to serve: set spec.serving.poolRef of a VoiceModel; it joins when it is released"


def _count_voices(voices: Sequence[VoiceConfig], service: ObservedService | None) -> PoolVoices:
    replicas = service.replicas if service else ()
    ready = [v for v in voices if replicas and all(r.voices.get(v.name) == v.revision for r in replicas)]
    resident = max((r.resident for r in replicas if r.resident), key=lambda r: len(r.voices), default=None)
    return PoolVoices(
        desired=len(voices),
        ready=len(ready),
        resident=len(resident.voices) if resident else 0,
        resident_megabytes=resident.memory_bytes >> 20 if resident else 0,
    )


def _build_ready_condition(
    pool: VoicePool, voices: PoolVoices, replicas: Replicas, observed: ObservedState
) -> ConditionValue:
    service = observed.service
    if pool.spec.serving.suspend:
        return ConditionValue(State.FALSE, Reason.SUSPENDED, "stopped by spec.serving.suspend")
    if not voices.desired:
        return ConditionValue(State.FALSE, Reason.WAITING, NO_VOICES)
    if observed.serving_refusal:
        return ConditionValue(State.FALSE, Reason.REFUSED_BY_API, observed.serving_refusal)
    asleep = service is not None and service.answers and not pool.spec.serving.min_replicas
    if not replicas.ready and not asleep:
        return build_unavailable_condition(observed)
    served = f"{voices.ready} of {voices.desired} voices are served by every replica"
    if voices.ready < voices.desired and not asleep:
        return ConditionValue(State.TRUE, Reason.ROLLING_OUT, served)
    return ConditionValue(
        State.TRUE, Reason.SERVING, served if replicas.ready else "no replica runs; the next request starts one"
    )


def build_pool_status(
    pool: VoicePool,
    voices: Sequence[VoiceConfig],
    observed: ObservedState,
    exposure: ExposurePlan,
    now: datetime,
) -> VoicePoolStatus:
    """Build the whole status.

    Parameters
    ----------
    pool
        The VoicePool with its status as it was written last.
    voices
        The voices that it should serve.
    observed
        Its RayService and exposure.
    exposure
        Which exposure objects should exist, and which are not as they should be.
    now
        The time of this reconciliation.

    Returns
    -------
    VoicePoolStatus
        The status to write. A condition's transition time changes only when its status does.
    """
    service, serving = observed.service, pool.spec.serving
    answering = len(service.replicas) if service else 0
    wanted = max(serving.min_replicas, answering) if voices and not serving.suspend else 0
    replicas = Replicas(desired=wanted, ready=answering)
    counts = _count_voices(voices, service)
    values = {ConditionType.READY: _build_ready_condition(pool, counts, replicas, observed)}
    if (exposed := build_exposed_condition(pool, observed, exposure)) is not None:
        values[ConditionType.EXPOSED] = exposed
    conditions = replace_conditions(pool.status.conditions, values, pool.metadata.generation, now)
    return VoicePoolStatus(
        observed_generation=pool.metadata.generation,
        conditions=conditions,
        voices=counts,
        replicas=replicas,
        url=service.url if service else None,
        selector=f"{POOL_LABEL}={pool.metadata.name},{WORKERS_SELECTOR}",
        display=PoolDisplay(
            voices=f"{counts.ready}/{counts.desired}",
            ready=f"{replicas.ready}/{replicas.desired}",
            memory=f"{counts.resident_megabytes}Mi/{pool.spec.residency.memory_megabytes}Mi",
        ),
    )
