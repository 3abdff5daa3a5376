"""The operator's HTTP server: probes and metrics."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubevoice_operator.cluster.metrics import OperatorMetrics

__all__ = ["serve"]


async def serve(port: int, metrics: OperatorMetrics, find_problem: Callable[[], str | None]) -> web.AppRunner:
    """Serve /healthz, /readyz and /metrics on `port` until the runner is cleaned up.

    Parameters
    ----------
    port
        The port to listen on, on all addresses.
    metrics
        What /metrics shows.
    find_problem
        Returns what is wrong with this process, or None. If something is, /healthz answers 503 and the kubelet restarts
        the container. /readyz answers 200 as soon as the process runs, also in a replica that waits to lead.

    Returns
    -------
    AppRunner
        aiohttp's runner of the server.
    """

    async def healthz(_: web.Request) -> web.Response:
        problem = find_problem()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
