"""Several processes train as one does, with the batch divided among them."""

import os
import signal
import subprocess
import sys

import pytest
from kubevoice.errors import InputError
from kubevoice.resources.stages import TrainResult
from kubevoice_training.runtime.world import World, read_world
from tiny_training import LossLog, start_process, train_rank

STEPS = 9
RECIPE = {"max_steps": STEPS, "batch_size": 5}  # 5, 5 and 2 clips a step: no share is even


def begin(folder, size, recipe):
    """Start `size` processes that train together."""
    return [start_process(train_rank, folder, recipe, rank, size) for rank in range(size)]


def wait_for_exit_codes(children):
    """Wait for processes; return their exit codes."""
    for child in children:
        child.join(120)
    return [child.exitcode for child in children]


def wait_for_step(folder, children, step):
    """Wait until a step is made."""
    while LossLog(folder / "loss-log").last_step() < step:
        assert all(child.is_alive() for child in children)
        children[0].join(0.005)


def read_steps(folder):
    """Steps, losses and dev losses."""
    rows = [line.split() for line in LossLog(folder / "loss-log").lines()]
    return [(int(step), *(float.fromhex(x) if x != "-" else 0.0 for x in rest)) for step, *rest in rows]


def test_two_processes_make_the_steps_of_one_with_the_double_batch(tmp_path):
    assert wait_for_exit_codes(begin(tmp_path / "one", 1, RECIPE)) == [0]
    assert wait_for_exit_codes(begin(tmp_path / "two", 2, RECIPE)) == [0, 0]
    one, two = read_steps(tmp_path / "one"), read_steps(tmp_path / "two")
    assert len(one) == STEPS
    # The order of additions differs, and Adam's division makes much of little where a gradient is all but zero.
    assert two == [pytest.approx(row, rel=1e-4) for row in one]
    assert read_steps(tmp_path / "two" / "1") == two  # each knows the whole


def test_sigterm_to_any_process_saves_once_and_ends_all(tmp_path):
    children = begin(tmp_path, 2, RECIPE | {"max_steps": 10_000, "save_every": 10_000})
    wait_for_step(tmp_path, children, 3)
    children[1].terminate()
    assert wait_for_exit_codes(children) == [143, 143]
    reached = LossLog(tmp_path / "loss-log").last_step()
    saved = sorted(path.name for path in (tmp_path / "artifacts" / "steps").iterdir())
    assert saved == ["latest.json", f"step-{reached:08d}.pt"]
    assert not list((tmp_path / "1").glob("artifacts/**/*.pt"))
    assert wait_for_exit_codes(begin(tmp_path, 2, RECIPE | {"max_steps": reached + 2})) == [
        0,
        0,
    ]  # what was saved is enough
    assert [row[0] for row in read_steps(tmp_path)] == list(range(1, reached + 3))


def test_the_loss_of_a_process_ends_the_others(tmp_path):
    children = begin(tmp_path, 2, {"max_steps": 100_000})
    wait_for_step(tmp_path, children, 3)
    children[1].kill()
    assert wait_for_exit_codes(children) == [1, -signal.SIGKILL]
    again = begin(tmp_path, 2, {"max_steps": 100_000})
    wait_for_step(tmp_path, again, LossLog(tmp_path / "loss-log").last_step() + 1)
    for child in again:
        child.kill()
    wait_for_exit_codes(again)


@pytest.mark.parametrize(
    ("environment", "world"),
    [
        ({}, World()),
        ({"KUBEVOICE_NODES": "4"}, World()),
        ({"KUBEVOICE_NODES": "4", "JOB_COMPLETION_INDEX": "3"}, World(3, 4)),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "JOB_COMPLETION_INDEX": "2"}, World(5, 8, 1)),
    ],
)
def test_a_process_reads_its_rank_and_the_world_size(environment, world):
    assert read_world(environment) == world


def test_a_rank_that_is_not_an_integer_is_bad_input():
    with pytest.raises(InputError, match="WORLD_SIZE is not an integer: 'many'"):
        read_world({"RANK": "0", "WORLD_SIZE": "many"})


LAUNCHER = """
import os, sys
from kubevoice_training.runtime.launcher import launch_processes
sys.exit(launch_processes([sys.executable, "-c", sys.argv[1]], 2, os.environ))
"""


def launcher(body, **more):
    """Start two processes, the second pod's of two, that do `body`."""
    environment = os.environ | {"KUBEVOICE_NODES": "2", "JOB_COMPLETION_INDEX": "1"}
    words = [sys.executable, "-c", LAUNCHER, f"import os, sys, time\n{body}"]
    return subprocess.Popen(words, env=environment, text=True, **more)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("assert (os.environ['RANK'], os.environ['WORLD_SIZE']) in (('2', '4'), ('3', '4'))", 0),
        ("assert os.environ['LOCAL_WORLD_SIZE'] == '2'", 0),
        ("sys.exit(2) if os.environ['LOCAL_RANK'] == '1' else time.sleep(600)", 2),
        ("os.kill(os.getpid(), 9) if os.environ['LOCAL_RANK'] == '0' else time.sleep(600)", 137),
    ],
)
def test_processes_of_a_pod_end_together_with_the_code_of_the_first_that_failed(body, code):
    assert launcher(body).wait(60) == code


def test_a_stop_is_passed_on_to_every_process_of_a_pod():
    body = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(143))\n"
        "os.write(1, b'ready\\n')\n"
        "time.sleep(600)"
    )
    parent = launcher(body, stdout=subprocess.PIPE)
    assert [parent.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    parent.terminate()
    assert parent.wait(60) == 143
    parent.stdout.close()


def test_torchrun_trains_a_voice(make, prepared):
    stages = make(2)
    (stages.folder / "train.json").write_text(stages.train_spec(prepared).model_dump_json(by_alias=True))
    words = ["--nproc-per-node=2", "-m", "kubevoice_training", "train"]
    words += ["--spec", "train.json", "--workdir", "work", "--result", "result.json"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *words]
    result = subprocess.run(command, cwd=stages.folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    assert result.returncode == 0
    assert TrainResult.model_validate_json((stages.folder / "result.json").read_bytes()).step == 2
