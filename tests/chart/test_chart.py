"""The chart agrees with the rest of the project, and the Kubernetes API accepts what it renders.

The chart's README is written by helm-docs: after a change run `KUBEVOICE_UPDATE_GOLDEN=1 pytest tests/chart`.
"""

import os
import re
import shutil
import subprocess
import tomllib

import kube_schemas
import pytest
import yaml
from chart import CHART, ROOT, build_program, helm, render_chart, template

EVERYTHING = yaml.safe_load((CHART.parents[1] / "tests/chart/everything.yaml").read_text(encoding="utf-8"))
SETS = {
    "as it is": {},
    "everything": EVERYTHING,
    "everything in the whole cluster": EVERYTHING
    | {"namespaces": [], "networkPolicy": {"enabled": True, "voiceNamespaces": ["voices"]}},
    "next to nothing": {
        "crds": {"install": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "mine"},
        "operator": {"podDisruptionBudget": {"enabled": False}, "topologySpread": {"topologyKey": ""}},
    },
    "without policies' details": {
        "networkPolicy": {"enabled": True, "voiceNamespaces": ["a"]},
        "redis": {"enabled": True},
    },
}


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_helm_has_nothing_to_say_against_it(values, tmp_path):
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    result = helm("lint", "--strict", CHART, "--values", tmp_path / "values.yaml")
    assert result.returncode == 0, result.stdout
    assert re.findall(r"^\[.*", result.stdout, re.MULTILINE) == ["[INFO] Chart.yaml: icon is recommended"]


def test_its_suites_pass():
    result = subprocess.run([build_program("helm-unittest"), CHART], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    suites = len(list((CHART / "tests").glob("*_test.yaml")))
    assert f"Test Suites: {suites} passed, {suites} total" in result.stdout


def test_every_template_has_a_suite_or_a_test_here():
    tested = {
        name
        for path in (CHART / "tests").glob("*.yaml")
        for name in re.findall(r"templates/(\S+?)\]", path.read_text())
    }
    templates = {path.name for path in (CHART / "templates").iterdir()} - {"_helpers.tpl"}
    assert templates - tested == {"networkpolicies.yaml"}  # test_network_policies.py


CUSTOM = {"PodMonitor", "PrometheusRule", "HTTPRoute"}


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_kubernetes_knows_every_field_of_what_it_renders(values, tmp_path):
    objects = render_chart(values)
    skipped = kube_schemas.write_schemas(tmp_path, objects)
    assert skipped <= CUSTOM, "only these may be skipped, and only without ../shared/crds"
    command = [
        build_program("kubeconform"),
        "-strict",
        "-summary",
        "-schema-location",
        f"{tmp_path}/{kube_schemas.NAME}",
    ]
    command += ["-skip", ",".join(skipped)] if skipped else []
    result = subprocess.run(command, input=template(values).stdout, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    count = sum(item["kind"] not in skipped for item in objects)
    assert f"Valid: {count}, Invalid: 0, Errors: 0" in result.stdout


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_no_object_is_there_twice_and_every_one_is_labelled(values):
    objects = render_chart(values)
    names = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(set(names)) == len(names)
    for item in objects:
        if item["kind"] != "CustomResourceDefinition" and item["metadata"]["name"] != "kubevoice-extra":
            assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm", item


def test_the_crds_are_the_generated_ones():
    crds = [item for item in render_chart() if item["kind"] == "CustomResourceDefinition"]
    assert [crd["spec"]["names"]["kind"] for crd in crds] == ["VoiceModel", "VoicePool"]
    for crd in crds:
        assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        file = ROOT / "crds" / f"{crd['metadata']['name']}.yaml"
        assert crd == yaml.safe_load(file.read_text(encoding="utf-8"))


def test_a_packaged_chart_holds_the_crd_too(tmp_path):
    result = helm("package", CHART, "--destination", tmp_path)
    assert result.returncode == 0, result.stderr
    (archive,) = tmp_path.glob("kubevoice-*.tgz")
    packed = helm("template", "kubevoice", archive, "--namespace", "kubevoice-system").stdout
    assert list(yaml.safe_load_all(packed)) == list(yaml.safe_load_all(template().stdout))


def test_there_is_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (project, project)


def test_the_readme_is_current_and_explains_every_value(tmp_path):
    target = CHART if os.environ.get("KUBEVOICE_UPDATE_GOLDEN") else tmp_path / "kubevoice"
    if target != CHART:
        shutil.copytree(CHART, target)
    command = [
        build_program("helm-docs"),
        "--chart-search-root",
        target,
        "--sort-values-order",
        "file",
        "--log-level",
        "warning",
    ]
    subprocess.run(command, check=True)
    text = (target / "README.md").read_text(encoding="utf-8")
    assert (CHART / "README.md").read_text(encoding="utf-8") == text
    rows = re.findall(r"^\| `(.+?)` \| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) > 50
    assert [name for name, _, meaning in rows if not meaning.strip()] == []
