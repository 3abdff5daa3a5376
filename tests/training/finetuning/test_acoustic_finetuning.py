"""Fine-tuning gives the same result in any process and after any number of kills."""

import math
import re
import signal

import numpy as np
import pytest
import torch
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.training import Precision, Recipe, Schedule
from kubevoice_training.finetuning.batch_sampler import BucketBatchSampler
from kubevoice_training.finetuning.lr_schedule import compute_learning_rate
from kubevoice_training.finetuning.parameter_selection import count_trainable
from tiny_training import LossLog, build_finetuning, start_process, train

STEPS = 24


def wait_for_exit_code(child):
    child.join(120)
    return child.exitcode


def test_a_run_killed_at_any_moment_gives_what_it_would_have_given(tmp_path):
    recipe, draw, goal = {"max_steps": STEPS}, np.random.default_rng(), 0
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert wait_for_exit_code(start_process(train, whole, recipe)) == 0
    while goal < STEPS // 2:
        goal = LossLog(killed / "loss-log").last_step() + int(draw.integers(1, 10))
        child, looks = start_process(train, killed, recipe), int(draw.integers(1000))
        while LossLog(killed / "loss-log").last_step() < goal:
            assert child.is_alive()
            child.join(0.005)
        for _ in range(looks):  # a while longer, to stop anywhere in a step or a save
            child.is_alive()
        child.kill()
        assert wait_for_exit_code(child) == -signal.SIGKILL
    assert wait_for_exit_code(start_process(train, killed, recipe)) == 0
    expected, lines = LossLog(whole / "loss-log").lines(), LossLog(killed / "loss-log").lines()
    assert len(expected) == STEPS
    assert len(lines) >= STEPS  # some may have been made again
    assert set(lines) == set(expected)
    weights, wanted = (torch.load(folder / "weights.pt") for folder in (killed, whole))
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)


def test_the_seed_decides(tmp_path):
    logs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = build_finetuning(tmp_path / name, {"max_steps": 6, "seed": seed})
        torch.rand(len(logs) + 1)  # another state of the global generator
        run.train()
        logs.append(LossLog(tmp_path / name / "loss-log").lines())
    assert logs[0] == logs[1]
    assert not set(logs[0]) & set(logs[2])


def test_training_ends_early_when_the_dev_loss_gets_no_better(tmp_path):
    # Nothing may change but a table that no clip uses, so no measurement is better than the first.
    recipe = {"max_steps": 40, "save_every": 2, "early_stop_patience": 3, "trainable": ("spk_tokenizer.weight",)}
    run = build_finetuning(tmp_path, recipe | {"learning_rate": 1e-30})
    run.train()
    assert (run.step, run.best_step, run.stale) == (8, 2, 3)
    again = build_finetuning(tmp_path, recipe | {"learning_rate": 1e-30})
    assert again.resume() == 8
    again.train()
    assert again.step == 8  # and stays ended


def test_the_best_weights_are_the_result(tmp_path):
    run = build_finetuning(tmp_path, {"max_steps": 12, "save_every": 2, "learning_rate": 0.05})
    kept, table = {}, run.task.model.emo_tokenizer.weight
    run.on_step = lambda step, _loss, _dev: kept.setdefault(step, table.detach().clone())
    run.train()
    assert run.best_step < 12
    assert torch.equal(table, kept[run.best_step])


def test_a_gradient_longer_than_allowed_is_shortened(tmp_path):
    def measure_update(limit):
        run = build_finetuning(tmp_path / str(limit), {"max_steps": 1, "max_gradient_norm": limit})
        run.task.optimizer = torch.optim.SGD(run.task.trainable, lr=0.0)
        before = torch.cat([p.detach().flatten() for p in run.task.trainable])
        run.train()
        return float((torch.cat([p.detach().flatten() for p in run.task.trainable]) - before).norm()) / 1e-3

    assert measure_update(0.5) == pytest.approx(0.5, rel=1e-3)
    assert measure_update(0) > 1


def test_a_loss_that_is_not_finite_ends_training_with_advice(tmp_path):
    run = build_finetuning(tmp_path, {"max_steps": 3})
    with torch.no_grad():
        run.task.model.emo_tokenizer.weight.fill_(math.nan)
    with pytest.raises(KubeVoiceError, match="learningRate"):
        run.train()
    assert run.store.load_newest() is None


def test_bfloat16_trains_much_the_same(tmp_path):
    losses = []
    for precision in (Precision.FP32, Precision.BF16, Precision.AUTO):
        run = build_finetuning(tmp_path / precision, {"max_steps": 3, "precision": precision})
        run.train()
        losses.append(run.last_loss)
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[2] == losses[0]  # on a CPU


def test_only_what_is_named_changes(tmp_path):
    run = build_finetuning(
        tmp_path, {"max_steps": 2, "trainable": ("emotion_embedding", "decoder.last", "*pitch_emb.bias")}
    )
    before = {name: value.clone() for name, value in run.task.model.state_dict().items()}
    run.train()
    changed = {name for name, value in run.task.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"emo_tokenizer.weight", "variance_adaptor.pitch_emb.bias"} <= changed
    assert all(
        name.startswith("mel_decoder.mel_dec.")
        for name in changed - {"emo_tokenizer.weight", "variance_adaptor.pitch_emb.bias"}
    )
    assert not any(".pnca.0." in name for name in changed)
    table = {name: (free, total) for name, free, total in count_trainable(run.task.model)}
    assert table["text_encoder"][0] == 0 < table["text_encoder"][1]
    assert table["emo_tokenizer"] == (36 * 8, 36 * 8)


@pytest.mark.parametrize("word", ["decoder.lats", "no_such.*"])
def test_a_name_that_matches_nothing_is_bad_input_and_tells_what_there_is(tmp_path, word):
    with pytest.raises(InputError, match=re.escape(repr(word))) as caught:
        build_finetuning(tmp_path, {"max_steps": 1, "trainable": ("emotion_embedding", word)})
    for known in (
        "decoder.last",
        "speaker_embedding",
        "postnet",
        "variance_adaptor.pitch_emb.*",
        "emo_tokenizer.weight",
    ):
        assert known in "\n".join([str(caught.value), *caught.value.problems])


def test_the_rate_warms_up_and_decays():
    recipe = Recipe(max_steps=100, warmup_steps=10)
    rates = [compute_learning_rate(step, recipe) for step in range(100)]
    assert rates[0] == pytest.approx(2e-6)
    assert max(rates) == pytest.approx(2e-5, rel=0.03)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 1e-8
    constant = Recipe(max_steps=100, schedule=Schedule.CONSTANT)
    assert {compute_learning_rate(step, constant) for step in range(100)} == {2e-5}


def test_batches_are_of_like_length_and_every_clip_comes_once_an_epoch():
    lengths = [20 * (i % 7) + 1 for i in range(50)]
    sampler = BucketBatchSampler(lengths, 8, seed=5)
    for epoch in range(3):
        batches = [sampler.batch(epoch * 7 + i) for i in range(7)]
        assert sorted(i for batch in batches for i in batch) == list(range(50))
        assert sum(max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches) < 7 * 40
    assert BucketBatchSampler(lengths, 8, seed=5).batch(9) == sampler.batch(9)
    assert sampler.batch(0) != sampler.batch(7)
