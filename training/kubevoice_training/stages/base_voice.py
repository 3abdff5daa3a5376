"""The base voice: where it is, its manifest, and its bundle as a whole."""

import json
from collections.abc import Collection
from contextlib import suppress

from kubevoice.audio.mel import MelConfig
from kubevoice.digests import hash_text
from kubevoice.errors import InputError
from kubevoice.resources.voicemodel import BaseVoice
from kubevoice.storage import S3Options, Storage, connect
from kubevoice.storage.base import validate_key
from kubevoice.voice import Bundle, VoiceManifest, builtin_voice, load_bundle
from pydantic import ValidationError

from kubevoice_training.checkpoint_files import LABELS
from kubevoice_training.stages.context import Context

__all__ = [
    "fetch_base_bundle",
    "fetch_base_manifest",
    "fetch_base_mel",
    "hash_base_manifest",
    "open_base_storage",
]


def open_base_storage(base: BaseVoice, options: S3Options) -> Storage:
    """Open the folder of the base voice: one that ships with the package, or any storage URI.

    Parameters
    ----------
    base
        The base voice; a URI `builtin://NAME` is one of the package's.
    options
        How to reach S3; unused for a built-in voice.

    Returns
    -------
    Storage
        The folder.

    Raises
    ------
    InputError
        If there is no built-in voice of that name, or the URI is not one of a storage.
    """
    return connect(str(builtin_voice(base.uri)) if base.uri.startswith("builtin://") else base.uri, options)


def read_base_manifest(base: BaseVoice, options: S3Options) -> bytes:
    """Read voice.json of the base voice, and check that it is the one that `base.sha256` pins.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    options
        How to connect to S3 storage.

    Returns
    -------
    bytes
        Content of the file.

    Raises
    ------
    InputError
        If there is none, or it is not the one that is pinned.
    """
    storage = open_base_storage(base, options)
    if not storage.exists("voice.json"):
        raise InputError(
            f"spec.base.uri: {base.uri} has no voice.json; name a voice bundle, such as release or "
            "kubevoice voice import writes"
        )
    body = storage.read("voice.json")
    digest = hash_text(body)
    if base.sha256 not in (None, digest):
        raise InputError(
            f"voice.json of the base voice {base.uri} has digest {digest}, expected {base.sha256}; correct "
            "spec.base.sha256 or, if the base was replaced after its first stage, begin again: run kubevoice up or, in "
            "a cluster, set the annotation kubevoice.io/refresh"
        )
    return body


def parse_base_manifest(base: BaseVoice, body: bytes) -> VoiceManifest:
    """Parse voice.json of the base voice.

    Parameters
    ----------
    base
        Where the voice is, for the message.
    body
        Content of the file.

    Returns
    -------
    VoiceManifest
        The manifest.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        return VoiceManifest.model_validate_json(body)
    except ValidationError:
        raise InputError(f"spec.base.uri: voice.json of {base.uri} is damaged; fetch the base voice again") from None


def fetch_base_manifest(base: BaseVoice, options: S3Options) -> VoiceManifest:
    """Read and parse the base voice's manifest.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    options
        How to connect to S3 storage.

    Returns
    -------
    VoiceManifest
        The manifest.

    Raises
    ------
    InputError
        If there is none, or it is damaged, or not the one that `base.sha256` pins.
    """
    return parse_base_manifest(base, read_base_manifest(base, options))


def hash_base_manifest(base: BaseVoice, options: S3Options) -> str:
    """Compute the SHA-256 of the base voice's voice.json, which has the digests of its other files.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    options
        How to connect to S3 storage.

    Returns
    -------
    str
        64 hex digits.

    Raises
    ------
    InputError
        If there is none, or it is not the one that is pinned.
    """
    return hash_text(read_base_manifest(base, options))


def fetch_base_mel(base: BaseVoice, options: S3Options) -> MelConfig:
    """Read the settings of the base voice's mels; the dataset's must be computed with the same ones.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    options
        How to connect to S3 storage.

    Returns
    -------
    MelConfig
        Settings of the mel.

    Raises
    ------
    InputError
        If the voice has no checkpoint, or it is damaged.
    """
    listed = fetch_base_manifest(base, options).files.get(f"checkpoint/{LABELS}")
    body = open_base_storage(base, options).read(f"checkpoint/{LABELS}") if listed else b""
    if hash_text(body) != listed:
        raise InputError(f"spec.base.uri: {base.uri} was released without its checkpoint, or it is damaged")
    try:
        return MelConfig(**json.loads(body)["mel"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"spec.base.uri: checkpoint/{LABELS} of {base.uri} does not say how its mels are made; "
            "fetch or import the base voice again"
        ) from None


def fetch_base_bundle(base: BaseVoice, context: Context, reserved: Collection[str] = ()) -> Bundle:
    """Fetch every file of the base voice and verify it.

    Parameters
    ----------
    base
        Where the voice is, and the digest it is pinned to.
    context
        The stage's working directory and options.
    reserved
        Names that no file of the bundle may have.

    Returns
    -------
    Bundle
        The voice, in the folder `bundle` of the working directory, and nothing else.

    Raises
    ------
    InputError
        If there is no bundle, it is not the one that `base.sha256` pins, or a file is missing, damaged or has a name
        that is not allowed; the problems list every file.
    """
    body = read_base_manifest(base, context.options)
    names = parse_base_manifest(base, body).files
    storage, folder = open_base_storage(base, context.options), context.fresh_folder("bundle")
    damaged = f"spec.base.uri: the voice bundle {base.uri} is damaged; fetch the base voice again"
    if problems := [problem for name in names if (problem := _check_name(name, reserved))]:
        raise InputError(damaged, problems)
    for number, name in enumerate(names, 1):
        with suppress(InputError):  # it is not there; load_bundle lists it with all other problems
            storage.download(name, folder / name)
        context.progress.report(number, len(names))
    (folder / "voice.json").write_bytes(body)
    try:
        return load_bundle(folder)
    except InputError as error:
        raise InputError(damaged, error.problems) from None


def _check_name(name: str, reserved: Collection[str]) -> str | None:
    """Return why a file of a bundle cannot have this name; None if it can."""
    try:
        return f"{name}: no file of a bundle may have this name" if validate_key(name) in reserved else None
    except InputError as error:
        return str(error)
