"""What the operator remembers of a VoiceModel or a VoicePool between two reconciliations."""

import math
from dataclasses import dataclass, field

from kubevoice.resources.conditions import Reason
from kubevoice.resources.data_plane import RevisionsResponse
from kubevoice.resources.stages import Progress

from kubevoice_operator.observed_state import PodIssue

__all__ = ["ModelState"]


@dataclass(slots=True)
class ModelState:
    """What is known of a VoiceModel or a VoicePool beyond the watches.

    Only the worker that reconciles the owner writes it, so it needs no lock. The reconciler drops it when the owner is
    gone. It ends with the process; the next reconciliation then observes everything again.
    """

    serving_missing: str | None = None
    """Why RayServices cannot be created. Set by `PlanExecutor` when the resource is missing, cleared by the next
    success."""
    job_refusal: str | None = None
    """The API server's message that refused a Job. Set or cleared by every `PlanExecutor.execute`."""
    serving_refusal: str | None = None
    """The API server's message that refused a change of the RayService. Set or cleared by every
    `PlanExecutor.execute`."""
    exposure_errors: dict[str, tuple[Reason, str]] = field(default_factory=dict)
    """Why exposure objects could not be applied, by kind. Replaced by every `PlanExecutor.execute`."""
    asked_at: float = -math.inf
    """When the replicas were asked last, in seconds of time.monotonic(). Set by `ServiceObserver.fetch`."""
    last_report: RevisionsResponse | None = None
    """The last answer of /v1/revisions. Set by `ServiceObserver.fetch`, used for SILENCE_SECONDS, never cleared."""
    last_report_at: float = -math.inf
    """When `last_report` came, in seconds of time.monotonic()."""
    last_report_heads: frozenset[str] = frozenset()
    """UIDs of the heads when `last_report` came."""
    start_error: str | None = None
    """Why a replica could not start. Set by `ServiceObserver.observe`, used for START_ERROR_SECONDS."""
    start_error_at: float = -math.inf
    """When `start_error` was seen, in seconds of time.monotonic()."""
    creation_issues: dict[str, PodIssue] = field(default_factory=dict)
    """Why Jobs and RayClusters have no pods, by name. Set by `fetch_creation_issues`, which removes those that have."""
    creation_checked_at: float = -math.inf
    """When the Events were listed last, in seconds of time.monotonic(). Set by `fetch_creation_issues`."""
    progress: dict[str, tuple[float, Progress | None]] = field(default_factory=dict)
    """Time and content of the last progress report, by Job. Replaced by `Reconciler._fetch_progress`."""
    unanswered_polls: int = 0
    """Consecutive polls without a progress report. Set by `Reconciler._requeue_after`, which lengthens the interval by
    it."""
