"""Which exposure objects to apply and to delete: Ingress, HTTPRoute and NetworkPolicy of a voice or a pool. Pure."""

from dataclasses import dataclass
from typing import Any

from kubevoice_operator.observed_state import ObservedExposure
from kubevoice_operator.render.exposure import render_exposure
from kubevoice_operator.render.names import Owner, content_hash

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


def plan_exposure(owner: Owner, exposure: ObservedExposure | None) -> ExposurePlan:
    """Render the exposure objects once and compare them with those that were applied last.

    Parameters
    ----------
    owner
        The VoiceModel or VoicePool.
    exposure
        Which exposure objects exist; None on one machine.

    Returns
    -------
    ExposurePlan
        What to apply and to delete, and what is missing in the cluster.
    """
    if exposure is None:
        return ExposurePlan()
    desired = {item["kind"]: item for item in render_exposure(owner)}
    return ExposurePlan(
        kinds=tuple(desired),
        apply=tuple(item for kind, item in desired.items() if exposure.applied.get(kind) != content_hash(item)),
        remove=tuple(kind for kind in exposure.applied if kind not in desired),
    )
