"""A pod's CPU limit, read from its control group."""

import signal

import pytest
import torch
from kubevoice.errors import InputError
from kubevoice.resources.stages import TrainSpec
from kubevoice.resources.voicemodel import BaseVoice, StorageSpec, Training
from kubevoice_training import __main__ as entry_point
from kubevoice_training.runtime import cpu_limits


@pytest.mark.parametrize(
    ("limits", "cores"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None), ("1 0", None)],
)
def test_a_pod_may_use_as_many_cores_as_its_limit_is_worth(tmp_path, limits, cores):
    (tmp_path / "cpu.max").write_text(limits + "\n", encoding="ascii")
    assert cpu_limits.read_cpu_limit(tmp_path / "cpu.max") == cores


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert cpu_limits.read_cpu_limit(tmp_path / "cpu.max") is None


@pytest.fixture
def unchanged():
    """Restore what a stage sets for the whole process."""
    threads, handlers = torch.get_num_threads(), {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    yield
    torch.set_num_threads(threads)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("limit", "processes", "threads"), [(1, "1", 1), (3, "2", 1), (None, "1", 2), (64, "1", 2)])
@pytest.mark.usefixtures("unchanged")
def test_a_stage_computes_with_no_more_threads_than_its_pod_has_cores(tmp_path, monkeypatch, limit, processes, threads):
    monkeypatch.setattr(cpu_limits, "read_cpu_limit", lambda: limit)
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "8"), ("LOCAL_WORLD_SIZE", processes)):
        monkeypatch.setenv(name, value)
    torch.set_num_threads(2)
    used = []

    def train(_spec, _context):
        used.append(torch.get_num_threads())
        raise InputError("enough was seen")

    monkeypatch.setattr(entry_point, "load_stage", lambda _stage: train)
    spec = TrainSpec(
        features_uri=f"file://{tmp_path}/none",
        features_digest="sha256:" + "0" * 64,
        base=BaseVoice(uri=f"file://{tmp_path}/none"),
        storage=StorageSpec(artifacts_uri=f"file://{tmp_path}/artifacts"),
        training=Training(),
    )
    (tmp_path / "spec.json").write_text(spec.model_dump_json(by_alias=True), encoding="utf-8")
    words = {"--spec": "spec.json", "--workdir": "work", "--result": "result.json"}
    options = [str(part) for name, path in words.items() for part in (name, tmp_path / path)]
    assert entry_point.main(["train", *options]) == 2
    assert used == [threads]
