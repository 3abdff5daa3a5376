"""The operator process: wait for leadership, run the operator, and end when leadership is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum, auto

from kubevoice_operator.cluster.api import KubernetesApi
from kubevoice_operator.cluster.background import background_loop
from kubevoice_operator.cluster.connection import load_client
from kubevoice_operator.cluster.data_plane import DataPlaneClient
from kubevoice_operator.cluster.leader import Election
from kubevoice_operator.cluster.lease import LeaseClient
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_operator.cluster.operator import SHUTDOWN_SECONDS, Operator
from kubevoice_operator.cluster.options import Options
from kubevoice_operator.cluster.requests import ApiRequests
from kubevoice_operator.cluster.server import serve

__all__ = ["Ending", "run_operator"]


class Ending(Enum):
    """Why the operator ended."""

    STOPPED = auto()
    LEADERSHIP_LOST = auto()
    MUST_RESTART = auto()
    """It has to watch a resource that was installed after it started."""


async def run_operator(options: Options, stop: asyncio.Event) -> Ending:
    """Run the operator until it is stopped, leadership is lost or it must start again.

    Parameters
    ----------
    options
        Options of the process.
    stop
        Set by the caller to end it.

    Returns
    -------
    Ending
        Why it ended. Unless it was stopped, the caller starts a new process.
    """
    metrics, client = OperatorMetrics(), await load_client()
    requests, data = ApiRequests(client, metrics), DataPlaneClient()
    leading: list[Operator] = []

    def find_problem() -> str | None:
        return leading[0].find_problem() if leading else None

    server = await serve(options.port, metrics, find_problem)

    async def lead() -> None:
        metrics.leading.set(1)
        leading.append(Operator(options, KubernetesApi(requests), data, metrics))
        await leading[0].run(stop)

    try:
        if not options.elect:
            await lead()
        elif not await _lead_if_elected(options, requests, stop, lead):
            return Ending.LEADERSHIP_LOST
        return Ending.MUST_RESTART if leading and leading[0].must_restart else Ending.STOPPED
    finally:
        await data.close()
        await server.cleanup()
        await client.close()  # type: ignore[no-untyped-call]


async def _lead_if_elected(
    options: Options, requests: ApiRequests, stop: asyncio.Event, lead: Callable[[], Awaitable[None]]
) -> bool:
    """Lead once elected; return True if `stop` ended it, False if leadership was lost."""
    async with background_loop() as run_in_background:
        client = await run_in_background(load_client())
        election = Election(LeaseClient(client, options.lease), options.identity)
        requests.may_write = lambda: election.is_leader
        try:
            if not await _wait_first(stop.wait(), run_in_background(election.acquire())):
                return True
            lost, leading = run_in_background(election.renew_until_lost()), asyncio.ensure_future(lead())
            await asyncio.wait({lost, leading}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                # Another process may lead already, so this one must end at once.
                leading.cancel()
                await asyncio.wait({leading}, timeout=SHUTDOWN_SECONDS)
                return False
            lost.cancel()
            with suppress(Exception):
                await run_in_background(election.release())
            await leading
            return True
        finally:
            await run_in_background(client.close())


async def _wait_first(stop: Awaitable[object], go: Awaitable[object]) -> bool:
    """Wait for either; return whether it was `go`."""
    stopping, going = asyncio.ensure_future(stop), asyncio.ensure_future(go)
    await asyncio.wait({stopping, going}, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, going):
        task.cancel()
    return going.done() and not going.cancelled()
