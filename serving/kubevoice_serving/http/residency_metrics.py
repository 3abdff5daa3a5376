"""Metrics of voices that replicas load on demand, made of the states that the replicas report."""

from collections.abc import Iterable, Iterator

from kubevoice.resources.data_plane import ReplicaState
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

__all__ = ["render_residency"]


class _ResidencyCollector(Collector):
    """The metrics of one scrape."""

    def __init__(self, states: Iterable[ReplicaState]) -> None:
        self._states = [state for state in states if state.resident]

    @override
    def collect(self) -> Iterator[Metric]:
        if not self._states:
            return
        labels = ["voice", "replica"]
        loads = CounterMetricFamily("kubevoice_voice_loads", "Loads of a voice.", labels=labels)
        seconds = CounterMetricFamily("kubevoice_voice_load_seconds", "Time that loads of a voice took.", labels=labels)
        evictions = CounterMetricFamily(
            "kubevoice_voice_evictions", "Unloads of a voice because another needed the memory.", labels=labels
        )
        failed = GaugeMetricFamily("kubevoice_voice_failed", "1 for a voice that cannot be loaded.", labels=labels)
        resident = GaugeMetricFamily("kubevoice_resident_voices", "Voices in memory.", labels=["replica"])
        used = GaugeMetricFamily(
            "kubevoice_resident_bytes", "Memory that loaded voices are accounted for.", labels=["replica"]
        )
        budget = GaugeMetricFamily(
            "kubevoice_resident_budget_bytes", "Memory that loaded voices may take.", labels=["replica"]
        )
        for state in self._states:
            assert state.resident  # noqa: S101  # the others were left out
            for voice, counts in state.resident.loads.items():
                loads.add_metric([voice, state.replica], counts.loads)
                seconds.add_metric([voice, state.replica], counts.seconds)
                evictions.add_metric([voice, state.replica], counts.evictions)
            for voice in state.errors:
                failed.add_metric([voice, state.replica], 1)
            resident.add_metric([state.replica], len(state.resident.voices))
            used.add_metric([state.replica], state.resident.memory_bytes)
            budget.add_metric([state.replica], state.resident.budget_bytes)
        yield from (loads, seconds, evictions, failed, resident, used, budget)


def render_residency(states: Iterable[ReplicaState]) -> bytes:
    """Write the metrics of voices that are loaded on demand.

    Parameters
    ----------
    states : iterable of ReplicaState
        What the replicas report; those that load all voices beforehand have no such metrics.

    Returns
    -------
    bytes
        In Prometheus's text format; empty without such replicas.
    """
    registry = CollectorRegistry()
    registry.register(_ResidencyCollector(states))
    return generate_latest(registry)
