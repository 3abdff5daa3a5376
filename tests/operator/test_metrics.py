"""What Prometheus is told of each VoiceModel is what its status says."""

from datetime import UTC, datetime

from kubevoice.resources.conditions import Condition, ConditionType, Reason, State
from kubevoice.resources.status import Replicas, ServingStatus, VoiceModelStatus
from kubevoice_operator.cluster.metrics import OperatorMetrics
from prometheus_client import generate_latest


def status(available, degraded, **replicas):
    conditions = tuple(
        Condition(type=kind, status=state, reason=Reason.WAITING, last_transition_time=datetime(2026, 1, 1, tzinfo=UTC))
        for kind, state in ((ConditionType.AVAILABLE, available), (ConditionType.DEGRADED, degraded))
    )
    return VoiceModelStatus(conditions=conditions, serving=ServingStatus(replicas=Replicas(**replicas)))


def samples(metrics):
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line for line in lines if line.startswith("kubevoice_voicemodel_")}


def test_a_voice_is_shown_as_its_status_says_and_forgotten_with_it():
    metrics = OperatorMetrics()
    metrics.update("voices", "mei", status(State.FALSE, State.TRUE, desired=3, ready=2))
    metrics.update("voices", "lan", status(State.TRUE, State.FALSE))
    metrics.update("voices", "mei", status(State.TRUE, State.FALSE, desired=3, ready=3))
    lan = {
        'kubevoice_voicemodel_degraded{name="lan",namespace="voices"} 0.0',
        'kubevoice_voicemodel_available{name="lan",namespace="voices"} 1.0',
        'kubevoice_voicemodel_replicas{name="lan",namespace="voices",state="desired"} 0.0',
        'kubevoice_voicemodel_replicas{name="lan",namespace="voices",state="ready"} 0.0',
    }
    assert samples(metrics) == lan | {
        'kubevoice_voicemodel_degraded{name="mei",namespace="voices"} 0.0',
        'kubevoice_voicemodel_available{name="mei",namespace="voices"} 1.0',
        'kubevoice_voicemodel_replicas{name="mei",namespace="voices",state="desired"} 3.0',
        'kubevoice_voicemodel_replicas{name="mei",namespace="voices",state="ready"} 3.0',
    }
    metrics.forget("voices", "mei")
    metrics.forget("voices", "nobody")
    assert samples(metrics) == lan


def test_one_that_has_no_conditions_yet_neither_answers_nor_needs_a_look():
    metrics = OperatorMetrics()
    metrics.update("voices", "mei", VoiceModelStatus())
    assert 'kubevoice_voicemodel_available{name="mei",namespace="voices"} 0.0' in samples(metrics)
    assert 'kubevoice_voicemodel_degraded{name="mei",namespace="voices"} 0.0' in samples(metrics)
