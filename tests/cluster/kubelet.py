"""VoiceModels on a control plane without a node. The tests write the status of pods; everything else is real.

The Job controller creates pods that no kubelet runs. `report` writes the status that a kubelet would, and the Job
controller reacts to it.
"""

from datetime import UTC, datetime

from kubevoice.resources.stages import GateResult, PrepareResult, ReleaseResult, StageFailure, TrainResult
from testcluster.tools import PATIENCE_SECONDS, wait_for

OWNED = "kubevoice.io/voicemodel"
JOB_NAME = "batch.kubernetes.io/job-name"
CHAIN = ("prepare", "train", "release")
DIGEST = "sha256:" + "d" * 64
REVISION = "sha256:" + "1" * 64


def voice(name, namespace, **spec):
    """Return a valid VoiceModel; keywords replace parts of its spec, and None removes one."""
    parts = {
        "base": {"uri": "builtin://base"},
        "dataset": {"uri": "s3://data/set"},
        "storage": {"artifactsUri": "s3://voices", "secretRef": {"name": "s3"}},
    }
    return {
        "apiVersion": "kubevoice.io/v1alpha1",
        "kind": "VoiceModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {name: part for name, part in (parts | spec).items() if part is not None},
    }


def build_result_message(stage, revision=REVISION):
    """Return the termination message of a stage that succeeded."""
    return {
        "prepare": PrepareResult(
            dataset_digest=DIGEST,
            features_uri="s3://voices/features",
            features_digest=DIGEST,
            clips=9,
            seconds=30,
            per_emotion={"happy": {"clips": 9, "seconds": 30}},
        ),
        "train": TrainResult(
            checkpoint_uri="s3://voices/checkpoint", checkpoint_digest=DIGEST, step=5, loss=1.0, dev_loss=1.1
        ),
        "release": ReleaseResult(
            revision=revision,
            uri=f"s3://voices/bundles/{revision[7:]}",
            metrics={"realTimeFactor": 0.1},
            verdict=GateResult.PASSED,
        ),
    }[stage].model_dump_json(by_alias=True)


def build_failure_message(reason, message):
    """Return the termination message of a stage that failed."""
    return StageFailure(reason=reason, message=message).model_dump_json(by_alias=True)


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def build_container_status(**state):
    """Return the status of a pod whose stage container is in a state."""
    return {"name": "stage", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def build_waiting_status(reason, message):
    """Return the status of a pod whose container does not start."""
    return {
        "phase": "Pending",
        "containerStatuses": [build_container_status(waiting={"reason": reason, "message": message})],
    }


def build_ended_status(exit_code, message="", reason=None):
    """Return the status of a pod whose container has ended."""
    state = {
        "exitCode": exit_code,
        "message": message,
        "reason": reason or ("Error" if exit_code else "Completed"),
        "startedAt": now(),
        "finishedAt": now(),
    }
    return {
        "phase": "Failed" if exit_code else "Succeeded",
        "containerStatuses": [build_container_status(terminated=state)],
    }


class Voices:
    """The VoiceModels, Jobs, pods and Events of a namespace."""

    def __init__(self, rest, namespace):
        self.rest, self.namespace = rest, namespace

    def make(self, name, **spec):
        self.rest.create("voicemodels", self.namespace, voice(name, self.namespace, **spec))
        return name

    def edit(self, name, spec=None, **metadata):
        body = ({"spec": spec} if spec else {}) | ({"metadata": metadata} if metadata else {})
        return self.rest.patch("voicemodels", self.namespace, name, body)

    def delete(self, name):
        self.rest.delete("voicemodels", self.namespace, name)

    def get(self, name):
        return self.rest.get("voicemodels", self.namespace, name)

    def status(self, name):
        return (self.get(name) or {}).get("status", {})

    def condition(self, name, kind):
        """Return a condition's status, reason and message; (None, None, "") if there is none."""
        match = next((c for c in self.status(name).get("conditions", ()) if c["type"] == kind), {})
        return match.get("status"), match.get("reason"), match.get("message", "")

    def events(self, name):
        """Return the reasons of the Events about a VoiceModel, the oldest first."""
        own = [e for e in self.rest.list("events", self.namespace) if e["involvedObject"]["name"] == name]
        return [e["reason"] for e in sorted(own, key=lambda e: (e["lastTimestamp"] or "", e["metadata"]["name"]))]

    def jobs(self, name, stage=None):
        """Return the Jobs of a VoiceModel that are not being deleted, by name."""
        jobs = self.rest.list("jobs", self.namespace, f"app.kubernetes.io/instance={name}")
        return {
            job["metadata"]["name"]: job
            for job in jobs
            if "deletionTimestamp" not in job["metadata"]
            and stage in (None, job["metadata"]["labels"]["kubevoice.io/stage"])
        }

    def job(self, name, stage):
        """Wait for the Job of a stage and return it."""
        self.wait(f"Job {stage} of {name}", lambda: self.jobs(name, stage))
        (job,) = self.jobs(name, stage).values()
        return job

    def pods(self, job):
        """Return the pods of a Job that have not ended."""
        pods = self.rest.list("pods", self.namespace, f"{JOB_NAME}={job['metadata']['name']}")
        return [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") in ("Pending", "Running")
        ]

    def report(self, name, stage, status):
        """Wait for the pod of a stage, write its status as a kubelet would, and return its name."""
        job = self.job(name, stage)
        self.wait(f"a pod of {job['metadata']['name']}", lambda: self.pods(job))
        pod = self.pods(job)[0]["metadata"]["name"]
        self.rest.patch("pods", self.namespace, pod, {"status": status}, "status")
        return pod

    def finish(self, name, stage, **answers):
        """Report that a stage succeeded."""
        self.report(name, stage, build_ended_status(0, build_result_message(stage, **answers)))

    def run(self, name, stages=CHAIN, **answers):
        """Report that stages succeeded, one after the other."""
        for stage in stages:
            self.finish(name, stage, **(answers if stage == "release" else {}))

    def wait(self, description, predicate, timeout=PATIENCE_SECONDS):
        wait_for(f"{description} in {self.namespace}", predicate, timeout, self.state)

    def wait_condition(self, name, kind, status, reason, timeout=PATIENCE_SECONDS):
        """Wait for a condition; return its message."""
        description = f"{kind}={status} {reason} of {name}"
        self.wait(description, lambda: self.condition(name, kind)[:2] == (status, reason), timeout)
        return self.condition(name, kind)[2]

    def state(self):
        """Describe the objects of the namespace, for the message of a failed test."""
        lines = []
        for model in self.rest.list("voicemodels", self.namespace):
            conditions = {c["type"]: f"{c['status']} {c['reason']} {c.get('message', '')}" for c in _conditions(model)}
            lines += [model["metadata"]["name"], *(f"  {kind}: {text}" for kind, text in conditions.items())]
        for plural in ("jobs", "pods"):
            for item in self.rest.list(plural, self.namespace):
                lines.append(f"{plural[:-1]} {item['metadata']['name']} {item['status']}")
        return "\n".join(lines)[-6000:]


def _conditions(model):
    return model.get("status", {}).get("conditions", ())
