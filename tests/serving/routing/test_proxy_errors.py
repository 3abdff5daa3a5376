"""What HAProxy answers when it cannot reach the application: Ray's own HAProxy, with the environment of the pods."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from kubevoice_operator.render.ray_environment import PROXY_ENVIRONMENT
from ports import free_port

PROGRAM = """
import asyncio
import sys

from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, HTTPOptions, ServerConfig

folder, port, server_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def serve():
    config = HAProxyConfig(http_options=HTTPOptions(host="127.0.0.1", port=port), metrics_enabled=False)
    server = ServerConfig(name="ingress", host="127.0.0.1", port=server_port)
    backend = BackendConfig(name="voice", path_prefix="/", servers=[server], app_name="voice")
    proxy = HAProxyApi(config, {"voice": backend}, config_file_path=f"{folder}/haproxy.cfg")
    await proxy.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await proxy.stop()


asyncio.run(serve())
"""


@pytest.fixture
def proxy(tmp_path):
    """Address of an HAProxy whose only server does not exist."""
    files = {
        "SOCKET_PATH": "admin.sock",
        "SERVER_STATE_FILE": "state",
        "METRICS_SOCKET_PATH": "metrics.sock",
        "SERVER_STATE_BASE": "",
    }
    ports = {f"RAY_SERVE_HAPROXY_{name}_PORT": str(free_port()) for name in ("STATS", "METRICS")}
    paths = {f"RAY_SERVE_HAPROXY_{name}": str(tmp_path / file) for name, file in files.items()}
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(port), str(free_port())],
        env=os.environ | PROXY_ENVIRONMENT | ports | paths,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.communicate(timeout=60)


def test_without_the_application_the_answer_is_the_apis_error_with_a_time_to_retry(proxy):
    body = json.dumps({"input": "你好。"}).encode()
    request = urllib.request.Request(f"{proxy}/v1/audio/speech", body)  # noqa: S310  # a process of this test
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(request, timeout=30)
    answer = refused.value
    assert answer.code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/json"
    error = json.load(answer)["error"]
    assert (error["type"], error["code"]) == ("server_error", "unavailable")
    assert f"try again in {answer.headers['Retry-After']} s" in error["message"]
