"""Runs a node for manual tests: prints its KUBECONFIG, and ends it on Ctrl-C."""

# ruff: noqa: T201  # output for people
import signal
import sys
import time

import testcluster


def main() -> int:
    """Run a node until this process is interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    try:
        with testcluster.node() as cluster:
            print(f"A node is ready after {time.monotonic() - began:.0f} s. In another shell:\n")
            print(f"  export KUBECONFIG={cluster.kubeconfig}")
            print(f"  export PATH={cluster.kubectl_path.parent}:$PATH\n")
            print(f"Ctrl-C ends it. Logs: {cluster.scratch.parent / 'logs'}", flush=True)
            signal.pause()
    except testcluster.UnavailableError as lack:
        print(lack, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
