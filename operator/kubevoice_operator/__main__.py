"""What the operator's container runs: `python -m kubevoice_operator`."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kubevoice_operator.cluster import logs
from kubevoice_operator.cluster.keys import Key
from kubevoice_operator.cluster.options import Options
from kubevoice_operator.cluster.process import Ending, run_operator
from kubevoice_operator.render.names import Images

__all__ = ["main"]

logger = logging.getLogger(__name__)
FAILED = 1
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"


def _options(arguments: Sequence[str] | None) -> tuple[Options, str]:
    images = Images()
    parser = argparse.ArgumentParser(prog="kubevoice_operator", description="The KubeVoice operator.")
    parser.add_argument(
        "--namespace", action="append", default=[], help="namespace to manage (repeatable); all if none is named"
    )
    parser.add_argument(
        "--lease-namespace",
        default=None,
        help="namespace of the Lease; by default the first managed one, or the operator's own",
    )
    parser.add_argument("--lease-name", default="kubevoice-operator")
    parser.add_argument("--no-election", action="store_true", help="act without a Lease: for a single local process")
    parser.add_argument("--port", type=int, default=8080, help="port of /healthz, /readyz and /metrics")
    parser.add_argument("--training-image", default=images.training, help="image of stages that name none")
    parser.add_argument("--serving-image", default=images.serving, help="image of replicas that name none")
    parser.add_argument(
        "--image-pull-secret",
        action="append",
        default=[],
        help="Secret that pods of stages and replicas pull with, of their namespace (repeatable)",
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    args = parser.parse_args(arguments)
    lease_namespace = args.lease_namespace or (args.namespace[0] if args.namespace else _own_namespace())
    if args.namespace and lease_namespace not in args.namespace:
        # The operator watches the Lease to see that its watches work.
        parser.error(f"--lease-namespace {lease_namespace} must be one of the managed namespaces")
    options = Options(
        identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}",
        lease=Key(lease_namespace, args.lease_name),
        namespaces=tuple(args.namespace),
        port=args.port,
        images=Images(args.training_image, args.serving_image, tuple(args.image_pull_secret)),
        elect=not args.no_election,
    )
    return options, args.log_level


async def _main(options: Options) -> NoReturn:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ending = None
    try:
        ending = await run_operator(options, stop)
    except Exception:
        logger.exception("the operator failed")
    logging.shutdown()
    if ending is Ending.MUST_RESTART:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # this process's own command line
    # At once: another replica may lead already. asyncio.run would wait for tasks of kopf that do not end when they are
    # cancelled, and for lookups of names, which end only when the DNS server's time is up.
    os._exit(0 if ending is Ending.STOPPED else FAILED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the operator until it is stopped, then end the process.

    The exit code is 0, or 1 if the Lease was lost or the operator failed, so that Kubernetes restarts it. The process
    replaces itself when it must start again.

    Parameters
    ----------
    arguments
        Command line; None takes the process's.
    """
    options, level = _options(arguments)
    logs.configure(level)
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
