"""A file of Kubernetes manifests: VoiceModels, VoicePools and what else stands beside them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kubevoice.errors import InputError
from kubevoice.resources.voicemodel import API_VERSION, GROUP, KIND, VoiceModel, parse_voicemodel, read_documents
from kubevoice.resources.voicepool import POOL_KIND, VoicePool
from kubevoice.validation import describe_errors

__all__ = ["Manifests", "load_manifests"]


@dataclass(frozen=True, slots=True)
class Manifests:
    """The objects of a file.

    Attributes
    ----------
    models
        The VoiceModels, at least one.
    pools
        The VoicePools.
    others
        Kind and name of each object of another API, such as `Secret s3`.
    """

    models: tuple[VoiceModel, ...]
    pools: tuple[VoicePool, ...] = ()
    others: tuple[str, ...] = ()


def load_manifests(path: Path, *, artifacts: Path | None = None) -> Manifests:
    """Read a file with one or more YAML documents. The items of a List are read as documents.

    Parameters
    ----------
    path
        The file.
    artifacts
        Folder for artifacts of VoiceModels without spec.storage.artifactsUri.

    Returns
    -------
    Manifests
        Its objects.

    Raises
    ------
    InputError
        If the file has no VoiceModel, or one of its objects is not valid; the message has every problem.
    """
    objects = [item for document in read_documents(path) for item in _expand_list(document)]
    parsed: list[VoiceModel | VoicePool] = []
    others: list[str] = []
    problems: list[str] = []
    for number, item in enumerate(objects, 1):
        title = _describe(item, number)
        try:
            result = _parse(item, title, path.parent, artifacts)
        except InputError as error:
            problems += [f"{title}: {problem}" for problem in error.problems] or [str(error)]
        else:
            parsed += [result] if result is not None else []
            others += [title] if result is None else []
    problems += _find_duplicates(parsed)
    if problems:
        raise InputError(f"{path} is not valid", problems)
    models = tuple(item for item in parsed if isinstance(item, VoiceModel))
    if not models:
        raise InputError(f"{path} has no VoiceModel (apiVersion: {API_VERSION}, kind: {KIND})")
    return Manifests(models, tuple(item for item in parsed if isinstance(item, VoicePool)), tuple(others))


def _parse(item: Any, title: str, folder: Path, artifacts: Path | None) -> VoiceModel | VoicePool | None:
    """Return a VoiceModel or a VoicePool, None for an object of another API. InputError if it is neither."""
    if not isinstance(item, dict):
        raise InputError(f"{title} is not an object; write `apiVersion`, `kind`, `metadata` and `spec`")
    version, kind = item.get("apiVersion"), item.get("kind")
    if (version, kind) == (API_VERSION, KIND):
        return parse_voicemodel(item, title, folder, artifacts)
    if (version, kind) == (API_VERSION, POOL_KIND):
        return _parse_pool(item, title)
    if isinstance(version, str) and isinstance(kind, str) and version.partition("/")[0] != GROUP:
        return None
    raise InputError(f"{title} is a {version}/{kind}, expected {API_VERSION}/{KIND} or {POOL_KIND}")


def _expand_list(document: Any) -> list[Any]:
    """Return the items of a List, which `kubectl get -o yaml` prints, or else the document alone."""
    if isinstance(document, dict) and (document.get("apiVersion"), document.get("kind")) == ("v1", "List"):
        items = document.get("items")
        return items if isinstance(items, list) else [document]
    return [document]


def _describe(item: Any, number: int) -> str:
    """Return kind and name of an object, or else its number."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if isinstance(metadata, dict) and isinstance(item.get("kind"), str) and isinstance(metadata.get("name"), str):
        return f"{item['kind']} {metadata['name']}"
    return f"document {number}"


def _parse_pool(document: dict[str, Any], title: str) -> VoicePool:
    try:
        return VoicePool.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{title} is not valid", describe_errors(error.errors())) from None


def _find_duplicates(objects: list[VoiceModel | VoicePool]) -> list[str]:
    counts = Counter(f"{item.kind} {item.metadata.name}" for item in objects)
    return [f"{title} is there {count} times; give each its own name" for title, count in counts.items() if count > 1]
