"""The metrics of each VoiceModel have the values of its status."""

from datetime import UTC, datetime

from kubevoice.resources.conditions import Condition, ConditionType, Reason, State
from kubevoice.resources.status import Replicas, ServingStatus, VoiceModelStatus
from kubevoice_operator.cluster.metrics import OperatorMetrics
from prometheus_client import generate_latest


def make_status(available, degraded, **replicas):
    conditions = tuple(
        Condition(type=kind, status=state, reason=Reason.WAITING, last_transition_time=datetime(2026, 1, 1, tzinfo=UTC))
        for kind, state in ((ConditionType.AVAILABLE, available), (ConditionType.DEGRADED, degraded))
    )
    return VoiceModelStatus(conditions=conditions, serving=ServingStatus(replicas=Replicas(**replicas)))


def read_samples(metrics):
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line for line in lines if line.startswith("kubevoice_voicemodel_")}


def test_a_voice_has_metrics_until_it_is_forgotten():
    metrics = OperatorMetrics()
    metrics.update("voices", "mei", make_status(State.FALSE, State.TRUE, desired=3, ready=2))
    metrics.update("voices", "lan", make_status(State.TRUE, State.FALSE))
    metrics.update("voices", "mei", make_status(State.TRUE, State.FALSE, desired=3, ready=3))
    lan = {
        'kubevoice_voicemodel_degraded{name="lan",namespace="voices"} 0.0',
        'kubevoice_voicemodel_available{name="lan",namespace="voices"} 1.0',
        'kubevoice_voicemodel_replicas{name="lan",namespace="voices",state="desired"} 0.0',
        'kubevoice_voicemodel_replicas{name="lan",namespace="voices",state="ready"} 0.0',
    }
    assert read_samples(metrics) == lan | {
        'kubevoice_voicemodel_degraded{name="mei",namespace="voices"} 0.0',
        'kubevoice_voicemodel_available{name="mei",namespace="voices"} 1.0',
        'kubevoice_voicemodel_replicas{name="mei",namespace="voices",state="desired"} 3.0',
        'kubevoice_voicemodel_replicas{name="mei",namespace="voices",state="ready"} 3.0',
    }
    metrics.forget("voices", "mei")
    metrics.forget("voices", "nobody")
    assert read_samples(metrics) == lan


def test_a_voice_without_conditions_is_neither_available_nor_degraded():
    metrics = OperatorMetrics()
    metrics.update("voices", "mei", VoiceModelStatus())
    assert 'kubevoice_voicemodel_available{name="mei",namespace="voices"} 0.0' in read_samples(metrics)
    assert 'kubevoice_voicemodel_degraded{name="mei",namespace="voices"} 0.0' in read_samples(metrics)
