"""Which pods may connect to which, by the labels that the operator, KubeRay and the chart set.

The tests have no CNI that enforces policies, so they evaluate the policies as Kubernetes documents it.
"""

import ipaddress

import pytest
import yaml
from chart import CHART, SYSTEM, render_chart
from kubevoice.resources.stages import CollectSpec, Stage
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.render.exposure import render_exposure
from kubevoice_operator.render.job import render_job
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.rayservice import BundleRef, TrafficSplit, render_rayservice

MODEL = load_voicemodel("""
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: mei, namespace: voices}
spec:
  base: {uri: builtin://base}
  dataset: {uri: s3://data/set}
  storage: {artifactsUri: s3://voices}
""")
EVERYTHING = yaml.safe_load((CHART.parents[1] / "tests/chart/everything.yaml").read_text(encoding="utf-8"))
OPEN = {"networkPolicy": {"enabled": True, "voiceNamespaces": ["voices"]}, "redis": {"enabled": True}}
STRICT = EVERYTHING | {"extraObjects": []}


def job_labels(stage):
    job = render_job(MODEL, stage, CollectSpec(storage=MODEL.spec.storage, prefixes=("voices/mei/",)), "mei", Images())
    return job["spec"]["template"]["metadata"]["labels"]


def ray_labels(kind):
    """Return the labels of a Ray pod: KubeRay's, then those of the template, then the kind of node."""
    bundle = BundleRef("sha256:" + "1" * 64, "s3://voices/1")
    spec = render_rayservice(MODEL, TrafficSplit(bundle), Images())["spec"]["rayClusterConfig"]
    group = spec["headGroupSpec"] if kind == "head" else spec["workerGroupSpecs"][0]
    own = {"app.kubernetes.io/name": "kuberay", "app.kubernetes.io/created-by": "kuberay-operator"}
    return own | group["template"]["metadata"]["labels"] | {"ray.io/node-type": kind}


def chart_labels(name):
    (deployment,) = (o for o in render_chart(OPEN) if o["kind"] == "Deployment" and o["metadata"]["name"] == name)
    return deployment["spec"]["template"]["metadata"]["labels"]


PODS = {
    "operator": lambda: (SYSTEM, chart_labels("kubevoice-operator")),
    "redis": lambda: (SYSTEM, chart_labels("kubevoice-redis")),
    "head": lambda: ("voices", ray_labels("head")),
    "worker": lambda: ("voices", ray_labels("worker")),
    **{str(stage): lambda stage=stage: ("voices", job_labels(stage)) for stage in Stage},
    "kuberay": lambda: ("ray-system", {"app.kubernetes.io/name": "kuberay-operator"}),
    "prometheus": lambda: ("monitoring", {"app": "prometheus"}),
    "application": lambda: ("apps", {"app": "shop"}),
    "stranger": lambda: ("elsewhere", {"app": "stranger"}),
    "neighbour": lambda: ("voices", {"app": "neighbour"}),
    "another redis": lambda: ("voices", {"app": "redis"}),
}
HOSTS = {"api server": "10.0.0.1", "s3": "10.1.2.3", "not s3": "10.1.9.3", "internet": "203.0.113.9"}


@pytest.fixture(scope="module")
def pods():
    return {name: make() for name, make in PODS.items()}


@pytest.fixture(scope="module")
def policies():
    policies_by_name = {}
    for name, values in (("open", OPEN), ("strict", STRICT)):
        policies_by_name[name] = [item for item in render_chart(values) if item["kind"] == "NetworkPolicy"]
    return policies_by_name


def matches(selector, labels):
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    for rule in selector.get("matchExpressions", ()):
        present = labels.get(rule["key"])
        match rule["operator"]:
            case "Exists":
                wanted &= present is not None
            case "In":
                wanted &= present in rule["values"]
            case other:
                pytest.fail(f"this test knows no operator {other}")
    return wanted


