"""The VoiceModel: what a platform team writes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import Field, ValidationError

from kubevoice.digests import DIGEST_PATTERN
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import StorageConfig
from kubevoice.resources.dataset_rules import DATASET_RULES
from kubevoice.resources.evaluation import Evaluation, EvaluationPolicy
from kubevoice.resources.exposure import NameRef
from kubevoice.resources.schema import Part, cel, immutable
from kubevoice.resources.serving import Serving
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.storage_access import CaBundleRef, StorageAccess
from kubevoice.resources.training import Precision, Schedule, Training, VocoderMode, VocoderSpec
from kubevoice.validation import describe_errors

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "VERSION",
    "BaseVoice",
    "CaBundleRef",
    "Dataset",
    "DeletionPolicy",
    "Evaluation",
    "EvaluationPolicy",
    "NameRef",
    "ObjectMeta",
    "PinyinTones",
    "Precision",
    "Schedule",
    "Serving",
    "StorageSpec",
    "Training",
    "VocoderMode",
    "VocoderSpec",
    "VoiceModel",
    "VoiceModelSpec",
    "load_voicemodel",
    "parse_voicemodel",
    "read_documents",
]

GROUP: Final = "kubevoice.io"
VERSION: Final = "v1alpha1"
KIND: Final = "VoiceModel"
API_VERSION: Final = "kubevoice.io/v1alpha1"
LABEL = r"^[A-Za-z㐀-䶿一-鿿][A-Za-z0-9_㐀-䶿一-鿿-]{0,31}$"
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
BUCKET_OR_FOLDER = "^(s3://[a-zA-Z0-9][a-zA-Z0-9._-]+(/.*)?|file:///.+)$"
UNKNOWN_FIELD = "unknown field; see `kubectl explain voicemodel.spec` or docs/voicemodel.md"
NAME_LENGTH = 40
"""A RayService's name may have 47 characters, a Job's 63: room for what the operator appends."""


class BaseVoice(Part):
    """The voice that is fine-tuned, or served as it is."""

    uri: str = Field(
        max_length=1024,
        description="builtin://NAME, or a voice bundle at s3:// or file://.",
    )
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Digest the base must have.")


class PinyinTones(StrEnum):
    """What the tones of a dataset's own pinyin are."""

    AS_SPOKEN = "AsSpoken"
    AS_WRITTEN = "AsWritten"


class Dataset(Part):
    """The recordings."""

    uri: str = Field(
        min_length=1,
        max_length=1024,
        description="Folder with metadata.csv (id,text,emotion,wav_path[,speaker]) and the audio it names.",
    )
    digest: str | None = Field(
        None,
        pattern=DIGEST_PATTERN,
        description="Content the dataset must have; if unset, it is resolved once for each generation.",
    )
    emotions: dict[
        Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(pattern=LABEL, max_length=32)]
    ] = Field(
        default_factory=dict,
        max_length=64,
        description="The emotion that each label of the dataset means. Usual Chinese words and English in any case are "
        "known; other labels are emotions themselves.",
    )
    pinyin_tones: PinyinTones = Field(
        PinyinTones.AS_SPOKEN,
        description="Tones of the pinyin that a KAN-TTS folder brings: as spoken, with sandhi applied, or as in a "
        "dictionary (AsWritten), to which sandhi is then applied.",
    )


class StorageSpec(StorageAccess, StorageConfig):
    """Where datasets are read and artifacts written."""

    artifacts_uri: str = Field(
        min_length=1,
        max_length=1024,
        description="Where features, checkpoints and voice bundles are written.",
        json_schema_extra=immutable("artifactsUri"),
    )

    model_config = Part.model_config | {
        "json_schema_extra": cel(
            (
                f"self.artifactsUri.matches('{BUCKET_OR_FOLDER}')",
                "artifactsUri must be s3://BUCKET/FOLDER or file:///FOLDER",
            )
        )
    }


