"""Every value of the chart has an effect, and a wrong one is refused with its name."""

import copy
import json

import pytest
import yaml
from chart import CHART, render_chart, template

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
EVERYTHING = yaml.safe_load((CHART.parents[1] / "tests/chart/everything.yaml").read_text(encoding="utf-8"))
DIGEST = "sha256:" + "c" * 64
PEERS = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
OTHERS = {
    "fullnameOverride": "speech",
    "namespaces": ["elsewhere"],
    "images.registry": "mirror.example.com",
    "images.pullSecrets": ["other"],
    "images.pullPolicy": "Always",
    **{f"images.{part}.repository": "other/name" for part in ("operator", "training", "serving", "redis")},
    **{f"images.{part}.tag": "9.9" for part in ("operator", "training", "serving", "redis")},
    **{f"images.{part}.digest": DIGEST for part in ("operator", "training", "serving", "redis")},
    "operator.replicas": 1,
    "operator.logLevel": "debug",
    "operator.topologySpread.topologyKey": "",
    "operator.topologySpread.whenUnsatisfiable": "ScheduleAnyway",
    "operator.podDisruptionBudget.enabled": False,
    "operator.podAnnotations": {"a": "b"},
    **{f"{part}.resources": {"requests": {"cpu": 1}} for part in ("operator", "redis")},
    **{f"{part}.nodeSelector": {"a": "b"} for part in ("operator", "redis")},
    **{f"{part}.tolerations": [{"operator": "Exists"}] for part in ("operator", "redis")},
    **{f"{part}.priorityClassName": "other" for part in ("operator", "redis")},
    "serviceAccount.create": False,
    "serviceAccount.name": "other",
    "serviceAccount.annotations": {"a": "b"},
    "rbac.create": False,
    "crds.install": False,
    "crds.keep": False,
    "redis.enabled": False,
    "redis.passwordSecret": "other",
    "redis.megabytes": 1,
    "networkPolicy.enabled": False,
    "networkPolicy.voiceNamespaces": ["elsewhere"],
    **{f"networkPolicy.{who}": PEERS for who in ("clients", "metricsFrom", "kuberay")},
    **{f"networkPolicy.{where}.to": PEERS for where in ("apiServer", "storage", "externalRedis", "tracing")},
    **{f"networkPolicy.{where}.ports": [1] for where in ("apiServer", "storage", "externalRedis", "tracing")},
    "networkPolicy.dnsPorts": [5353],
    **{f"monitoring.{what}.enabled": False for what in ("podMonitors", "rules", "dashboard")},
    **{f"monitoring.{what}.labels": {"a": "b"} for what in ("podMonitors", "rules", "dashboard")},
    "monitoring.podMonitors.interval": "5s",
    "monitoring.dashboard.annotations": {"a": "b"},
    "expose.voices": [{"name": "other", "namespace": "voices", "host": "other.example.com"}],
    **{f"expose.{way}.enabled": False for way in ("ingress", "httpRoute")},
    **{f"expose.{way}.annotations": {"a": "b"} for way in ("ingress", "httpRoute")},
    "expose.ingress.className": "other",
    "expose.ingress.certManager.clusterIssuer": "other",
    "expose.httpRoute.parentRefs": [{"name": "other"}],
    "extraObjects": [],
}
"""Something else for each value of everything.yaml, by path."""
IN_SUITES = {"kuberay.required", "expose.ingress.tls", "expose.ingress.certManager.issuer"}
"""They go with others, and charts/kubevoice/tests shows what they do."""


def iter_leaves(values, path=()):
    """Yield the paths of values, as deep as the schema names them."""
    for name, value in values.items():
        here = (*path, name)
        schema = find_schema(here)
        if isinstance(value, dict) and "properties" in schema and name != "resources":
            yield from iter_leaves(value, here)
        else:
            yield ".".join(here)


def find_schema(path):
    """Return the schema of a value."""
    schema = SCHEMA
    for name in path:
        schema = resolve_schema(schema)["properties"][name]
    return resolve_schema(schema)


def resolve_schema(schema):
    return SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def change_value(values, path, value):
    *folders, name = path.split(".")
    values = copy.deepcopy(values)
    place = values
    for folder in folders:
        place = place.setdefault(folder, {})
    place[name] = value
    return values


def test_each_value_is_in_the_table_below():
    assert set(iter_leaves(DEFAULTS)) == set(OTHERS) | IN_SUITES


@pytest.fixture(scope="module")
def whole():
    """The rendered objects with every option set."""
    return render_chart(EVERYTHING)


@pytest.mark.parametrize("path", OTHERS)
def test_each_value_has_an_effect(path, whole):
    if path == "images.serving.tag":  # a digest goes before it
        by_tag = change_value(EVERYTHING, "images.serving", {})
        assert render_chart(change_value(by_tag, path, OTHERS[path])) != render_chart(by_tag)
    else:
        assert render_chart(change_value(EVERYTHING, path, OTHERS[path])) != whole


def schemas(schema, path="values"):
    """Yield every schema in the schema and its path."""
    if isinstance(schema, dict):
        if "type" in schema or "properties" in schema:
            yield path, schema
        for name, part in schema.items():
            yield from schemas(part, f"{path}.{name}")


