"""Voices that one Ray on this machine serves together: which pool they have, and what becomes of each. Pure."""

from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.manifests import Manifests
from kubevoice.resources.serving import PoolRef, Replication
from kubevoice.resources.voicemodel import ObjectMeta, VoiceModel
from kubevoice.resources.voicepool import VoicePool, VoicePoolSpec

from kubevoice_operator.local.state import Group
from kubevoice_operator.planner import Plan

__all__ = ["choose_group", "find_target", "is_suspended", "set_pool"]

POOL_NAME = "local"
"""Name of the pool of a file that has none."""


def choose_group(manifests: Manifests) -> Group | None:
    """Choose the pool that serves all VoiceModels of a file.

    Parameters
    ----------
    manifests
        The objects of the file.

    Returns
    -------
    Group or None
        With the first VoicePool or, if there is none, one with the serving settings of the first VoiceModel. None for
        one VoiceModel without a pool, which is served alone.

    Raises
    ------
    InputError
        If a VoiceModel needs API keys that the pool does not.
    """
    models = manifests.models
    if len(models) == 1 and not manifests.pools:
        return None
    pool = manifests.pools[0] if manifests.pools else _build_pool(models[0])
    problems = [
        f"VoiceModel {model.metadata.name} has a serving.expose.auth that VoicePool {pool.metadata.name} has not; "
        "on one machine the settings of one pool hold for all voices: write a VoicePool with it into the file"
        for model in models
        if model.spec.serving.expose.auth not in (None, pool.spec.serving.expose.auth)
    ]
    if problems:
        raise InputError("the voices cannot be served together", problems)
    return Group(pool, models)


def _build_pool(model: VoiceModel) -> VoicePool:
    """Return a pool with the serving settings of a VoiceModel, which answers requests that name no voice."""
    fields = {name: getattr(model.spec.serving, name) for name in Replication.model_fields}
    serving = Replication.model_validate(fields | {"suspend": False})
    spec = VoicePoolSpec(default_voice=model.metadata.name, serving=serving)
    return VoicePool(metadata=ObjectMeta(name=POOL_NAME), spec=spec)


def set_pool(model: VoiceModel, pool: VoicePool | None) -> VoiceModel:
    """Return a VoiceModel that names a pool, with the limits of the one that it named before.

    Parameters
    ----------
    model
        The VoiceModel.
    pool
        The pool; None for none.

    Returns
    -------
    VoiceModel
        A copy.
    """
    ref = None
    if pool is not None:
        ref = (model.spec.serving.pool_ref or PoolRef(name=POOL_NAME)).model_copy(update={"name": pool.metadata.name})
    serving = model.spec.serving.model_copy(update={"pool_ref": ref})
    return model.model_copy(update={"spec": model.spec.model_copy(update={"serving": serving})})


def is_suspended(model: VoiceModel, desired: Plan) -> bool:
    """Return whether a VoiceModel is not to be served, by its own spec.

    Parameters
    ----------
    model
        The VoiceModel.
    desired
        Its plan, with no stage left to run.

    Returns
    -------
    bool
        Whether serving is suspended, or training is and there is nothing to serve yet.
    """
    nothing = desired.status.serving.target_revision is None
    return model.spec.serving.suspend or (model.spec.training.suspend and nothing)


def find_target(desired: Plan) -> str:
    """Return the revision to serve.

    Parameters
    ----------
    desired
        A plan with no stage left to run.

    Returns
    -------
    str
        Its digest.

    Raises
    ------
    KubeVoiceError
        If there is none, with the reason.
    """
    if (target := desired.status.serving.target_revision) is not None:
        return target
    released = desired.pipeline.released
    why = "; ".join(released.failures) if released else "nothing was released"
    raise KubeVoiceError(f"the quality gate refused the voice: {why}; see spec.evaluation")
