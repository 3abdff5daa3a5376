"""The CustomResourceDefinition, generated from the pydantic types: they are the one source."""

from typing import Any

import yaml

from kubevoice.resources.schema import cel
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import GROUP, KIND, NAME_LENGTH, NAME_PATTERN, VERSION, VoiceModelSpec

__all__ = ["build_crd", "render_crd"]

Schema = dict[str, Any]

NAME_RULE = "the name must begin with a small letter and have small letters, digits and - alone, for Services have it"
UNWANTED = {"title", "propertyNames", "additionalProperties", "patternProperties"}
RENAMED = {"exclusiveMinimum": ("minimum", True), "exclusiveMaximum": ("maximum", True)}

COLUMNS = (
    ("Phase", "string", ".status.phase", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Progress", "string", ".status.display.progress", 0),
    ("ETA", "string", ".status.display.eta", 0),
    ("Revision", "string", ".status.display.revision", 0),
    ("Ready", "string", ".status.display.ready", 0),
    ("URL", "string", ".status.serving.url", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Canary", "integer", ".status.serving.canaryWeight", 1),
    ("Loss", "number", ".status.training.loss", 1),
    ("Clips", "integer", ".status.dataset.clips", 1),
    ("Dataset", "string", ".spec.dataset.uri", 1),
)


def _structural(node: Schema, definitions: Schema) -> Schema:
    """Rewrite one JSON schema node of pydantic's as Kubernetes wants it: no $ref, no null, no tuple bounds."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _structural(target | {k: v for k, v in node.items() if k != "$ref"}, definitions)
    if "x-kubernetes-int-or-string" in node:
        return node
    if "anyOf" in node:
        kinds = [kind for kind in node["anyOf"] if kind.get("type") != "null"]
        rest = {k: v for k, v in node.items() if k != "anyOf"}
        # An absent field says the same as null, and a structural schema has no null.
        return _structural(kinds[0] | {k: v for k, v in rest.items() if (k, v) != ("default", None)}, definitions)
    result: Schema = {k: v for k, v in node.items() if k not in UNWANTED | RENAMED.keys()}
    for name, (bound, exclusive) in RENAMED.items():
        if name in node:
            result |= {bound: node[name], name: exclusive}
    kind = node.get("type")
    if kind == "object":
        result |= _object(node, definitions)
    elif kind == "array":
        result["items"] = _structural(node["items"], definitions)
    elif kind == "integer":
        result["format"] = "int64"
    return result


def _object(node: Schema, definitions: Schema) -> Schema:
    if "properties" in node:
        properties = {name: _structural(value, definitions) for name, value in node["properties"].items()}
        if "default" not in node:
            return {"properties": properties}
        # Written out, for the API server checks a default by the rules before it fills in what is within.
        filled = {name: value["default"] for name, value in properties.items() if "default" in value}
        return {"properties": properties, "default": filled}
    # Kubernetes has no patterns for keys; the operator's own check of labels still applies.
    values = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
    if isinstance(values, dict) and values:
        return {"additionalProperties": _structural(values, definitions)}
    return {"x-kubernetes-preserve-unknown-fields": True}


def _schema(model: Any) -> Schema:
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _structural({k: v for k, v in raw.items() if k != "$defs"}, raw.get("$defs", {}))


def build_crd() -> Schema:
    """Build the CustomResourceDefinition.

    Returns
    -------
    dict
        The object.
    """
    singular, plural = KIND.lower(), f"{KIND.lower()}s"
    spec = _schema(VoiceModelSpec)
    status = _schema(VoiceModelStatus)
    root = {
        "type": "object",
        "description": "A Mandarin voice: from recordings to an autoscaled endpoint.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    } | cel(
        (f"size(self.metadata.name) <= {NAME_LENGTH}", f"the name may have {NAME_LENGTH} characters at most"),
        (f"self.metadata.name.matches('{NAME_PATTERN}')", NAME_RULE),
    )
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": plural,
                "singular": singular,
                "shortNames": ["vm"],
                "categories": ["kubevoice"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.serving.minReplicas",
                            "statusReplicasPath": ".status.serving.replicas.ready",
                            "labelSelectorPath": ".status.serving.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})
                        for name, kind, path, priority in COLUMNS
                    ],
                }
            ],
        },
    }


def render_crd() -> str:
    """Write the CustomResourceDefinition as YAML, the same text every time.

    Returns
    -------
    str
        YAML.
    """
    head = "# Generated from core/kubevoice/resources by `kubevoice crd`; edit the types, not this file.\n"
    return head + yaml.safe_dump(build_crd(), sort_keys=False, width=110, allow_unicode=True)
