"""An operator with nothing to do writes nothing, and an operator that may not watch its Lease ends."""

import re
import time
from collections import Counter

import operators
import pytest
from kubelet import Voices, build_ended_status, build_failure_message, build_waiting_status

pytestmark = pytest.mark.xdist_group("control_plane")

IDLE_SECONDS = 60
BLIND = "idle-blind"
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")
WATCHED = ("voicemodels", "jobs", "pods", "events", "rayservices", "rayclusters")


def count_writes(rest):
    """Return the number of successful writes of each resource by any client, from the API server's metrics."""
    counts = Counter()
    for labels, value in re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", rest.text("metrics"), re.MULTILINE):
        named_labels = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if named_labels["verb"] in WRITES and named_labels["code"].startswith("2"):
            counts[named_labels["resource"]] += int(float(value))
    return counts


def make_ten_voices(voices):
    """Create ten VoiceModels that wait for different conditions, and wait until they do."""
    for name in ("running", "other", "third"):
        voices.make(name)
        voices.job(name, "prepare")
    voices.make("suspended", training={"suspend": True})
    voices.make("queued", training={"queueName": "speech"})
    voices.make("cleanup", deletionPolicy="Delete", serving={"suspend": True})
    for name, status, reason in (
        ("pull", build_waiting_status("ImagePullBackOff", "no"), "ImagePullFailed"),
        ("config", build_waiting_status("CreateContainerConfigError", "no"), "PodConfigError"),
        ("rows", build_ended_status(2, build_failure_message("InvalidInput", "row 2")), "InvalidInput"),
    ):
        voices.make(name)
        voices.report(name, "prepare", status)
        voices.wait_condition(name, "DatasetReady", "False", reason)
    voices.make("served")
    voices.run("served")
    voices.wait_condition("served", "Available", "False", "KubeRayNotInstalled")
    voices.wait_condition("suspended", "DatasetReady", "Unknown", "Suspended")
    voices.wait_condition("queued", "DatasetReady", "Unknown", "Queued")


@pytest.fixture
def blind(control_plane, tmp_path):
    """An operator without the right to watch the Lease that shows whether its watches work."""
    account = operators.install_alone(control_plane, BLIND, "kubevoice-blind")
    role = control_plane.get("role", "kubevoice-operator", "-n", BLIND)
    role["metadata"] = {"name": "kubevoice-operator", "namespace": BLIND}
    role["rules"] = [rule for rule in role["rules"] if "leases" not in rule["resources"]]
    control_plane.apply([role])
    options = ("--namespace", BLIND, "--lease-namespace", BLIND)
    with operators.operator(control_plane, tmp_path, *options, account=account) as operator:
        yield operator


def test_ten_idle_voicemodels_and_a_blind_operator(control_plane, rest, blind, tmp_path):
    voices = Voices(rest, control_plane.namespace("idle"))
    with operators.operator(control_plane, tmp_path) as operator:
        make_ten_voices(voices)
        versions = lambda: {m["metadata"]["name"]: m["metadata"]["resourceVersion"] for m in models()}  # noqa: E731
        models = lambda: rest.list("voicemodels", voices.namespace)  # noqa: E731
        quiet = [0.0, {}]

        def is_settled():
            if versions() != quiet[1]:
                quiet[:] = time.monotonic(), versions()
            return time.monotonic() - quiet[0] > 5

        voices.wait("nothing to change", is_settled, 60)
        before, requests = count_writes(rest), count_requests(operator)
        began = time.monotonic()
        voices.wait("the idle minute", lambda: time.monotonic() - began > IDLE_SECONDS, IDLE_SECONDS + 30)
        after = count_writes(rest)
        assert len(quiet[1]) == 10
        assert versions() == quiet[1]
        assert {name: after[name] - before[name] for name in WATCHED} == dict.fromkeys(WATCHED, 0)
        assert after["leases"] > before["leases"]
        # Only the requests for what is not installed are repeated, also for voices of other tests, and for what the API
        # server has by now.
        assert {key for key in count_requests(operator) if count_requests(operator)[key] != requests.get(key)} <= {
            ("404", "rayservices", "patch"),
            ("404", "httproutes", "patch"),
            ("200", "apis", "get"),
        }
        assert operator.get("/healthz") == (200, "ok")
        # kopf retries for a while, because rights may be granted late.
        assert blind.wait_until_ended(90) == 1
        assert "leases.coordination.k8s.io is forbidden" in blind.log.read_text()


def count_requests(operator):
    """Return the operator's metric of its requests, by (code, resource, verb)."""
    counts = {}
    for line in operator.get("/metrics")[1].splitlines():
        if line.startswith("kubevoice_operator_api_requests_total"):
            counts[tuple(re.findall(r'"([^"]*)"', line))] = float(line.rpartition(" ")[2])
    return counts
