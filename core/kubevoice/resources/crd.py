"""The CustomResourceDefinitions, generated from the pydantic types: they are the one source."""

from dataclasses import dataclass
from typing import Any

import yaml

from kubevoice.resources.schema import cel
from kubevoice.resources.status import VoiceModelStatus, VoicePoolStatus
from kubevoice.resources.voicemodel import GROUP, KIND, NAME_LENGTH, NAME_PATTERN, VERSION, VoiceModelSpec
from kubevoice.resources.voicepool import POOL_KIND, VoicePoolSpec

__all__ = ["CUSTOM_RESOURCES", "VOICE_MODELS", "VOICE_POOLS", "CustomResource", "build_crd", "render_crd"]

Schema = dict[str, Any]

NAME_RULE = "the name must begin with a small letter and have small letters, digits and - alone, for Services have it"
UNWANTED = {"title", "propertyNames", "additionalProperties", "patternProperties"}
RENAMED = {"exclusiveMinimum": ("minimum", True), "exclusiveMaximum": ("maximum", True)}

MODEL_COLUMNS = (
    ("Phase", "string", ".status.phase", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Progress", "string", ".status.display.progress", 0),
    ("ETA", "string", ".status.display.eta", 0),
    ("Revision", "string", ".status.display.revision", 0),
    ("Ready", "string", ".status.display.ready", 0),
    ("Pool", "string", ".status.serving.pool", 0),
    ("URL", "string", ".status.serving.url", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Canary", "integer", ".status.serving.canaryWeight", 1),
    ("Loss", "number", ".status.training.loss", 1),
    ("Clips", "integer", ".status.dataset.clips", 1),
    ("Dataset", "string", ".spec.dataset.uri", 1),
)
POOL_COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Voices", "string", ".status.display.voices", 0),
    ("Resident", "integer", ".status.voices.resident", 0),
    ("Replicas", "string", ".status.display.ready", 0),
    ("Memory", "string", ".status.display.memory", 0),
    ("URL", "string", ".status.url", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)


@dataclass(frozen=True, slots=True)
class CustomResource:
    """A kind that KubeVoice adds to Kubernetes.

    Attributes
    ----------
    kind, short_name
        Names for people.
    description
        One sentence, for `kubectl explain`.
    spec, status
        The types that the schema is generated from.
    columns
        Name, type, JSON path and priority of what `kubectl get` shows.
    replicas, selector
        JSON paths of the ready replicas and of their label selector, for the scale subresource.
    """

    kind: str
    short_name: str
    description: str
    spec: Any
    status: Any
    columns: tuple[tuple[str, str, str, int], ...]
    replicas: str
    selector: str

    @property
    def plural(self) -> str:
        """The name in URLs and in `kubectl get`."""
        return f"{self.kind.lower()}s"


VOICE_MODELS = CustomResource(
    KIND,
    "vm",
    "A Mandarin voice: from recordings to an autoscaled endpoint.",
    VoiceModelSpec,
    VoiceModelStatus,
    MODEL_COLUMNS,
    ".status.serving.replicas.ready",
    ".status.serving.selector",
)
VOICE_POOLS = CustomResource(
    POOL_KIND,
    "vp",
    "Replicas that serve many voices behind one address.",
    VoicePoolSpec,
    VoicePoolStatus,
    POOL_COLUMNS,
    ".status.replicas.ready",
    ".status.selector",
)
CUSTOM_RESOURCES = (VOICE_MODELS, VOICE_POOLS)


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


def build_crd(resource: CustomResource) -> Schema:
    """Build a CustomResourceDefinition.

    Parameters
    ----------
    resource
        The kind.

    Returns
    -------
    dict
        The object.
    """
    root = {
        "type": "object",
        "description": resource.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _schema(resource.spec),
            "status": _schema(resource.status),
        },
    } | cel(
        (f"size(self.metadata.name) <= {NAME_LENGTH}", f"the name may have {NAME_LENGTH} characters at most"),
        (f"self.metadata.name.matches('{NAME_PATTERN}')", NAME_RULE),
    )
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
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
                            "statusReplicasPath": resource.replicas,
                            "labelSelectorPath": resource.selector,
                        },
                    },
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})
                        for name, kind, path, priority in resource.columns
                    ],
                }
            ],
        },
    }


def render_crd(resource: CustomResource) -> str:
    """Write a CustomResourceDefinition as YAML, the same text every time.

    Parameters
    ----------
    resource
        The kind.

    Returns
    -------
    str
        YAML.
    """
    head = "# Generated from core/kubevoice/resources by `kubevoice crd`; edit the types, not this file.\n"
    return head + yaml.safe_dump(build_crd(resource), sort_keys=False, width=110, allow_unicode=True)
