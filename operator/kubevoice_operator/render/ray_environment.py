"""The environment of Ray's nodes, with which Ray Serve and its proxy are set up."""

import json

__all__ = ["DRAIN_SECONDS", "PROXY_ENVIRONMENT", "RAY_ENVIRONMENT"]

DRAIN_SECONDS = 180
"""Time for a replica that is stopped to finish its requests: the longest text allowed takes about this long."""
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would connect to a server outside the cluster
    # By default replicas and the ingress deployment yield to every other process (nice 15).
    "RAY_worker_niceness": "0",
    # Our code does not block the event loop, so it needs no loop of its own: passing requests between two loops is a
    # third of Ray's cost of a request.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
"""The environment of every node."""
RETRY_SECONDS = 5
_UNAVAILABLE = json.dumps(
    {
        "error": {
            "message": f"the voice cannot be reached now; try again in {RETRY_SECONDS} s",
            "type": "server_error",
            "code": "unavailable",
            "param": None,
            "problems": [],
        }
    }
)
_PROXY_SETTINGS = (
    "option forwardfor",  # forwards the client's address
    # Ends requests to a head that is gone without a word.
    *("option srvtcpka", "srvtcpka-idle 5s", "srvtcpka-intvl 2s", "srvtcpka-cnt 3"),
)
_PROXY_ERRORS = tuple(
    f"http-error status {status} content-type application/json string '{_UNAVAILABLE}' hdr Retry-After {RETRY_SECONDS}"
    for status in (502, 503, 504)
)
"""HAProxy's own errors in the form of the API's. Ray's are 500 in plain text."""
PROXY_ENVIRONMENT = {
    # HAProxy takes 6 ms less a request than Ray's own proxy. It listens on all addresses and shows its statistics to
    # anybody, so it is not used on a user's own machine.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # When the ingress deployment moves, a new HAProxy takes over and the old one finishes its requests.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(DRAIN_SECONDS),
    # While the head is replaced, callers get an error after two seconds. By default they wait for 20.
    "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "1",
    "RAY_SERVE_HAPROXY_RETRIES": "1",
    # Ray has no settings for what follows, but copies these two into HAProxy's defaults section: one before its own
    # error messages, one after.
    "RAY_SERVE_HAPROXY_RETRY_ON": "\n    ".join(("conn-failure", *_PROXY_SETTINGS)),
    "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": "\n    ".join(("leastconn", *_PROXY_ERRORS)),
}
"""Further environment of nodes on Kubernetes."""
