"""The operator's own HTTP: probes for the kubelet, metrics for Prometheus."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubevoice_operator.cluster.metrics import Metrics

__all__ = ["serve"]


async def serve(port: int, metrics: Metrics, complaint: Callable[[], str | None]) -> web.AppRunner:
    """Serve /healthz, /readyz and /metrics on `port` until the runner is cleaned up.

    `complaint` says what is wrong with this process, if something is: then /healthz answers 503, and the kubelet
    starts it anew. /readyz answers as soon as the process runs: a replica that waits to lead is ready to.
    """

    async def healthz(_: web.Request) -> web.Response:
        wrong = complaint()
        return web.Response(text=wrong or "ok", status=503 if wrong else 200)

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
