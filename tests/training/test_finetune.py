"""Fine-tuning: exact whoever does it and however often he is killed."""

import signal

import numpy as np
import torch
from tiny_training import Diary, finetuning, process, train

STEPS = 30


def finished(child):
    child.join(120)
    return child.exitcode


def test_a_run_killed_at_any_moment_gives_what_it_would_have_given(tmp_path):
    recipe, draw, goal = {"max_steps": STEPS}, np.random.default_rng(), 0
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finished(process(train, whole, recipe)) == 0
    while goal < STEPS - 9:
        goal = Diary(killed / "diary").step() + int(draw.integers(1, 10))
        child, looks = process(train, killed, recipe), int(draw.integers(1000))
        while Diary(killed / "diary").step() < goal:
            assert child.is_alive()
        for _ in range(looks):  # a while longer, to stop anywhere in a step or a save
            child.is_alive()
        child.kill()
        assert finished(child) == -signal.SIGKILL
    assert finished(process(train, killed, recipe)) == 0
    expected, found = Diary(whole / "diary").lines(), Diary(killed / "diary").lines()
    assert len(expected) == STEPS
    assert len(found) > STEPS  # some steps were made again
    assert set(found) == set(expected)
    weights, wanted = (torch.load(folder / "weights.pt") for folder in (killed, whole))
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)


def test_the_seed_decides(tmp_path):
    told = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = finetuning(tmp_path / name, {"max_steps": 6, "seed": seed})
        torch.rand(len(told) + 1)  # whatever was drawn before
        run.run()
        told.append(Diary(tmp_path / name / "diary").lines())
    assert told[0] == told[1]
    assert not set(told[0]) & set(told[2])
