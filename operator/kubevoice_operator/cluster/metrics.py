"""Prometheus metrics of the operator."""

from collections import Counter as Counts
from collections.abc import Iterable

from kubevoice.resources.conditions import ConditionType, State, find_condition
from kubevoice.resources.stages import Stage
from kubevoice.resources.status import Phase, VoiceModelStatus
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

__all__ = ["OperatorMetrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STAGE_SECONDS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400)


class OperatorMetrics:
    """The metrics of /metrics."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.leading = Gauge("kubevoice_operator_leading", "Whether this replica is the leader.", registry=registry)
        self.reconcile_seconds = Histogram(
            "kubevoice_operator_reconcile_seconds", "Time of one reconciliation.", buckets=SECONDS, registry=registry
        )
        self.reaction_seconds = Histogram(
            "kubevoice_operator_reaction_seconds",
            "Time from an event of a VoiceModel, or of an object that belongs to it, until its status is written.",
            buckets=SECONDS,
            registry=registry,
        )
        self.errors = Counter(
            "kubevoice_operator_reconcile_errors", "Reconciliations that failed.", ["kind"], registry=registry
        )
        for kind in ("api", "bug"):
            self.errors.labels(kind)  # starts at 0, so that increase() sees the first one
        self.status_refusals = Counter(
            "kubevoice_operator_status_refusals", "Statuses that the API server refused.", registry=registry
        )
        self.queue = Gauge("kubevoice_operator_queue", "VoiceModels that wait for a worker.", registry=registry)
        self.models = Gauge("kubevoice_voicemodels", "VoiceModels by phase.", ["phase"], registry=registry)
        self.degraded = Gauge(
            "kubevoice_voicemodel_degraded",
            "Whether a VoiceModel is degraded and somebody must act.",
            ["namespace", "name"],
            registry=registry,
        )
        self.available = Gauge(
            "kubevoice_voicemodel_available",
            "Whether replicas of a VoiceModel answer.",
            ["namespace", "name"],
            registry=registry,
        )
        self.replicas = Gauge(
            "kubevoice_voicemodel_replicas",
            "Replicas of a VoiceModel: wanted (desired) and answering (ready).",
            ["namespace", "name", "state"],
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "kubevoice_stage_seconds",
            "Duration of a stage that succeeded.",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        for stage in Stage:
            self.stage_seconds.labels(str(stage))
        self.api_requests = Counter(
            "kubevoice_operator_api_requests",
            "Requests to the Kubernetes API, without watches.",
            ["verb", "resource", "code"],
            registry=registry,
        )

    def update(self, namespace: str, name: str, status: VoiceModelStatus) -> None:
        """Set the metrics of a VoiceModel from its status.

        Parameters
        ----------
        namespace
            The VoiceModel's namespace.
        name
            Its name.
        status
            Its status as it was written last.
        """
        for gauge, kind in ((self.degraded, ConditionType.DEGRADED), (self.available, ConditionType.AVAILABLE)):
            condition = find_condition(status.conditions, kind)
            gauge.labels(namespace, name).set(condition is not None and condition.status is State.TRUE)
        replicas = status.serving.replicas
        for state, count in (("desired", replicas.desired), ("ready", replicas.ready)):
            self.replicas.labels(namespace, name, state).set(count)

    def forget(self, namespace: str, name: str) -> None:
        """Remove the metrics of a VoiceModel that is gone.

        Parameters
        ----------
        namespace
            The VoiceModel's namespace.
        name
            Its name.
        """
        for gauge in (self.degraded, self.available, self.replicas):
            gauge.remove_by_labels({"namespace": namespace, "name": name})

    def count_phases(self, phases: Iterable[str]) -> None:
        """Set the number of VoiceModels in every phase.

        Parameters
        ----------
        phases
            The phase of every VoiceModel.
        """
        counts = Counts(phases)
        for phase in Phase:
            self.models.labels(str(phase)).set(counts[str(phase)])
