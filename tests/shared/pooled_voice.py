"""VoiceModels that a pool serves, planned again and again."""

from kubevoice.resources.conditions import find_condition
from kubevoice.resources.data_plane import ReplicaState, ResidentVoices
from kubevoice.resources.stages import Stage
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.observed_state import JobPhase, ObservedJob, ObservedPool, ObservedService, ObservedState
from kubevoice_operator.planner import plan
from kubevoice_operator.pool_membership import narrow_service
from kubevoice_operator.render.names import Images
from planning import MODEL, NOW, REVISION, make_results

ALONE = MODEL.replace("  dataset: {uri: s3://data/set}\n", "")
POOLED = ALONE + "  serving: {poolRef: {name: shared, maxStreams: 3}}\n"


def make_service(*replicas, **fields):
    return ObservedService("hash", "http://shared", tuple(replicas), answers=True, **fields)


def make_replica(voices, errors=(), name="a"):
    resident = ResidentVoices(voices=dict(voices), memory_bytes=3 << 20, budget_bytes=64 << 20)
    return ReplicaState(replica=name, voices=dict(voices), errors=dict(errors), resident=resident)


class Voice:
    """Plans one VoiceModel again and again, with the status and the Jobs of the plan before."""

    def __init__(self, text=POOLED):
        self.text, self.status, self.jobs = text, None, {}
        self.own = self.pool = self.previous = None

    @property
    def model(self):
        model = load_voicemodel(self.text)
        return model.model_copy(update={"status": self.status}) if self.status else model

    def plan(self):
        observed = ObservedState("", self.jobs, self.own, self.pool, self.previous)
        result = plan(self.model, observed, NOW, Images())
        self.status = result.status
        for job in result.jobs:
            answer = make_results()[Stage.RELEASE].model_dump_json(by_alias=True)
            self.jobs[job["metadata"]["name"]] = ObservedJob(JobPhase.SUCCEEDED, answer, 0, stage=Stage.RELEASE)
        return result

    def condition(self, kind):
        condition = find_condition(self.status.conditions, kind)
        return condition.status, condition.reason, condition.message


def see(*replicas, name="shared", problem=None, **fields):
    service = make_service(*replicas, **fields) if replicas or fields else None
    return ObservedPool(name, narrow_service(service, "mei", 1) if service else None, problem)


def serve(revision=REVISION):
    return make_replica({"mei": revision})


def release_into_pool():
    voice = Voice()
    voice.pool = see(make_replica({}))
    voice.plan()
    voice.plan()
    voice.pool = see(serve())
    voice.plan()
    return voice
