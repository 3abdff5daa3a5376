"""The CRD in crds/ is rendered from the types, and is valid for Kubernetes."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft4Validator
from kubevoice.resources.crd import CUSTOM_RESOURCES, VOICE_MODELS, build_crd, render_crd

ROOT = Path(__file__).resolve().parents[2]
PLURALS = [resource.plural for resource in CUSTOM_RESOURCES]

# https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
KEYWORDS = {
    "type", "format", "description", "default", "enum", "pattern", "required", "properties", "items",
    "additionalProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "x-kubernetes-validations", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
TYPES = {"object", "array", "string", "integer", "number", "boolean"}


def iter_nodes(schema, path=""):
    """Yield (path, node) for every node of a schema: `.x` is a field, `[]` an item of a list, `{}` a value of a map."""
    yield path, schema
    for name, value in schema.get("properties", {}).items():
        yield from iter_nodes(value, f"{path}.{name}")
    if "items" in schema:
        yield from iter_nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from iter_nodes(schema["additionalProperties"], f"{path}{{}}")


@pytest.fixture(scope="module", params=CUSTOM_RESOURCES, ids=PLURALS)
def resource(request):
    return request.param


@pytest.fixture(scope="module")
def version(resource):
    return build_crd(resource)["spec"]["versions"][0]


@pytest.fixture(scope="module")
def schema(version):
    return version["schema"]["openAPIV3Schema"]


@pytest.fixture(scope="module")
def model_schema():
    return build_crd(VOICE_MODELS)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.fixture(scope="module")
def fields(schema):
    return dict(iter_nodes(schema))


def test_the_committed_crd_is_up_to_date(resource):
    committed = ROOT / "crds" / f"{resource.plural}.kubevoice.io.yaml"
    assert committed.read_text(encoding="utf-8") == render_crd(resource), "run `kubevoice crd`"


def test_the_reference_is_up_to_date(tmp_path, resource):
    subprocess.run([sys.executable, str(ROOT / "scripts" / "make_reference.py"), str(tmp_path)], check=True)
    page = f"{resource.kind.lower()}.md"
    assert (ROOT / "docs" / page).read_text() == (tmp_path / page).read_text()


def test_the_crd_is_named_after_its_group_and_plural(resource):
    document = yaml.safe_load(render_crd(resource))
    spec = document["spec"]
    assert document["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert spec["scope"] == "Namespaced"
    assert [version["name"] for version in spec["versions"] if version["storage"]] == ["v1alpha1"]


def test_the_schema_is_structural(fields):
    for path, node in fields.items():
        if node.get("x-kubernetes-int-or-string"):
            assert set(node) == {"x-kubernetes-int-or-string", "anyOf", "pattern"}, path
            continue
        assert node["type"] in TYPES, path
        assert set(node) <= KEYWORDS, path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert set(node.get("required", ())) <= set(node.get("properties", {})), path
        if node["type"] == "array":
            assert "items" in node, path


def test_bounds_are_booleans_as_in_openapi_3_0(schema):
    Draft4Validator.check_schema(schema)


def test_defaults_are_valid(fields):
    for path, node in fields.items():
        if "default" in node:
            assert not list(Draft4Validator(node).iter_errors(node["default"])), path


def test_every_field_has_a_description(fields):
    kubernetes_fields = {".apiVersion", ".kind", ".metadata"}
    items_and_values = {path for path in fields if path.endswith(("[]", "{}"))}
    undescribed = {path for path, node in fields.items() if not node.get("description")}
    assert undescribed <= kubernetes_fields | items_and_values


def test_every_list_has_a_merge_type(fields):
    for path, node in fields.items():
        if node.get("type") != "array":
            continue
        kind = node.get("x-kubernetes-list-type")
        assert kind in {"atomic", "set", "map"}, path
        assert "maxItems" in node, f"{path}: CEL's cost estimate needs a bound"
        if kind == "map":
            assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]), path
    assert fields[".status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_every_rule_has_a_message(fields):
    rules = [rule for node in fields.values() for rule in node.get("x-kubernetes-validations", ())]
    assert rules
    for rule in rules:
        assert rule["rule"]
        assert rule["message"].strip()
        assert "\n" not in rule["message"]


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("", "size(self.metadata.name) <= 40"),
        (".spec.storage.artifactsUri", "self == oldSelf"),
        (".spec.serving", "self.minReplicas <= self.maxReplicas"),
        (".spec.training", "self.warmupSteps <= self.maxSteps"),
    ],
)
def test_constraints_beyond_the_schema_are_rules(model_schema, path, rule):
    fields = dict(iter_nodes(model_schema))
    assert rule in [validation["rule"] for validation in fields[path]["x-kubernetes-validations"]]


def test_status_and_scale_are_subresources_with_paths_that_exist(version, fields):
    assert version["subresources"]["status"] == {}
    scale = version["subresources"]["scale"]
    assert set(scale.values()) <= set(fields)


def test_columns_show_fields_that_exist(version, fields):
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].partition("[")[0]
        assert path in fields or path == ".metadata.creationTimestamp", column


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_valid_by_the_schema(model_schema, path):
    example = yaml.safe_load(path.read_text(encoding="utf-8"))
    example["spec"].setdefault("storage", {"artifactsUri": "file:///filled-in-by-kubevoice-up"})
    assert not [error.message for error in Draft4Validator(model_schema).iter_errors(example)]


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("training", "maxSteps", 0),
        ("training", "learningRate", 0),
        ("training", "schedule", "Linear"),
        ("training", "trainable", []),
        ("storage", "endpoint", "minio:9000"),
        ("dataset", "digest", "sha256:12"),
        ("evaluation", "policy", "enforce"),
        ("serving", "minReplicas", -1),
    ],
)
def test_bad_values_are_refused_by_the_schema(model_schema, part, field, value):
    example = yaml.safe_load((ROOT / "examples" / "minimal.yaml").read_text(encoding="utf-8"))
    example["spec"].setdefault(part, {})[field] = value
    paths = ["/".join(map(str, error.absolute_path)) for error in Draft4Validator(model_schema).iter_errors(example)]
    assert paths == [f"spec/{part}/{field}"]
