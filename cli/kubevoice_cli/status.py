"""`status`: VoiceModels of this machine or of a cluster."""

import json
from typing import Annotated

import typer
from kubevoice.digests import short_digest
from kubevoice.errors import InputError
from kubevoice.resources.conditions import ConditionType, Reason, State, find_condition
from kubevoice.resources.status import VoiceModelStatus
from kubevoice_operator.local.backend import LocalBackend
from rich.table import Table

from kubevoice_cli.cluster import Cluster
from kubevoice_cli.console import answers, home, plain
from kubevoice_cli.up import DEFAULT_PORT, Port, with_home

__all__ = ["Namespace", "status"]

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace in the cluster of your kubeconfig. [this machine]"),
]


def status(
    name: Annotated[str | None, typer.Argument(help="VoiceModel; all if none is named.")] = None,
    *,
    namespace: Namespace = None,
    port: Port = DEFAULT_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="The whole status as JSON.")] = False,
) -> None:
    """Show the VoiceModels of this machine or of a cluster; of one that is named, its revisions, too.

    Parameters
    ----------
    name : str or None
        Name of the VoiceModel; None is all.
    namespace : Namespace
        Namespace in a cluster; None is this machine.
    port : Port
        Port of the server on this machine.
    as_json : bool
        Whether the statuses are printed as JSON.

    Raises
    ------
    InputError
        If there is no such VoiceModel.
    KubeVoiceError
        If the cluster cannot be reached.
    """
    if namespace is not None:
        cluster = Cluster(namespace)
        states = {name: cluster.get(name)[0]} if name else cluster.list_statuses()
        served = set(states)
    else:
        states, served = _read_local_statuses(name, port)
    if as_json:
        statuses = {each: state.model_dump(mode="json", by_alias=True) for each, state in states.items()}
        answers.print(plain(json.dumps(statuses, ensure_ascii=False, indent=1)))
        return
    answers.print(_build_overview(states, served))
    if namespace is None and served:
        answers.print(plain(f"\nRequests and errors are in: {with_home('kubevoice logs')}"))
    for each, state in states.items():
        ready = find_condition(state.conditions, ConditionType.READY)
        if ready is not None and ready.status is not State.TRUE and (name or ready.reason is Reason.INTERRUPTED):
            answers.print(plain(f"\n{each} is not ready: {ready.reason}: {ready.message}"))
    if name is not None:
        _print_revisions(states[name])


def _read_local_statuses(name: str | None, port: int) -> tuple[dict[str, VoiceModelStatus], set[str]]:
    """Return the statuses written on this machine, and the voices that are served now."""
    backend = LocalBackend(home(), port)
    names = backend.state.names()
    if name is not None and name not in names:
        raise InputError(
            f"there is no VoiceModel {name!r} here; there are: {', '.join(names) or 'none'}. "
            "For one of a cluster, add -n NAMESPACE"
        )
    running = backend.serving.observe()
    served = {voice for replica in (running.replicas if running else ()) for voice in replica.voices}
    return {each: backend.status(each) for each in ([name] if name else names)}, served


def _build_overview(states: dict[str, VoiceModelStatus], served: set[str]) -> Table:
    table = Table("NAME", "PHASE", "PROGRESS", "REVISION", "READY", "URL", box=None)
    for each, state in states.items():
        up_now = each in served
        ready = state.serving.replicas.ready if up_now else 0
        table.add_row(
            each,
            _phase(state, up_now=up_now),
            state.display.progress or f"{state.training.percent:g}%",
            short_digest(state.serving.revision or state.serving.target_revision or ""),
            f"{ready}/{state.serving.replicas.desired}",
            state.serving.url if up_now else "",
        )
    return table


def _phase(state: VoiceModelStatus, *, up_now: bool) -> str:
    """Return the phase in one word; a voice that was ready and is not served is stopped."""
    ready = find_condition(state.conditions, ConditionType.READY)
    if ready is not None and ready.reason is Reason.INTERRUPTED:
        return "Interrupted"
    return str(state.phase) if up_now or state.phase != "Ready" else "Stopped"


def _print_revisions(state: VoiceModelStatus) -> None:
    if not state.revisions:
        return
    table = Table("REVISION", "STATE", "RELEASED", "VERDICT", "WHY", box=None)
    for revision in state.revisions:
        released = f"{revision.created_at:%Y-%m-%d %H:%M}"
        table.add_row(short_digest(revision.digest), revision.state, released, revision.verdict, plain(revision.reason))
    answers.print()
    answers.print(table)
