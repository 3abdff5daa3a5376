"""JSON schemas of Kubernetes' own kinds and, where ../shared/crds is at hand, of others': closed to unknown fields."""

import json

import yaml
from chart import ROOT
from testcluster.build import MODULES, Toolbox

CRDS = ROOT.parent / "shared" / "crds"
NAME = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"
PREFIX = "#/components/schemas/"


def forbid_unknown_fields(schema):
    """The API server drops fields that a schema does not name, or refuses them; here they are faults."""
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


def _builtin(group, version, kind):
    """The schema in Kubernetes' OpenAPI; None if it has none."""
    folder = Toolbox(MODULES["kubernetes"]).data("openapi")
    path = folder / (f"apis__{group}__{version}_openapi.json" if group else f"api__{version}_openapi.json")
    if not path.exists():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))["components"]["schemas"]
    wanted = {"group": group, "version": version, "kind": kind}
    for name, schema in known.items():
        if wanted in schema.get("x-kubernetes-group-version-kind", ()):
            return {"$ref": f"#/definitions/{name}", "definitions": forbid_unknown_fields(known)}
    return None


def _custom(group, version, kind):
    """The schema in a CRD; None if that is not at hand."""
    for path in CRDS.glob(f"{group}_*.yaml"):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        for item in spec["versions"]:
            if (spec["names"]["kind"], item["name"]) == (kind, version):
                schema = forbid_unknown_fields(item["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                return schema
    return None


def write(folder, objects):
    """Write the schemas of these objects, named as kubeconform looks for them; return the kinds that have none here."""
    without = set()
    for api_version, kind in {(item["apiVersion"], item["kind"]) for item in objects}:
        group, _, version = api_version.rpartition("/")
        schema = _builtin(group, version, kind) or _custom(group, version, kind)
        if schema is None:
            without.add(kind)
        else:
            # Of the core group kubeconform knows no name.
            (folder / f"{group or version}_{version}_{kind.lower()}.json").write_text(json.dumps(schema))
    return without
