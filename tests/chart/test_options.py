"""The operator understands the options that the chart gives it."""

import pytest
from chart import render_chart
from kubevoice_operator.__main__ import _options
from kubevoice_operator.render.names import Images


def read_options(**values):
    (deployment,) = (item for item in render_chart(values) if item["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "kubevoice_operator"]
    return *_options(container["args"]), container


def test_by_default_it_looks_after_the_cluster_with_its_own_images():
    options, level, container = read_options()
    assert options.namespaces == ()
    assert options.images == Images()
    assert options.elect
    assert options.lease.name == "kubevoice-operator"
    assert container["ports"] == [{"name": "http", "containerPort": options.port}]
    assert level == "info"


def test_values_reach_it():
    images = {"registry": "mirror:5000", "pullSecrets": ["one", "two"], "serving": {"digest": "sha256:" + "a" * 64}}
    options, level, _ = read_options(namespaces=["voices", "trials"], images=images, operator={"logLevel": "warning"})
    assert options.namespaces == ("voices", "trials")
    assert options.lease == ("voices", "kubevoice-operator")
    assert options.images.training == f"mirror:5000/{Images().training}"
    assert options.images.serving == f"mirror:5000/kubevoice/serving@sha256:{'a' * 64}"
    assert options.images.pull_secrets == ("one", "two")
    assert level == "warning"


@pytest.mark.parametrize("namespaces", [[], ["voices", "trials"]])
def test_the_lease_is_where_it_may_be_written(namespaces):
    options, _, _ = read_options(namespaces=namespaces)
    objects = render_chart({"namespaces": namespaces})
    (role,) = (o for o in objects if o["kind"] == "Role" and o["metadata"]["name"].endswith("-lease"))
    # Without namespaces it is the operator's own, which only its pod knows.
    assert role["metadata"]["namespace"] == (options.lease.namespace if namespaces else "kubevoice-system")
    assert [name for rule in role["rules"] for name in rule.get("resourceNames", ())] == [options.lease.name]