def is_peer(peer, home, other):
    """Return whether a peer of a policy in the namespace `home` matches `other`, a pod or an address."""
    if isinstance(other, str):
        block = peer.get("ipBlock")
        inside = lambda cidr: ipaddress.ip_address(other) in ipaddress.ip_network(cidr)  # noqa: E731
        return bool(block) and inside(block["cidr"]) and not any(map(inside, block.get("except", ())))
    if "ipBlock" in peer:
        return False
    namespace, labels = other
    if "namespaceSelector" in peer:
        near = matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
    else:
        near = namespace == home
    return near and matches(peer.get("podSelector", {}), labels)


def lets(policies, pod, direction, other, port):
    """Return whether the policies that select `pod` allow connections from, or to, `other`."""
    if isinstance(pod, str):
        return True
    namespace, labels = pod
    chosen = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == namespace and matches(policy["spec"]["podSelector"], labels)
    ]
    if not [spec for spec in chosen if direction in spec["policyTypes"]]:
        return True
    side = "from" if direction == "Ingress" else "to"
    return any(
        (side not in rule or any(is_peer(peer, namespace, other) for peer in rule[side]))
        and ("ports" not in rule or port in [(item["protocol"], item["port"]) for item in rule["ports"]])
        for spec in chosen
        for rule in spec.get(direction.lower()) or ()
    )


def may(policies, pods, caller, called, port):
    source, target = (pods.get(name) or HOSTS[name] for name in (caller, called))
    port = port if isinstance(port, tuple) else ("TCP", port)
    return lets(policies, source, "Egress", target, port) and lets(policies, target, "Ingress", source, port)


NEEDED = [
    # What the product does.
    ("operator", "api server", 6443),
    ("operator", "internet", ("UDP", 53)),
    ("operator", "head", 8000),
    ("operator", "worker", 8000),
    *(("operator", str(stage), 9090) for stage in Stage),
    *((str(stage), "s3", 9000) for stage in Stage),
    *((str(stage), "internet", ("UDP", 53)) for stage in Stage),
    ("train", "train", 29500),
    ("worker", "s3", 9000),
    ("head", "worker", 10002),
    ("worker", "head", 6379),
    ("worker", "head", 8265),
    ("head", "api server", 6443),
    ("head", "redis", 6379),
    ("kuberay", "head", 8265),
    ("kuberay", "head", 8000),
    # What people do.
    ("application", "head", 8000),
    ("prometheus", "operator", 8080),
    ("prometheus", "head", 8000),
    ("prometheus", "head", 8080),
    ("prometheus", "worker", 8080),
    *(("prometheus", str(stage), 9090) for stage in Stage),
]
FORBIDDEN = [
    # Ray's dashboard runs any job that it receives.
    *((who, "head", 8265) for who in ("stranger", "neighbour", "application", "prometheus", "operator", "train")),
    *((who, "head", 6379) for who in ("stranger", "neighbour", "application", "train")),
    *((who, "redis", 6379) for who in ("stranger", "neighbour", "application", "train", "operator", "prometheus")),
    *((who, "train", 29500) for who in ("stranger", "neighbour", "application", "prepare", "head", "operator")),
    ("kuberay", "head", 6379),
    ("redis", "internet", 443),
    ("redis", "head", 8000),
    ("operator", "redis", 6379),
    ("operator", "neighbour", 8000),
    ("train", "head", 8000),
    ("train", "operator", 8080),
    ("train", "internet", 80),
    ("worker", "internet", 80),
    ("head", "operator", 8080),
]
STRICTLY = [
    # Who is not named.
    ("stranger", "head", 8000),
    ("neighbour", "head", 8000),
    ("stranger", "operator", 8080),
    ("application", "operator", 8080),
    ("application", "train", 9090),
    ("application", "head", 8080),
    *((who, "internet", 443) for who in ("operator", "head", "worker", "train")),
    *((who, "internet", 9000) for who in ("head", "worker", "train")),
    *((who, "not s3", 9000) for who in ("head", "worker", "train")),
    ("train", "api server", 6443),
]


@pytest.mark.parametrize(("caller", "called", "port"), NEEDED)
@pytest.mark.parametrize("kind", ["open", "strict"])
def test_what_is_needed_is_let_through(policies, pods, kind, caller, called, port):
    assert may(policies[kind], pods, caller, called, port)


