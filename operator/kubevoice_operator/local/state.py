"""What is kept on this machine of each VoiceModel: as it was brought up, its status, its run, and its pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubevoice.errors import InputError
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel
from kubevoice.resources.voicepool import VoicePool
from kubevoice.validation import CamelModel
from pydantic import ValidationError

from kubevoice_operator.local.files import write_atomically

__all__ = ["Group", "LocalState"]


@dataclass(frozen=True, slots=True)
class Group:
    """VoiceModels that are served together, and the pool whose settings hold for all of them."""

    pool: VoicePool
    models: tuple[VoiceModel, ...]


class _Membership(CamelModel):
    """The file of a VoiceModel that was brought up in a group."""

    pool: VoicePool
    voices: tuple[str, ...]


class LocalState:
    """Files of the state folder, by name of the VoiceModel.

    Parameters
    ----------
    home
        The state folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def run_file(self, name: str) -> Path:
        """Return where the run of a VoiceModel is recorded (see `RunRecord`).

        Parameters
        ----------
        name
            The VoiceModel's name.

        Returns
        -------
        Path
            It need not exist.
        """
        return self._home / "runs" / f"{name}.json"

    def read_status(self, name: str) -> VoiceModelStatus:
        """Read the status that was written last.

        Parameters
        ----------
        name
            The VoiceModel's name.

        Returns
        -------
        VoiceModelStatus
            Empty if there is none that can be read.
        """
        try:
            return VoiceModelStatus.model_validate_json(self._status_file(name).read_bytes())
        except (OSError, ValidationError):
            return VoiceModelStatus()

    def write_status(self, name: str, status: VoiceModelStatus) -> None:
        """Write the status of a VoiceModel.

        Parameters
        ----------
        name
            The VoiceModel's name.
        status
            The status.
        """
        write_atomically(self._status_file(name), status.model_dump_json(by_alias=True, indent=1))

    def model(self, name: str) -> VoiceModel:
        """Read a VoiceModel as it was last brought up.

        Parameters
        ----------
        name
            The VoiceModel's name.

        Returns
        -------
        VoiceModel
            As it was saved.

        Raises
        ------
        InputError
            If it was never brought up, or cannot be read.
        """
        try:
            return VoiceModel.model_validate_json(self._model_file(name).read_bytes())
        except (OSError, ValidationError):
            raise InputError(
                f"there is no VoiceModel {name!r} here that can be brought up again; run kubevoice up -f FILE"
            ) from None

    def group(self, name: str) -> Group | None:
        """Read the group that a VoiceModel was last brought up in.

        Parameters
        ----------
        name
            The VoiceModel's name.

        Returns
        -------
        Group or None
            None if it was brought up alone.

        Raises
        ------
        InputError
            If a VoiceModel of the group cannot be read.
        """
        try:
            membership = _Membership.model_validate_json(self._group_file(name).read_bytes())
        except (OSError, ValidationError):
            return None
        return Group(membership.pool, tuple(self.model(voice) for voice in membership.voices))

    def save(self, models: Sequence[VoiceModel], pool: VoicePool | None = None) -> None:
        """Save VoiceModels that were brought up together, so that they can be brought up again by name.

        Parameters
        ----------
        models
            The VoiceModels.
        pool
            The pool that serves them; None for one VoiceModel that is served alone.
        """
        voices = tuple(model.metadata.name for model in models)
        for model in models:
            write_atomically(self._model_file(model.metadata.name), model.model_dump_json(by_alias=True, indent=1))
            group_file = self._group_file(model.metadata.name)
            if pool is None:
                group_file.unlink(missing_ok=True)
            else:
                membership = _Membership(pool=pool, voices=voices)
                write_atomically(group_file, membership.model_dump_json(by_alias=True, indent=1))

    def names(self) -> list[str]:
        """List the VoiceModels that were ever brought up here.

        Returns
        -------
        list of str
            Their names, sorted.
        """
        return sorted({path.stem for folder in ("status", "runs") for path in (self._home / folder).glob("*.json")})

    def _status_file(self, name: str) -> Path:
        return self._home / "status" / f"{name}.json"

    def _model_file(self, name: str) -> Path:
        return self._home / "models" / f"{name}.json"

    def _group_file(self, name: str) -> Path:
        return self._home / "groups" / f"{name}.json"
