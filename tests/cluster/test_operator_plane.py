"""The operator on a real API server: VoiceModels that users edit and delete. The tests write the status of pods."""

import operators
import pytest
from kubelet import CHAIN, Voices
from rest import APPLY

pytestmark = pytest.mark.xdist_group("control_plane")

EDITS = {
    "prepare": {"dataset": {"uri": "s3://data/other"}},
    "train": {"training": {"maxSteps": 77}},
    "release": {"evaluation": {"maxPinyinErrorRate": 0.2}},
}
"""For each stage a change that affects it and no earlier stage."""


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    return Voices(rest, control_plane.namespace("plane"))


@pytest.fixture(scope="module", autouse=True)
def operator(rest, control_plane, tmp_path_factory):
    with operators.deployed_operator(control_plane, tmp_path_factory.mktemp("operator")) as process:
        yield process
        assert process.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0
        assert 'code="403"' not in process.get("/metrics")[1]


def uids_by_name(objects):
    return {name: job["metadata"]["uid"] for name, job in objects.items()}


def test_a_pipeline_has_conditions_and_events(voices):
    voices.make("events")
    voices.run("events")
    voices.wait_condition("events", "Available", "False", "KubeRayNotInstalled")
    status = voices.status("events")
    assert [voices.condition("events", kind)[0] for kind in ("DatasetReady", "Trained", "Released")] == ["True"] * 3
    assert voices.condition("events", "Evaluated")[:2] == ("True", "GatePassed")
    assert status["dataset"]["clips"] == 9
    assert status["revisions"][0]["digest"] == "sha256:" + "1" * 64
    voices.wait("the last Event", lambda: "ReleaseSucceeded" in voices.events("events"))
    events = voices.events("events")
    assert [reason for reason in events if reason.endswith("Succeeded")] == [
        "PrepareSucceeded",
        "TrainSucceeded",
        "ReleaseSucceeded",
    ]
    # No Event is repeated.
    assert len(events) == len(set(events))


def test_kubectl_describe_lists_the_events_in_order(voices, control_plane):
    voices.make("order")
    voices.run("order")
    voices.wait("the last Event", lambda: "ReleaseSucceeded" in voices.events("order"))
    text = control_plane.kubectl("describe", "voicemodel", "order", "--namespace", voices.namespace)
    reasons = [line.split()[1] for line in text[text.index("Events:") :].splitlines()[3:]]
    assert reasons == voices.events("order")
    assert reasons[:3] == ["PrepareStarted", "PrepareSucceeded", "TrainStarted"]


def test_results_outlive_their_pods(voices, rest):
    voices.make("results")
    voices.finish("results", "prepare")
    train = voices.job("results", "train")["metadata"]["name"]
    for pod in rest.list("pods", voices.namespace, "app.kubernetes.io/instance=results,kubevoice.io/stage=prepare"):
        rest.delete("pods", voices.namespace, pod["metadata"]["name"])
    voices.finish("results", "train")
    voices.wait_condition("results", "Trained", "True", "Succeeded")
    assert [*voices.jobs("results", "train")] == [train]


@pytest.mark.parametrize("stage", CHAIN)
def test_an_edit_replaces_the_running_stage_and_keeps_those_before(voices, stage):
    name = voices.make(f"edit-{stage}")
    earlier = CHAIN[: CHAIN.index(stage)]
    voices.run(name, earlier)
    old = voices.job(name, stage)["metadata"]["name"]
    before = uids_by_name({k: v for part in earlier for k, v in voices.jobs(name, part).items()})
    voices.edit(name, EDITS[stage])
    voices.wait("another Job instead", lambda: old not in (jobs := voices.jobs(name, stage)) and len(jobs) == 1)
    assert before.items() <= uids_by_name(voices.jobs(name)).items()
    voices.finish(name, stage)
    kind = {"prepare": "DatasetReady", "train": "Trained", "release": "Released"}[stage]
    voices.wait_condition(name, kind, "True", "Succeeded")
    voices.wait("the edit to be observed", lambda: voices.status(name)["observedGeneration"] == 2)


@pytest.mark.parametrize("stage", [*CHAIN, None])
def test_objects_of_a_deleted_voicemodel_are_deleted(voices, rest, stage):
    name = voices.make(f"gone-{stage or 'late'}")
    voices.run(name, CHAIN[: CHAIN.index(stage)] if stage else CHAIN)
    if stage:
        assert voices.job(name, stage)
    else:
        voices.wait_condition(name, "Released", "True", "Succeeded")
    assert "finalizers" not in voices.get(name)["metadata"]
    voices.delete(name)
    assert voices.get(name) is None
    selector = f"app.kubernetes.io/instance={name}"
    voices.wait(
        "the deletion of its Jobs and pods",
        lambda: not rest.list("jobs", voices.namespace, selector) and not rest.list("pods", voices.namespace, selector),
    )


