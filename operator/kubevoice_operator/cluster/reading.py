"""VoiceModels as the API server sent them, read."""

from typing import Any

from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import VoiceModel, VoiceModelSpec
from pydantic import ValidationError

from kubevoice_operator.cluster.cache import Key

__all__ = ["Reader"]


class Reader:
    """Reads VoiceModels. A spec is checked once: that takes longer than all the rest, and it seldom changes."""

    def __init__(self) -> None:
        self._specs: dict[Key, tuple[Any, VoiceModelSpec]] = {}

    def read(self, key: Key, raw: Any) -> VoiceModel:
        """Return a VoiceModel; a status that cannot be read is ours to write anew. Raises ValidationError."""
        version = (raw["metadata"].get("uid"), raw["metadata"].get("generation"))
        known = self._specs.get(key)
        spec = known[1] if known is not None and known[0] == version else raw.get("spec")
        try:
            status = VoiceModelStatus.model_validate(raw.get("status") or {})
        except ValidationError:
            status = VoiceModelStatus()
        model = VoiceModel.model_validate({**raw, "spec": spec, "status": status})
        self._specs[key] = (version, model.spec)
        return model

    def forget(self, key: Key) -> None:
        """Forget a VoiceModel that is gone."""
        self._specs.pop(key, None)
