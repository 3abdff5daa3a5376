"""JSON schemas of Kubernetes' kinds and, where ../shared/crds exists, of CRDs. They forbid unknown fields."""

import json

import yaml
from chart import ROOT
from testcluster.build import MODULES, Toolbox

CRDS = ROOT.parent / "shared" / "crds"
NAME = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"
PREFIX = "#/components/schemas/"


def forbid_unknown_fields(schema):
    """Return a schema that forbids fields it does not name. The API server would drop or refuse them."""
    if isinstance(schema, list):
        return [forbid_unknown_fields(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict_schema = {key: forbid_unknown_fields(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("x-kubernetes-preserve-unknown-fields") is not True:
        strict_schema.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string") is True:
        strict_schema["type"] = ["integer", "string"]
    if isinstance(schema.get("$ref"), str):
        strict_schema["$ref"] = schema["$ref"].replace(PREFIX, "#/definitions/")
    return strict_schema


def _read_builtin(group, version, kind):
    """Return the schema of a kind from Kubernetes' OpenAPI; None if there is none."""
    folder = Toolbox(MODULES["kubernetes"]).data("openapi")
    path = folder / (f"apis__{group}__{version}_openapi.json" if group else f"api__{version}_openapi.json")
    if not path.exists():
        return None
    schemas = json.loads(path.read_text(encoding="utf-8"))["components"]["schemas"]
    identity = {"group": group, "version": version, "kind": kind}
    for name, schema in schemas.items():
        if identity in schema.get("x-kubernetes-group-version-kind", ()):
            return {"$ref": f"#/definitions/{name}", "definitions": forbid_unknown_fields(schemas)}
    return None


def _read_crd(group, version, kind):
    """Return the schema of a kind from its CRD; None if there is no CRD."""
    for path in CRDS.glob(f"{group}_*.yaml"):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        for item in spec["versions"]:
            if (spec["names"]["kind"], item["name"]) == (kind, version):
                schema = forbid_unknown_fields(item["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                return schema
    return None


def write_schemas(folder, objects):
    """Write the schemas of objects into files as kubeconform names them; return the kinds without a schema."""
    missing = set()
    for api_version, kind in {(item["apiVersion"], item["kind"]) for item in objects}:
        group, _, version = api_version.rpartition("/")
        schema = _read_builtin(group, version, kind) or _read_crd(group, version, kind)
        if schema is None:
            missing.add(kind)
        else:
            # kubeconform uses the version instead of the core group's empty name.
            (folder / f"{group or version}_{version}_{kind.lower()}.json").write_text(json.dumps(schema))
    return missing
