"""Processes, cgroups, links and folders of a node are removed, however it ends."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from testcluster import UnavailableError
from testcluster.build import MODULES, Toolbox
from testcluster.sandbox import Sandbox, Slot
from testcluster.tools import require_for_node, wait_for

SANDBOX_OWNER = """
import subprocess, sys
from pathlib import Path
from testcluster.sandbox import Sandbox, Slot
slot = Slot.acquire()
slot.state.mkdir()
sandbox = Sandbox(slot, Path(sys.argv[1]))
child = subprocess.Popen(sandbox.command("sleep", "1000"))
for cgroup in slot.cgroups():
    (cgroup / "pods").mkdir()
while not (pids := Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()):
    pass
print(slot.number, *pids, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def pause():
    toolbox = Toolbox(MODULES["kubernetes"])
    try:
        require_for_node()
        toolbox.build(["pause"])
    except UnavailableError as lack:
        pytest.skip(str(lack))
    return toolbox.binary("pause")


@pytest.fixture
def slot():
    """A slot; it is free again after the test."""
    slot = Slot.acquire()
    yield slot
    slot.clean()
    slot.lock.close()


def list_remains(slot):
    """Return the cgroups, folders and links of the node in `slot`."""
    links = subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True).stdout
    paths = [*slot.cgroups(), slot.state]
    return [str(path) for path in paths if path.exists()] + [slot.name for _ in range(links.count(f" {slot.name}@"))]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_node_ends_with_its_owner_and_the_next_one_removes_its_remains(pause, end):
    program = [sys.executable, "-c", textwrap.dedent(SANDBOX_OWNER), pause]
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(program, env=path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        number, pid = map(int, owner.stdout.readline().split())
        assert Path(f"/proc/{pid}").exists()
        owner.send_signal(end)
        owner.wait(10)
    wait_for("the end of the node's processes", lambda: not Path(f"/proc/{pid}").exists(), 10, str)
    with Slot.acquire().lock as lock:
        assert list_remains(Slot(number, lock)) == []


def test_a_node_that_fails_to_start_leaves_nothing(pause, slot, monkeypatch):
    monkeypatch.setattr(Sandbox, "_connect", lambda self: self.run("false"))
    with pytest.raises(RuntimeError, match="false"):
        Sandbox(slot, pause)
    assert list_remains(slot) == []


def test_two_nodes_at_a_time_share_no_address(slot):
    other = Slot.acquire()
    other.lock.close()
    assert other.number != slot.number
    assert not any(network.overlaps(another) for network in slot.networks for another in other.networks)