def test_artifacts_are_deleted_after_the_voicemodel_only_by_policy_delete(voices, rest):
    voices.make("retain")
    voices.make("delete", deletionPolicy="Delete")
    voices.make("again", deletionPolicy="Delete")
    cleanup = {name: voices.job(name, "collect") for name in ("delete", "again")}
    for name, job in cleanup.items():
        assert job["spec"]["suspend"]
        assert "ownerReferences" not in job["metadata"]
        assert voices.job(name, "prepare")
    for name in ("retain", "delete", "again"):
        voices.delete(name)
    voices.make("again", deletionPolicy="Delete")

    def get_job(name):
        return rest.get("jobs", voices.namespace, cleanup[name]["metadata"]["name"])

    voices.wait("the cleanup to run", lambda: not get_job("delete")["spec"]["suspend"])
    # A new VoiceModel of the same name uses the existing artifacts.
    voices.wait("the deletion of the other cleanup", lambda: get_job("again") is None)
    assert len(voices.jobs("again", "collect")) == 1
    assert not voices.jobs("retain")


@pytest.mark.parametrize(
    "wrong",
    [
        {"phase": "Ready", "conditions": [], "observedGeneration": 9},
        {"conditions": None, "training": {"step": 5, "percent": 50, "maxSteps": 9}},
        {"serving": {"canaryWeight": 50, "revision": "sha256:" + "9" * 64}, "display": {"eta": "1h"}},
    ],
    ids=["conditions", "nothing", "serving"],
)
def test_a_status_that_another_client_wrote_is_corrected(voices, rest, wrong):
    name = voices.make("status" + next(iter(wrong)).lower() + str(len(wrong)))
    voices.wait_condition(name, "DatasetReady", "Unknown", "Running")
    expected = voices.status(name)
    version = rest.patch("voicemodels", voices.namespace, name, {"status": wrong}, "status")["metadata"][
        "resourceVersion"
    ]
    voices.wait("the corrected status", lambda: is_same_status(voices.status(name), expected))
    assert voices.get(name)["metadata"]["resourceVersion"] != version


def is_same_status(one, other):
    """Return whether statuses are equal, except for the times of conditions."""

    def drop_times(status):
        conditions = {c["type"]: c | {"lastTransitionTime": None} for c in status.get("conditions", ())}
        return status | {"conditions": conditions}

    return drop_times(one) == drop_times(other)


def test_kueue_admits_and_fields_of_other_managers_stay(voices, rest):
    voices.make("queued", training={"queueName": "speech"})
    job = voices.job("queued", "prepare")
    assert job["spec"]["suspend"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "speech"
    assert "waits to be admitted" in voices.wait_condition("queued", "DatasetReady", "Unknown", "Queued")
    voices.wait("an Event", lambda: "PrepareQueued" in voices.events("queued"))
    path = rest.path("jobs", voices.namespace, job["metadata"]["name"])
    admitted = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"labels": {"kueue.x-k8s.io/x": "1"}, "annotations": {"foreign": "2"}},
        "spec": {"suspend": False, "template": {"spec": {"nodeSelector": {"flavor": "a10"}}}},
    }
    rest.call("PATCH", f"{path}?fieldManager=kueue&force=true", admitted, APPLY)
    voices.wait_condition("queued", "DatasetReady", "Unknown", "Running")
    voices.finish("queued", "prepare")
    assert voices.job("queued", "train")["spec"]["suspend"]
    current = rest.call("GET", path)
    assert not current["spec"]["suspend"]
    assert current["spec"]["template"]["spec"]["nodeSelector"] == {"flavor": "a10"}
    assert current["metadata"]["labels"]["kueue.x-k8s.io/x"] == "1"
    assert current["metadata"]["annotations"]["foreign"] == "2"
    assert current["metadata"]["uid"] == job["metadata"]["uid"]
    # Kueue preempts a Job by suspending it again. The operator only reports it.
    train = voices.job("queued", "train")["metadata"]["name"]
    for suspend, reason in ((False, "Running"), (True, "Queued")):
        rest.patch("jobs", voices.namespace, train, {"spec": {"suspend": suspend}})
        voices.wait_condition("queued", "Trained", "Unknown", reason)
    assert rest.get("jobs", voices.namespace, train)["spec"]["suspend"]


def test_a_suspended_training_has_no_job_until_it_is_resumed(voices):
    voices.make("suspended")
    voices.job("suspended", "prepare")
    voices.edit("suspended", {"training": {"suspend": True}})
    voices.wait("no Job", lambda: not voices.jobs("suspended"))
    voices.wait_condition("suspended", "DatasetReady", "Unknown", "Suspended")
    voices.edit("suspended", {"training": {"suspend": False}})
    assert voices.job("suspended", "prepare")


def test_the_operator_writes_only_the_status_of_a_voicemodel(voices, rest):
    voices.make("owned")
    voices.run("owned", ("prepare",))
    voices.job("owned", "train")
    managers = {
        (entry["manager"], entry.get("subresource")) for entry in voices.get("owned")["metadata"]["managedFields"]
    }
    assert {pair for pair in managers if pair[0].startswith("kubevoice")} == {("kubevoice-operator-status", "status")}


def test_no_edit_is_lost_beside_the_operators_own_writes(voices):
    voices.make("edited")
    for steps in range(1000, 1030):
        voices.edit("edited", {"training": {"maxSteps": steps}})
        voices.edit("edited", annotations={"edit": str(steps)})
    generation = voices.get("edited")["metadata"]["generation"]
    voices.wait("the last edit to be seen", lambda: voices.status("edited").get("observedGeneration") == generation)
    assert voices.status("edited")["training"]["maxSteps"] == 1029
