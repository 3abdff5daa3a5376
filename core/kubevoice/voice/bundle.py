"""Read, verify and seal bundle folders.

A bundle's digest, the revision, is the SHA-256 of its voice.json, which lists the digest of every other file.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from kubevoice.digests import hash_file
from kubevoice.errors import InputError
from kubevoice.text.front_end_config import LEXICON_FILE, English, FrontEndConfig
from kubevoice.text.lexicon import has_neutral_tones, read_lexicon
from kubevoice.validation import describe_errors
from kubevoice.voice.manifest import GRAPHS, VoiceManifest

__all__ = ["Bundle", "bundle_digest", "load_bundle", "seal_bundle"]

MANIFEST = "voice.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk that `load_bundle` has checked."""

    path: Path
    manifest: VoiceManifest
    digest: str

    def front_end_config(self) -> FrontEndConfig:
        """Read the voice's settings of the front end.

        Returns
        -------
        FrontEndConfig
            The settings, with its lexicon.

        Raises
        ------
        InputError
            If the lexicon is damaged.
        """
        english: English = "phones" if self.manifest.english else "syllables"
        if LEXICON_FILE not in self.manifest.files:
            return FrontEndConfig(english=english)
        text = (self.path / LEXICON_FILE).read_text(encoding="utf-8")
        lexicon = read_lexicon(text, str(self.path / LEXICON_FILE))
        return FrontEndConfig(lexicon, english, neutral_tones=has_neutral_tones(text))


def bundle_digest(path: Path) -> str:
    """Compute the revision of a bundle.

    Parameters
    ----------
    path
        Its folder.

    Returns
    -------
    str
        "sha256:" and 64 hex digits.
    """
    return f"sha256:{hash_file(path / MANIFEST)}"


def load_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Read and verify a bundle.

    Parameters
    ----------
    path
        The bundle's folder.
    verify
        Whether to read every file and compare its digest; otherwise only its presence is checked.

    Returns
    -------
    Bundle
        The bundle, with its manifest and its digest.

    Raises
    ------
    InputError
        If voice.json is missing or invalid, or a file is missing, changed or outside the folder.
    """
    try:
        manifest = VoiceManifest.model_validate_json((path / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{path} is not a voice bundle: it has no {MANIFEST}; name a folder that release wrote"
        ) from None
    except ValidationError as error:
        problems = describe_errors(error.errors())
        raise InputError(f"{path / MANIFEST} cannot be read as a voice manifest", problems) from None
    checked = [verify_file(path, name, digest, read=verify) for name, digest in manifest.files.items()]
    checked += [f"{name}: not listed in {MANIFEST}" for name in GRAPHS if name not in manifest.files]
    if problems := [problem for problem in checked if problem]:
        raise InputError(f"voice bundle {path} is damaged; fetch or release it again", problems)
    return Bundle(path, manifest, bundle_digest(path))


def verify_file(path: Path, name: str, digest: str, *, read: bool) -> str | None:
    """Check a file of a bundle.

    Parameters
    ----------
    path
        The bundle's folder.
    name
        The file.
    digest
        What voice.json says.
    read
        Whether to compute its digest; if not, only its existence is checked.

    Returns
    -------
    str or None
        What is wrong; None if nothing is.
    """
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        return f"{name}: path leaves the bundle"
    if not (path / name).is_file():
        return f"{name}: missing"
    if read and hash_file(path / name) != digest:
        return f"{name}: content differs from its digest"
    return None


def seal_bundle(path: Path, manifest: VoiceManifest) -> Bundle:
    """Write voice.json with the digest of each file in a folder: the last step of a release.

    Parameters
    ----------
    path
        The folder.
    manifest
        What voice.json says beside the digests.

    Returns
    -------
    Bundle
        The bundle.
    """
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file() and p.name != MANIFEST)
    sealed = manifest.model_copy(update={"files": {name: hash_file(path / name) for name in names}})
    temporary = path / f".{MANIFEST}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(sealed.model_dump_json(by_alias=True, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path / MANIFEST)
    return Bundle(path, sealed, bundle_digest(path))
