"""The cache of bundles: fetched by revision, verified, and shared by the processes that use one folder."""

import fcntl
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

from kubevoice.digests import hash_text
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import VoiceConfig
from kubevoice.storage import connect, fetch_tree
from kubevoice.validation import describe_errors
from kubevoice.voice import Bundle, VoiceManifest, builtin_voice, load_bundle
from pydantic import ValidationError

__all__ = ["BundleCache"]

MANIFEST = "voice.json"


class BundleCache:
    """Each fetched bundle has a folder named by its digest, and each manifest that was read alone a file.

    Processes that share the folder share a download: one holds a lock of the revision while it fetches. A download
    becomes visible as a whole, so an interrupted one leaves nothing that could be taken for a bundle.

    Parameters
    ----------
    folder : Path
        The cache; created when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, voice: VoiceConfig) -> Bundle:
        """Return the verified bundle of a voice, fetched unless it is here. A damaged one is fetched again once.

        Parameters
        ----------
        voice : VoiceConfig
            Where the bundle is, and its digest.

        Returns
        -------
        Bundle
            The bundle, whose files match their digests.

        Raises
        ------
        InputError
            If the address holds another revision than the one configured, or if the bundle is malformed.
        StorageError
            If it cannot be fetched.
        """
        folder = _resolve_local_folder(voice.uri)
        if folder is not None:
            return _load(folder, voice)
        folder = self._path(voice)
        with self._lock(voice):
            if (folder / MANIFEST).is_file():
                try:
                    return _load(folder, voice)
                except InputError:
                    shutil.rmtree(folder, ignore_errors=True)
            fetch_tree(connect(voice.uri, voice.storage.s3_options()), "", folder)
            try:
                return _load(folder, voice)
            except InputError:
                shutil.rmtree(folder, ignore_errors=True)  # what is published may be repaired
                raise

    def read_manifest(self, voice: VoiceConfig) -> VoiceManifest:
        """Read voice.json of a voice without its graphs, and check that it is of the configured revision.

        Parameters
        ----------
        voice : VoiceConfig
            Where the bundle is, and its digest.

        Returns
        -------
        VoiceManifest
            The manifest.

        Raises
        ------
        InputError
            If there is none, if it is of another revision, or if it is malformed.
        StorageError
            If storage cannot be read.
        """
        folder = _resolve_local_folder(voice.uri)
        if folder is None:
            folder = self._path(voice)
            if not (folder / MANIFEST).is_file():
                return _parse_manifest(self._read_remote_manifest(voice), voice)
        try:
            return _parse_manifest((folder / MANIFEST).read_bytes(), voice)
        except FileNotFoundError:
            raise InputError(f"{voice.uri} is not a voice bundle: it has no {MANIFEST}") from None

    def _read_remote_manifest(self, voice: VoiceConfig) -> bytes:
        """Return the manifest as it was kept when it was first read, or read it from storage and keep it."""
        kept = self._path(voice).with_suffix(".json")
        if kept.is_file() and f"sha256:{hash_text(data := kept.read_bytes())}" == voice.revision:
            return data
        storage = connect(voice.uri, voice.storage.s3_options())
        if not storage.exists(MANIFEST):
            raise InputError(f"{voice.uri} is not a voice bundle: it has no {MANIFEST}; release the voice again")
        data = storage.read(MANIFEST)
        _check_revision(f"sha256:{hash_text(data)}", voice)
        with self._lock(voice):
            temporary = kept.with_suffix(".json.part")
            temporary.write_bytes(data)
            temporary.replace(kept)
        return data

    def _path(self, voice: VoiceConfig) -> Path:
        return self.folder / voice.revision.removeprefix("sha256:")

    @contextmanager
    def _lock(self, voice: VoiceConfig) -> Iterator[None]:
        """Let one thread of one process at a time fetch a revision. The lock ends with the process that holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._path(voice).with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _resolve_local_folder(uri: str) -> Path | None:
    """Return the folder of an address on this machine, None for remote ones."""
    if uri.startswith("builtin://"):
        return builtin_voice(uri)
    if uri.startswith("file://"):
        return Path(unquote(urlparse(uri).path))
    return None if re.match(r"^[a-z0-9]+://", uri) else Path(uri)


def _load(folder: Path, voice: VoiceConfig) -> Bundle:
    bundle = load_bundle(folder)
    _check_revision(bundle.digest, voice)
    return bundle


def _parse_manifest(data: bytes, voice: VoiceConfig) -> VoiceManifest:
    _check_revision(f"sha256:{hash_text(data)}", voice)
    try:
        return VoiceManifest.model_validate_json(data)
    except ValidationError as error:
        problems = describe_errors(error.errors())
        raise InputError(f"{voice.uri}/{MANIFEST} cannot be read as a voice manifest", problems) from None


def _check_revision(digest: str, voice: VoiceConfig) -> None:
    if digest != voice.revision:
        raise InputError(
            f"{voice.uri} holds revision {digest}, but voice {voice.name} is configured with {voice.revision}; "
            "correct the revision or the uri"
        )