class DeletionPolicy(StrEnum):
    """What happens to artifacts when the VoiceModel is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class VoiceModelSpec(Part):
    """What is wanted."""

    base: BaseVoice = Field(description="The voice that is fine-tuned; without a dataset it is served as it is.")
    dataset: Dataset | None = Field(
        None, description="The recordings. Without them the base voice is evaluated, released and served as it is."
    )
    storage: StorageSpec = Field(description="Where datasets are read and artifacts written.")
    training: Training = Field(Training(), description="How the voice is fine-tuned and where.")
    evaluation: Evaluation = Field(Evaluation(), description="The quality gate.")
    serving: Serving = Field(Serving(), description="How the voice is served.")
    revision: str | None = Field(
        None, pattern=DIGEST_PATTERN, description="Serve exactly this revision until the field is removed: a rollback."
    )
    revision_history_limit: int = Field(5, ge=1, le=100, description="Revisions kept for rolling back.")
    deletion_policy: DeletionPolicy = Field(
        DeletionPolicy.RETAIN, description="What happens to artifacts when this VoiceModel is deleted."
    )

    model_config = Part.model_config | {
        "json_schema_extra": cel(
            (
                f"self.base.uri.matches('^builtin://.+$') || self.base.uri.matches('{BUCKET_OR_FOLDER}')",
                "base.uri must be builtin://NAME, s3://BUCKET/FOLDER or file:///FOLDER",
            ),
            (
                f"!has(self.dataset) || self.dataset.uri.matches('{BUCKET_OR_FOLDER}')",
                "dataset.uri must be s3://BUCKET/FOLDER or file:///FOLDER",
            ),
            *DATASET_RULES,
        )
    }


class ObjectMeta(Part):
    """The part of metadata that KubeVoice reads; the rest is Kubernetes' own."""

    model_config = Part.model_config | {"extra": "ignore"}

    name: str = Field(max_length=NAME_LENGTH, pattern=NAME_PATTERN)
    namespace: str = "default"
    generation: int = 1
    uid: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class VoiceModel(Part):
    """A voice: from recordings to an endpoint."""

    api_version: Literal["kubevoice.io/v1alpha1"] = API_VERSION
    kind: Literal["VoiceModel"] = KIND
    metadata: ObjectMeta
    spec: VoiceModelSpec
    status: VoiceModelStatus = VoiceModelStatus()


def load_voicemodel(source: str | Path, *, artifacts: Path | None = None) -> VoiceModel:
    """Read one VoiceModel from YAML text or a file.

    A URI that is a plain path is relative to the file's folder and becomes a file:// URI.

    Parameters
    ----------
    source
        YAML text, or the path of a file.
    artifacts
        Folder for artifacts if the VoiceModel has no spec.storage.artifactsUri.

    Returns
    -------
    VoiceModel
        The parsed object.

    Raises
    ------
    InputError
        If it is not valid; the message has every problem.
    """
    name, folder = (str(source), source.parent) if isinstance(source, Path) else ("VoiceModel", Path())
    documents = read_documents(source)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InputError(f"{name} holds {len(documents)} YAML documents; write exactly one VoiceModel in it")
    document = documents[0]
    if (document.get("apiVersion"), document.get("kind")) != (API_VERSION, KIND):
        raise InputError(
            f"{name} is a {document.get('apiVersion')}/{document.get('kind')}, expected {API_VERSION}/{KIND}"
        )
    return parse_voicemodel(document, name, folder, artifacts)


def read_documents(source: str | Path) -> list[Any]:
    """Read the YAML documents of a text or a file; empty ones are left out.

    Parameters
    ----------
    source
        YAML text, or the path of a file.

    Returns
    -------
    list
        The documents.

    Raises
    ------
    InputError
        If the file cannot be read, or if it is not YAML.
    """
    name = str(source) if isinstance(source, Path) else "VoiceModel"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {name}: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None


def parse_voicemodel(document: dict[str, Any], name: str, folder: Path, artifacts: Path | None) -> VoiceModel:
    """Parse a document that is a VoiceModel.

    Parameters
    ----------
    document
        The document.
    name
        What errors call it.
    folder
        What plain paths are relative to.
    artifacts
        Folder for artifacts if it has no spec.storage.artifactsUri.

    Returns
    -------
    VoiceModel
        The parsed object.

    Raises
    ------
    InputError
        If it is not valid; the message has every problem.
    """
    try:
        return VoiceModel.model_validate(_localize_uris(document, folder, artifacts))
    except ValidationError as error:
        raise InputError(f"{name} is not valid", describe_errors(error.errors(), unknown=UNKNOWN_FIELD)) from None


def _localize_uris(document: dict[str, Any], folder: Path, artifacts: Path | None) -> dict[str, Any]:
    """Turn plain paths in the spec's URIs into file:// URIs below `folder`, and fill in where artifacts go."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return document
    spec = dict(spec)
    storage = spec.get("storage") or {}
    if artifacts is not None and isinstance(storage, dict):
        spec["storage"] = {"artifactsUri": artifacts.absolute().as_uri()} | storage
    for part, field in (("base", "uri"), ("dataset", "uri"), ("storage", "artifactsUri")):
        value = spec.get(part)
        if isinstance(value, dict) and isinstance(value.get(field), str) and "://" not in value[field]:
            spec[part] = value | {field: (folder / value[field]).absolute().as_uri()}
    return document | {"spec": spec}
