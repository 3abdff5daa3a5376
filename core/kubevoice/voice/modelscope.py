"""ModelScope voice folders: which voices one holds and where their parts are; reads no weights.

The format is described in docs/reference/modelscope-format.md.

Folders are not trusted: files are read by safe parsers up to a maximum size, and a name in one never leads out of it.
"""

import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from kubevoice.errors import InputError

__all__ = ["ModelPart", "ModelScopeVoice", "find_voices", "get_setting", "read_model_part", "summarize_value"]

LARGEST_TEXT = 1 << 20
"""Bytes; the configurations have a few kilobytes."""
PART_FOLDERS = (("am", "voc"), ("sambert", "hifigan"), ("tmp_am", "tmp_voc"))
"""What the folders of acoustic model and vocoder are called: in a voice, in a base model, in a trainer's folder."""
CHECKPOINT = re.compile(r"checkpoint[_-](\d{1,12})\.pth")
"""With a hyphen where the reference's crash handler wrote it."""
SIMPLE_NAME = re.compile(r"(?!\.)[^/\\\0]{1,100}")


@dataclass(frozen=True, slots=True)
class ModelPart:
    """The acoustic model or the vocoder of a voice: its configuration and its newest checkpoint."""

    config: Mapping[str, Any]
    config_file: Path
    checkpoint: Path
    folder: Path
    elsewhere: Mapping[str, Path] = field(default_factory=dict)
    """Files that were named outright, by what they are called in a folder."""

    def find_beside(self, name: str) -> Path | None:
        """Find another file of this part.

        Parameters
        ----------
        name
            Name of the file in the part's folder.

        Returns
        -------
        Path or None
            The file, or the one that was named for it; None if there is neither.
        """
        path = self.elsewhere.get(name, self.folder / name)
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class ModelScopeVoice:
    """One voice of a folder."""

    name: str
    acoustic: ModelPart
    vocoder: ModelPart


class _Loader(yaml.SafeLoader):
    """Knows no merge keys: nested, they grow without end, and no configuration that was dumped has them."""

    @override
    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        pass


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file")
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(f"{path} has more than {LARGEST_TEXT >> 20} MiB, too large for a configuration")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None


def read_config(path: Path) -> Mapping[str, Any]:
    """Read a YAML configuration.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Mapping
        Its content.

    Raises
    ------
    InputError
        If it is damaged or not a mapping.
    """
    try:
        config = yaml.load(_read_text(path), _Loader)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not valid YAML: {reason}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no configuration, but {type(config).__name__}")
    return config


def get_setting(config: Mapping[str, Any], path: str, file: Path) -> Any:
    """Look up a setting.

    Parameters
    ----------
    config
        The configuration.
    path
        Keys, joined by dots.
    file
        The configuration's file, for the message.

    Returns
    -------
    Any
        The value.

    Raises
    ------
    InputError
        If it is missing; the message names file and key.
    """
    value: Any = config
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise InputError(f"{file}: {path} is missing")
        value = value[key]
    return value


def summarize_value(value: Any) -> str:
    """Shorten an untrusted value for a message.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    str
        A few characters.
    """
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return "a number far too long"


def _newest_checkpoint(folder: Path) -> Path:
    numbered = [(int(m[1]), p) for p in folder.glob("*") if (m := CHECKPOINT.fullmatch(p.name)) and p.is_file()]
    if not numbered:
        raise InputError(f"{folder} holds no checkpoint_NUMBER.pth")
    return max(numbered)[1]


def read_model_part(folder: Path) -> ModelPart:
    """Read `config.yaml` and find the newest of `ckpt/checkpoint_NUMBER.pth`.

    Parameters
    ----------
    folder
        Folder of the acoustic model or of the vocoder.

    Returns
    -------
    ModelPart
        Configuration and checkpoint.

    Raises
    ------
    InputError
        If either is missing.
    """
    config_file = folder / "config.yaml"
    return ModelPart(read_config(config_file), config_file, _newest_checkpoint(folder / "ckpt"), folder)