def test_the_schema_is_closed_everywhere():
    open_ones = [
        path
        for path, schema in schemas(SCHEMA)
        if schema.get("type") == "object" and isinstance(schema["type"], str) and "additionalProperties" not in schema
    ]
    # Helm's own, and objects of other people.
    assert open_ones == ["values.properties.global", "values.properties.extraObjects.items"]
    assert [path for path, schema in schemas(SCHEMA) if schema.get("additionalProperties") is True] == []


WRONG = [
    ("surprise", 1, "additional properties 'surprise' not allowed"),
    ("operator.replica", 2, "at '/operator': additional properties 'replica' not allowed"),
    ("fullnameOverride", "Speech", "at '/fullnameOverride': 'Speech' does not match pattern"),
    ("namespaces", "voices", "at '/namespaces': got string, want array"),
    ("namespaces", ["a", "a"], "at '/namespaces': items at 0 and 1 are equal"),
    ("namespaces", ["Voices"], "at '/namespaces/0': 'Voices' does not match pattern"),
    ("images.registry", "https://mirror", "at '/images/registry': 'https://mirror' does not match pattern"),
    ("images.pullSecrets", [{"name": "mirror"}], "at '/images/pullSecrets/0': got object, want string"),
    (
        "images.pullPolicy",
        "Sometimes",
        "at '/images/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    ("images.operator.digest", "sha256:12", "at '/images/operator/digest': 'sha256:12' does not match pattern"),
    ("images.operator.tag", 1.5, "at '/images/operator/tag': got number, want string"),
    (
        "images.operator.repository",
        "Kube Voice",
        "at '/images/operator/repository': 'Kube Voice' does not match pattern",
    ),
    ("images.worker", {}, "at '/images': additional properties 'worker' not allowed"),
    ("operator.replicas", "two", "at '/operator/replicas': got string, want integer"),
    ("operator.replicas", -1, "at '/operator/replicas': minimum: got -1, want 0"),
    ("operator.logLevel", "loud", "at '/operator/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
    (
        "operator.resources.limits.memory",
        "lots",
        "at '/operator/resources/limits/memory': 'lots' does not match pattern",
    ),
    ("operator.resources.claims", [], "at '/operator/resources': additional properties 'claims' not allowed"),
    ("operator.nodeSelector.gpu", True, "at '/operator/nodeSelector/gpu': got boolean, want string"),
    ("operator.tolerations", [{"effect": "Never"}], "at '/operator/tolerations/0/effect': value must be one of"),
    (
        "operator.topologySpread.whenUnsatisfiable",
        "Wait",
        "at '/operator/topologySpread/whenUnsatisfiable': value must be",
    ),
    (
        "operator.podDisruptionBudget.enabled",
        "yes",
        "at '/operator/podDisruptionBudget/enabled': got string, want boolean",
    ),
    ("operator.podAnnotations.a", 1, "at '/operator/podAnnotations/a': got number, want string"),
    ("serviceAccount.name", "My Account", "at '/serviceAccount/name': 'My Account' does not match pattern"),
    ("rbac.scope", "cluster", "at '/rbac': additional properties 'scope' not allowed"),
    ("crds.keep", "true", "at '/crds/keep': got string, want boolean"),
    ("kuberay.required", 1, "at '/kuberay/required': got number, want boolean"),
    ("redis.megabytes", 0, "at '/redis/megabytes': minimum: got 0, want 1"),
    ("networkPolicy.clients", [{}], "at '/networkPolicy/clients/0': minProperties: got 0, want 1"),
    ("networkPolicy.clients", [{"namespace": "a"}], "additional properties 'namespace' not allowed"),
    ("networkPolicy.kuberay", [], "at '/networkPolicy/kuberay': minItems: got 0, want 1"),
    ("networkPolicy.dnsPorts", ["dns"], "at '/networkPolicy/dnsPorts/0': got string, want integer"),
    ("networkPolicy.storage.ports", [0], "at '/networkPolicy/storage/ports/0': minimum: got 0, want 1"),
    (
        "networkPolicy.storage.endpoint",
        "s3",
        "at '/networkPolicy/storage': additional properties 'endpoint' not allowed",
    ),
    (
        "monitoring.podMonitors.interval",
        "often",
        "at '/monitoring/podMonitors/interval': 'often' does not match pattern",
    ),
    ("monitoring.rules.labels", ["a"], "at '/monitoring/rules/labels': got array, want object"),
    ("monitoring.dashboard.uid", "a", "at '/monitoring/dashboard': additional properties 'uid' not allowed"),
    ("expose.voices", [{"name": "mei"}], "at '/expose/voices/0': missing properties 'namespace', 'host'"),
    (
        "expose.voices",
        [{"name": "mei", "namespace": "v", "host": "a b"}],
        "at '/expose/voices/0/host': 'a b' does not match",
    ),
    ("expose.ingress.tls", "mei-tls", "at '/expose/ingress/tls': got string, want boolean"),
    ("expose.httpRoute.parentRefs", [{"port": 80}], "at '/expose/httpRoute/parentRefs/0': missing property 'name'"),
    ("extraObjects", [{"kind": "Pod"}], "at '/extraObjects/0': missing properties 'apiVersion', 'metadata'"),
    ("networkPolicy.enabled", True, "networkPolicy.voiceNamespaces: name the namespaces of voices"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_a_wrong_value_is_refused_with_its_name(path, value, message):
    done = template(change_value({}, path, value))
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == ""


def test_it_may_be_part_of_another_chart():
    assert template({"global": {"anything": 1}}).returncode == 0
