"""`rollback`: serve an older revision until the pin is removed."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from kubevoice.digests import short_digest
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.status import Revision, RevisionState
from kubevoice.resources.voicemodel import VoiceModel
from kubevoice_operator.local.backend import LocalBackend, UpCallbacks
from kubevoice_operator.local.state import Group

from kubevoice_cli.cluster import Cluster
from kubevoice_cli.console import errors, home, plain
from kubevoice_cli.status import Namespace
from kubevoice_cli.up import DEFAULT_PORT, Port, with_home

__all__ = ["choose_revision", "rollback"]

ANSWERING = (RevisionState.SERVING, RevisionState.CANARY)
GOOD = (RevisionState.SERVING, RevisionState.SUPERSEDED)


def _list_revisions(revisions: tuple[Revision, ...]) -> str:
    return ", ".join(f"{short_digest(r.digest)} ({r.state})" for r in revisions) or "none"


def choose_revision(revisions: tuple[Revision, ...], prefix: str | None) -> Revision:
    """Choose the revision to roll back to.

    Parameters
    ----------
    revisions : tuple of Revision
        History of the voice, newest first.

    Returns
    -------
    Revision
        The revision to pin.

    Raises
    ------
    InputError
        If no revision matches, or more than one.
    """
    if prefix is not None:
        digits = prefix.lower().removeprefix("sha256:")
        matches = [r for r in revisions if digits and r.digest.removeprefix("sha256:").startswith(digits)]
        if not matches:
            raise InputError(f"no revision begins with {prefix!r}; there are: {_list_revisions(revisions)}")
        if len(matches) > 1:
            raise InputError(
                f"{prefix!r} matches several revisions: {_list_revisions(tuple(matches))}; give more digits"
            )
        return matches[0]
    answering = next((i for i, r in enumerate(revisions) if r.state in ANSWERING), None)
    if answering is None:
        raise InputError(f"no revision serves now; name one of: {_list_revisions(revisions)}")
    older = [r for r in revisions[answering + 1 :] if r.state in GOOD]
    if not older:
        raise InputError(f"no revision is older than the one that serves; there are: {_list_revisions(revisions)}")
    return older[0]


def rollback(
    name: Annotated[str, typer.Argument(help="VoiceModel.", show_default=False)],
    revision: Annotated[
        str | None, typer.Argument(help="Digest of a revision, or its first digits. [the one before the serving one]")
    ] = None,
    *,
    namespace: Namespace = None,
    undo: Annotated[bool, typer.Option("--undo", help="Remove the pin and serve the newest revision.")] = False,
    port: Port = DEFAULT_PORT,
) -> None:
    """Serve an older revision of a voice (spec.revision), until --undo.

    Parameters
    ----------
    name : str
        Name of the VoiceModel.
    revision : str or None
        First digits of a revision's digest; None is the revision before the serving one.
    namespace : Namespace
        Namespace in a cluster; None is this machine.
    undo : bool
        Whether the pin is removed instead.
    port : Port
        Port of the server on this machine.

    Raises
    ------
    InputError
        If there is no such VoiceModel or revision.
    KubeVoiceError
        If the cluster cannot be reached.
    """
    if undo and revision is not None:
        raise InputError(f"--undo returns to the newest revision; to serve {revision}, omit --undo")
    if namespace is not None:
        _roll_back_on_cluster(Cluster(namespace), name, revision, undo=undo)
    else:
        options = "" if port == DEFAULT_PORT else f" --port {port}"
        _roll_back_here(LocalBackend(home(), port), name, revision, undo=undo, options=options)


def _roll_back_on_cluster(cluster: Cluster, name: str, prefix: str | None, *, undo: bool) -> None:
    status, pinned = cluster.get(name)
    chosen = None if undo else choose_revision(status.revisions, prefix)
    cluster.pin(name, chosen.digest if chosen else None)
    _print_outcome(name, chosen, pinned, f" -n {cluster.namespace}", cluster.where)
    errors.print(plain(f"Watch it: kubevoice status {name} -n {cluster.namespace}"))


def _roll_back_here(backend: LocalBackend, name: str, prefix: str | None, *, undo: bool, options: str) -> None:
    model, group = backend.state.model(name), backend.state.group(name)
    chosen = None if undo else choose_revision(backend.status(name).revisions, prefix)
    pinned = _update_spec(model, revision=chosen.digest if chosen else None)
    command = with_home(f"kubevoice rollback {name} {short_digest(chosen.digest) if chosen else '--undo'}{options}")
    # A rollback does not wait for training. A changed spec or dataset is trained by the next `up`.
    change: Callable[[VoiceModel], VoiceModel] = _suspend_training if chosen else lambda each: each
    if group is None:
        backend.up(change(pinned), UpCallbacks(), command)
        backend.state.save([pinned])
    else:
        models = tuple(pinned if other.metadata.name == name else other for other in group.models)
        outcome = backend.up_pool(Group(group.pool, tuple(map(change, models))), UpCallbacks(), command)[name]
        if isinstance(outcome, KubeVoiceError):
            raise outcome
        backend.state.save(models, group.pool)
    _print_outcome(name, chosen, model.spec.revision, options, "on this machine, until the next kubevoice up -f")


def _suspend_training(model: VoiceModel) -> VoiceModel:
    return _update_spec(model, training=model.spec.training.model_copy(update={"suspend": True}))


def _update_spec(model: VoiceModel, **changes: Any) -> VoiceModel:
    return model.model_copy(update={"spec": model.spec.model_copy(update=changes)})


def _print_outcome(name: str, chosen: Revision | None, pinned: str | None, options: str, where: str) -> None:
    if chosen is None:
        before = f"no longer pinned to {short_digest(pinned)}" if pinned else "not pinned"
        errors.print(plain(f"{name} is {before} {where}: it serves its newest revision"))
        return
    rejected = f"; it was rejected: {chosen.reason}" if chosen.state is RevisionState.REJECTED else ""
    word = "stays" if pinned == chosen.digest else "is"
    errors.print(plain(f"{name} {word} pinned to revision {short_digest(chosen.digest)} {where}{rejected}"))
    errors.print(plain(f"To return to the newest: kubevoice rollback {name} --undo{options}"))