def _read_both_parts(folder: Path, name: str) -> ModelScopeVoice | None:
    for acoustic, vocoder in PART_FOLDERS:
        if (folder / acoustic).is_dir() or (folder / vocoder).is_dir():
            return ModelScopeVoice(name, read_model_part(folder / acoustic), read_model_part(folder / vocoder))
    return None


def _read_index(index: Path) -> list[str]:
    """Return the names in voices.json, the first being the default."""
    try:
        listing = json.loads(_read_text(index))
    except (ValueError, RecursionError):
        raise InputError(f"{index} is not valid JSON") from None
    names = listing.get("voices") if isinstance(listing, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{index}: voices must be a list of names")
    for name in names:
        if not SIMPLE_NAME.fullmatch(name):
            raise InputError(f"{index}: voices names {name!r}, which is not the name of a folder beside it")
    return list(dict.fromkeys(names))


def _named_voice(file: Path) -> ModelScopeVoice:
    """Read a voice from a mapping that names its files, as ModelScope's pipelines take it (`custom_ckpt`).

    Paths are taken from the mapping's own folder.
    """
    named = read_config(file)

    def path(key: str) -> Path | None:
        value = named.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or "\0" in value:
            raise InputError(f"{file}: {key} is {summarize_value(value)}; the path of a file was expected")
        return file.parent / value

    def read_part(kind: str, elsewhere: Mapping[str, Path | None]) -> ModelPart:
        checkpoint, config_file = path(f"{kind}_ckpt"), path(f"{kind}_config")
        if checkpoint is None or config_file is None:
            raise InputError(
                f"{file}: {kind}_ckpt or {kind}_config is missing; name the checkpoint and its config.yaml"
            )
        if checkpoint.is_dir():
            checkpoint = _newest_checkpoint(checkpoint)
        audio = path("audio_config")
        config = {**read_config(config_file), **(read_config(audio) if audio else {})}
        named_files = {name: path for name, path in elsewhere.items() if path is not None}
        return ModelPart(config, config_file, checkpoint, config_file.parent, named_files)

    name = named.get("voice_name", file.stem)
    if not isinstance(name, str) or not SIMPLE_NAME.fullmatch(name):
        raise InputError(f"{file}: voice_name is {summarize_value(name)}, which is not the name of a voice")
    acoustic = read_part("am", {"se.npy": path("se_file"), "mvn.npy": path("mvn_file")})
    return ModelScopeVoice(name, acoustic, read_part("voc", {}))


def find_voices(root: Path) -> list[ModelScopeVoice]:
    """Find the voices of a model folder, of a base model's folder, or of a single voice's folder.

    Parameters
    ----------
    root
        The folder, or a file that names the parts of one voice.

    Returns
    -------
    list of ModelScopeVoice
        The default voice first.

    Raises
    ------
    InputError
        If there is none, or a part of one is missing or damaged.
    """
    if root.is_file():
        return [_named_voice(root)]
    if not root.is_dir():
        raise InputError(f"{root} is not there; name the folder of a ModelScope voice")
    voices_dir = root / "voices"
    if voices_dir.is_dir():
        index = voices_dir / "voices.json"
        names = _read_index(index) if index.is_file() else sorted(p.name for p in voices_dir.iterdir() if p.is_dir())
        candidates = [(voices_dir / name, name) for name in names]
    elif voice := _read_both_parts(root, root.resolve().name):
        return [voice]
    else:
        candidates = [(path, path.name) for path in sorted(root.glob("basemodel_*"))]
    voices = []
    for folder, name in candidates:
        voice = _read_both_parts(folder, name)
        if voice is None:
            raise InputError(f"{folder} holds no voice: it needs the folders am and voc")
        voices.append(voice)
    if not voices:
        raise InputError(
            f"{root} holds no ModelScope voice: it has neither voices/NAME/{{am,voc}} nor {{sambert,hifigan}} in it"
        )
    return voices
