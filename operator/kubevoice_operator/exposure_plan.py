"""Which exposure objects to apply and to delete: the Ingress, HTTPRoute and NetworkPolicy of a voice. Pure."""

from dataclasses import dataclass
from typing import Any

from kubevoice.resources.voicemodel import VoiceModel

from kubevoice_operator.observed_state import ObservedState
from kubevoice_operator.render.exposure import render_exposure
from kubevoice_operator.render.names import content_hash

__all__ = ["ExposurePlan", "plan_exposure"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExposurePlan:
    """What spec.serving.expose asks for, and how that differs from what was applied last.

    Attributes
    ----------
    kinds
        Kinds of the objects that should exist; empty on one machine.
    apply
        Those that do not exist as they should.
    remove
        Kinds of objects that exist and should not.
    """

    kinds: tuple[str, ...] = ()
    apply: tuple[Object, ...] = ()
    remove: tuple[str, ...] = ()


def plan_exposure(model: VoiceModel, observed: ObservedState) -> ExposurePlan:
    """Render the exposure objects once and compare them with those that were applied last.

    Parameters
    ----------
    model
        The VoiceModel.
    observed
        Which exposure objects exist.

    Returns
    -------
    ExposurePlan
        What to apply and to delete, and what is missing in the cluster.
    """
    if (exposure := observed.exposure) is None:
        return ExposurePlan()
    desired = {item["kind"]: item for item in render_exposure(model)}
    return ExposurePlan(
        kinds=tuple(desired),
        apply=tuple(item for kind, item in desired.items() if exposure.applied.get(kind) != content_hash(item)),
        remove=tuple(kind for kind in exposure.applied if kind not in desired),
    )