@pytest.mark.parametrize(("caller", "called", "port"), FORBIDDEN)
@pytest.mark.parametrize("kind", ["open", "strict"])
def test_nothing_else_is(policies, pods, kind, caller, called, port):
    assert not may(policies[kind], pods, caller, called, port)


@pytest.mark.parametrize(("caller", "called", "port"), STRICTLY)
def test_who_is_not_named_is_kept_out(policies, pods, caller, called, port):
    assert not may(policies["strict"], pods, caller, called, port)


def test_without_names_everybody_may_call_and_read_metrics(policies, pods):
    for called, port in (("head", 8000), ("operator", 8080), ("worker", 8080), ("train", 9090)):
        assert may(policies["open"], pods, "stranger", called, port), called


def test_with_clients_named_and_no_readers_of_metrics_only_clients_call(pods):
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "apps"}}}]
    values = {"networkPolicy": OPEN["networkPolicy"] | {"clients": peers}}
    policies = [item for item in render_chart(values) if item["kind"] == "NetworkPolicy"]
    assert may(policies, pods, "application", "head", 8000)
    assert not may(policies, pods, "stranger", "head", 8000)
    assert may(policies, pods, "stranger", "head", 8080)


def test_a_redis_of_ones_own_is_reached_where_it_is_said_to_be(policies, pods):
    assert may(policies["strict"], pods, "head", "another redis", 6380)
    assert not may(policies["strict"], pods, "head", "another redis", 6379)
    assert not may(policies["open"], pods, "head", "another redis", 6380)


def test_every_pod_of_the_product_is_chosen_by_a_policy(policies, pods):
    ours = ["operator", "redis", "head", "worker", *map(str, Stage)]
    for name in ours:
        namespace, labels = pods[name]
        chosen = [
            policy
            for policy in policies["open"]
            if policy["metadata"]["namespace"] == namespace and matches(policy["spec"]["podSelector"], labels)
        ]
        assert len(chosen) == 1, name


@pytest.fixture(scope="module")
def own():
    """Return the policy of a VoiceModel, on a cluster without the chart's policies."""
    expose = MODEL.spec.serving.expose.model_copy(update={"network_policy": True})
    serving = MODEL.spec.serving.model_copy(update={"expose": expose})
    return list(render_exposure(MODEL.model_copy(update={"spec": MODEL.spec.model_copy(update={"serving": serving})})))


CLIENT = {"kubevoice.io/client": "true"}


OPEN_TO_CLIENTS = {("application", "head", 8000), ("prometheus", "head", 8000)}


@pytest.mark.parametrize(("caller", "called", "port"), [row for row in NEEDED if row not in OPEN_TO_CLIENTS])
def test_a_voice_with_a_policy_of_its_own_still_works(own, pods, caller, called, port):
    assert may(own, pods, caller, called, port)


@pytest.mark.parametrize(
    ("caller", "port"),
    [
        *((who, 8000) for who in ("stranger", "neighbour", "application", "prometheus", "train")),
        *((who, 8265) for who in ("stranger", "neighbour", "application", "prometheus", "operator", "client", "train")),
        *((who, 6379) for who in ("stranger", "neighbour", "client", "operator", "kuberay")),
    ],
)
@pytest.mark.parametrize("called", ["head", "worker"])
def test_a_policy_of_its_own_keeps_others_out(own, pods, caller, called, port):
    assert not may(own, {**pods, "client": ("voices", CLIENT)}, caller, called, port)


def test_a_policy_of_its_own_lets_labelled_callers_in(own, pods):
    assert may(own, {**pods, "client": ("voices", CLIENT)}, "client", "head", 8000)
    # A pod's label counts in the voice's namespace alone: elsewhere it is the namespace that must have it.
    assert not may(own, {**pods, "client": ("apps", CLIENT)}, "client", "head", 8000)
    (rule, *_) = own[0]["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": CLIENT}} in rule["from"]


def test_a_policy_of_its_own_is_about_that_voice_alone(own, pods):
    namespace, labels = pods["head"]
    another = (namespace, labels | {"kubevoice.io/voicemodel": "lan"})
    assert may(own, {**pods, "another": another}, "stranger", "another", 8000)
    assert may(own, pods, "stranger", "prepare", 9090)
    assert not may(own, {**pods, "another": another}, "another", "head", 6379)
