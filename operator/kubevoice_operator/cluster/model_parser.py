"""Parses VoiceModels as the API server sent them."""

from typing import Any

from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel, VoiceModelSpec
from pydantic import ValidationError

from kubevoice_operator.cluster.keys import Key

__all__ = ["VoiceModelParser"]


class VoiceModelParser:
    """Parses VoiceModels. A spec is validated once a generation, because validation is slow."""

    def __init__(self) -> None:
        self._specs: dict[Key, tuple[Any, VoiceModelSpec]] = {}

    def parse(self, key: Key, raw: Any) -> VoiceModel:
        """Parse a VoiceModel.

        Parameters
        ----------
        key
            Its namespace and name.
        raw
            The object as the API server sent it.

        Returns
        -------
        VoiceModel
            A status that cannot be parsed is replaced by an empty one.

        Raises
        ------
        ValidationError
            If the spec is not valid.
        """
        version = (raw["metadata"].get("uid"), raw["metadata"].get("generation"))
        cached = self._specs.get(key)
        spec = cached[1] if cached is not None and cached[0] == version else raw.get("spec")
        try:
            status = VoiceModelStatus.model_validate(raw.get("status") or {})
        except ValidationError:
            status = VoiceModelStatus()
        model = VoiceModel.model_validate({**raw, "spec": spec, "status": status})
        self._specs[key] = (version, model.spec)
        return model

    def forget(self, key: Key) -> None:
        """Drop the parsed spec of a VoiceModel that is gone.

        Parameters
        ----------
        key
            Namespace and name of the VoiceModel.
        """
        self._specs.pop(key, None)
