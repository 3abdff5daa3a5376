"""Write docs/voicemodel.md and docs/voicepool.md: every field of a VoiceModel and a VoicePool, from the CRDs.

python scripts/make_reference.py [FOLDER]
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubevoice.resources.crd import CUSTOM_RESOURCES, CustomResource, build_crd

Schema = dict[str, Any]

OUTPUT = Path(__file__).parents[1] / "docs"
HEAD = """# {kind}

Every field of `kubevoice.io/v1alpha1` {kind}, written by `scripts/make_reference.py` from the types in
`core/kubevoice/resources`. The same descriptions are in the cluster: `kubectl explain {singular}.spec`.
"""


def _describe_kind(node: Schema) -> str:
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    kind: str = node.get("type", "any")
    if kind == "array":
        return f"list of {_describe_kind(node['items'])}"
    return f"map of {_describe_kind(node['additionalProperties'])}" if "additionalProperties" in node else kind


def _describe_bounds(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above = "more than" if node.get("exclusiveMinimum") else "from"
    parts = [f"{above} {low:,}" if low is not None else "", f"to {high:,}" if high is not None else ""]
    return f"({' '.join(part for part in parts if part)})" if any(parts) else ""


def _describe_default(node: Schema, *, required: bool) -> str:
    if required:
        return "required"
    value = node.get("default")
    if value in (None, {}, [], ""):
        return ""
    values = value if isinstance(value, list) else [value]
    return ", ".join(f"`{v if isinstance(v, str) else json.dumps(v)}`" for v in values)


def _iter_rows(node: Schema, prefix: str) -> Iterator[str]:
    for name, field in node.get("properties", {}).items():
        path = f"{prefix}{name}"
        inner = field.get("items", field) if field.get("type") == "array" else field
        text = " ".join(part for part in (field.get("description", ""), _describe_bounds(field)) if part)
        default = _describe_default(field, required=name in node.get("required", ()))
        yield f"| `{path}` | {_describe_kind(field)} | {default} | {text} |"
        yield from _iter_rows(inner, f"{path}[]." if inner is not field else f"{path}.")


def _iter_rules(node: Schema, path: str) -> Iterator[str]:
    for rule in node.get("x-kubernetes-validations", ()):
        yield f"- `{path}`: {rule['message']}"
    for name, field in node.get("properties", {}).items():
        yield from _iter_rules(field, f"{path}.{name}")


def build_page(resource: CustomResource) -> str:
    """Return the page of a resource as Markdown."""
    schema = build_crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    lines = [HEAD.format(kind=resource.kind, singular=resource.kind.lower())]
    for part in ("spec", "status"):
        lines += [
            f"## {part}",
            "",
            "| Field | Type | Default | |",
            "|---|---|---|---|",
            *_iter_rows(schema[part], ""),
            "",
        ]
        if rules := list(_iter_rules(schema[part], part)):
            lines += ["Rules, checked by the API server and by `kubevoice up`:", "", *rules, ""]
    return "\n".join(lines)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    for resource in CUSTOM_RESOURCES:
        (folder / f"{resource.kind.lower()}.md").write_text(build_page(resource), encoding="utf-8")
