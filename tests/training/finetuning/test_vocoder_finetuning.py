"""Fine-tuning of the vocoder gives the same result in any process, and improves the vocoder."""

import pytest
import torch
from kubevoice.errors import InputError
from kubevoice_training.runtime.interruption import Interrupted
from tiny_training import LossLog, build_vocoder_finetuning, start_process, tune_vocoder_rank

STEPS = 10


def read_losses(folder):
    return [[float.fromhex(x) for x in line.split()[1:] if x != "-"] for line in LossLog(folder / "loss-log").lines()]


def test_a_run_that_was_stopped_gives_what_it_would_have_given(tmp_path):
    whole = build_vocoder_finetuning(tmp_path / "whole", {"max_steps": STEPS})
    whole.train()
    stopped = build_vocoder_finetuning(tmp_path / "stopped", {"max_steps": STEPS})
    stopped.stopping = lambda: stopped.step == 5
    with pytest.raises(Interrupted, match="saved at step 5"):
        stopped.train()
    again = build_vocoder_finetuning(tmp_path / "stopped", {"max_steps": STEPS})
    assert again.resume() == 5
    again.train()
    assert LossLog(tmp_path / "stopped" / "loss-log").lines() == LossLog(tmp_path / "whole" / "loss-log").lines()
    expected, weights = whole.task.generator.state_dict(), again.task.generator.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_the_generator_waits_for_its_discriminators_and_then_learns(tmp_path):
    run = build_vocoder_finetuning(tmp_path, {"max_steps": STEPS})
    before = {name: value.clone() for name, value in run.task.generator.state_dict().items()}

    def is_unchanged():
        return all(torch.equal(value, before[name]) for name, value in run.task.generator.state_dict().items())

    unchanged = []
    run.on_step = lambda step, _loss, dev: unchanged.append((step, is_unchanged(), dev))
    run.train()
    assert [kept for _, kept, _ in unchanged] == [True] * 2 + [False] * (STEPS - 2)
    measured = [dev for step, _, dev in unchanged if step % 2 == 0]
    assert measured[-1] < measured[0]
    assert run.best_loss == min(measured)


def test_two_processes_make_the_steps_of_one(tmp_path):
    sizes = {"one": 1, "two": 2}
    for name, size in sizes.items():
        children = [
            start_process(tune_vocoder_rank, tmp_path / name, {"max_steps": 5}, rank, size) for rank in range(size)
        ]
        for child in children:
            child.join(120)
        assert [child.exitcode for child in children] == [0] * size
    one, two, other = (read_losses(tmp_path / where) for where in ("one/0", "two/0", "two/1"))
    assert len(one) == 5
    assert two == [pytest.approx(row, rel=1e-3) for row in one]
    assert other == two
    assert not (tmp_path / "two" / "1" / "artifacts").exists()


def test_recordings_that_are_too_short_are_bad_input(tmp_path):
    task = build_vocoder_finetuning(tmp_path, {"max_steps": 1}).task
    task.train = [type(clip)(clip.mel[:30], clip.wave[:7000]) for clip in task.train]
    with pytest.raises(InputError, match=r"spec\.training\.vocoder\.mode to Frozen"):
        task.__post_init__()
