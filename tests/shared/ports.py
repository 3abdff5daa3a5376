"""Free ports of loopback."""

import random
import socket

PORTS = range(20000, 30000)
"""Below the ports that Linux gives to outgoing connections: none takes one before the server under test binds it."""


def free_port(host="127.0.0.1"):
    """Return a port that nothing listens on."""
    return next(port for port in random.sample(PORTS, len(PORTS)) if _is_free(host, port))


def _is_free(host, port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
