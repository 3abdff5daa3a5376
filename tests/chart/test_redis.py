"""The chart's Redis: the command of its container, run with the redis-server of this machine."""

import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
from chart import render_chart
from ports import free_port
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

ONCE = Retry(NoBackoff(), 0)
PASSWORD = r"""a "quoted" 'pass' $word \ with # everything"""  # noqa: S105


def container(**values):
    objects = render_chart({"redis": {"enabled": True, "megabytes": 3} | values})
    (deployment,) = (o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] == "kubevoice-redis")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


@pytest.fixture
def run(tmp_path):
    """Start a container's command on a free port, with an empty folder for what it writes."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    started = []

    def run(container, password):
        port = free_port()
        secrets = dict.fromkeys((item["name"] for item in container["env"]), password)
        words = [*container["command"], *container["args"], "--port", str(port), "--bind", "127.0.0.1"]
        log = (tmp_path / "log").open("wb")
        (tmp_path / "work").mkdir()
        started.append(
            subprocess.Popen(
                words, env=os.environ | secrets, cwd=tmp_path / "work", stdout=log, stderr=log, start_new_session=True
            )
        )
        log.close()
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                assert started[0].poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.02)
            else:
                return Redis(port=port, password=password or None), port, secrets

    yield run
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert list((tmp_path / "work").iterdir()) == []


def test_it_forgets_the_least_used_when_it_is_full_and_writes_nothing(run):
    client, _, _ = run(container(), "")
    for number in range(100):
        client.set(f"phrase-{number}", os.urandom(100_000))
    assert 0 < client.dbsize() < 40
    assert client.exists("phrase-99")
    assert client.config_get("save") == {"save": ""}
    client.close()


def test_only_who_has_the_password_comes_in_whatever_is_in_it(run):
    redis = container(passwordSecret="redis")
    client, port, secrets = run(redis, PASSWORD)
    client.close()
    for password in (None, "wrong"):
        with pytest.raises(AuthenticationError), Redis(port=port, password=password, retry=ONCE) as stranger:
            stranger.ping()
    everywhere = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert PASSWORD not in everywhere
    probe = redis["readinessProbe"]["exec"]["command"]
    assert probe == redis["livenessProbe"]["exec"]["command"]
    probe = [word.replace("redis-cli", f"redis-cli -p {port}") for word in probe]
    for password, code in ((PASSWORD, 0), ("wrong", 1)):
        environment = os.environ | dict.fromkeys(secrets, password)
        assert subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == code
