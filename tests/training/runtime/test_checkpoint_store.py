"""Checkpoints in storage: which are kept, which is loaded, and what a killed process leaves."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from kubevoice.errors import KubeVoiceError, StorageError
from kubevoice.storage import connect
from kubevoice_training.runtime.checkpoint_store import CheckpointStore

DIES_UPLOADING = """
import os, signal, sys
from pathlib import Path
from kubevoice.storage import connect
from kubevoice_training.runtime.checkpoint_store import CheckpointStore

class Dying(type(connect("x"))):
    def create(self, key, scratch):
        target = Path(sys.argv[1]) / "artifacts" / key
        return DyingFile(target.open("wb"))

class DyingFile:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise AssertionError("it was killed before")

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

root = Path(sys.argv[1])
CheckpointStore(Dying(root / "artifacts"), "steps", root).save(2, {"step": 2})
"""


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(connect(str(tmp_path / "artifacts")), "steps", tmp_path)


def files(store):
    return [item.key.removeprefix("steps/") for item in store.storage.list("steps/")]


def save(store, *dev_losses):
    for step, dev_loss in enumerate(dev_losses, 1):
        store.save(step, {"step": step, "weights": torch.full((64,), float(step))}, dev_loss)


def spoil(store, step):
    key = f"steps/step-{step:08d}.pt"
    store.storage.write(key, store.storage.read(key)[:-100])


def test_there_is_none_at_first(store):
    assert store.load_newest() is None
    assert store.load_best() is None


def test_a_checkpoint_is_written_once(tmp_path):
    store = CheckpointStore(connect(str(tmp_path / "artifacts")), "steps", tmp_path / "no-scratch")
    save(store, 1.0)
    assert sorted(path.name for path in (tmp_path / "artifacts" / "steps").iterdir()) == [
        "latest.json",
        "step-00000001.pt",
    ]


def test_on_s3_nothing_stays_in_the_scratch_folder(tmp_path, s3):
    (tmp_path / "scratch").mkdir()
    store = CheckpointStore(connect("s3://voices/run", s3.options()), "steps", tmp_path / "scratch")
    save(store, 1.0, 2.0)
    assert (store.load_newest()["step"], store.load_best()["step"]) == (2, 1)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_full_disk_is_named_and_nothing_is_left(store, tmp_path):
    save(store, 1.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # the kernel answers much as with a full disk
    try:
        with pytest.raises(StorageError, match="larger than is allowed"):
            store.save(2, {"step": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.rglob("*.part"))
    assert files(store) == ["latest.json", "step-00000001.pt"]
    assert store.load_newest()["step"] == 1


def test_the_newest_three_and_the_best_stay(store):
    save(store, 5.0, 1.0, 4.0, 3.0, None, 2.0)
    assert files(store) == ["latest.json", *(f"step-{n:08d}.pt" for n in (2, 4, 5, 6))]
    assert (store.load_newest()["step"], store.load_best()["step"]) == (6, 2)
    assert json.loads(store.storage.read("steps/latest.json"))["step"] == 6


def test_a_better_one_lets_the_best_go(store):
    save(store, 1.0, 2.0, 2.0, 2.0, 0.5)
    assert files(store) == ["latest.json", *(f"step-{n:08d}.pt" for n in (3, 4, 5))]
    assert store.load_best()["step"] == 5


def test_a_damaged_newest_gives_way_to_the_one_before(store, capsys):
    save(store, 3.0, 2.0, 1.0)
    spoil(store, 3)
    assert store.load_newest()["step"] == 2
    assert "step-00000003.pt is missing or damaged" in capsys.readouterr().out
    assert store.load_best()["step"] == 2
    store.storage.delete("steps/step-00000002.pt")
    assert store.load_newest()["step"] == 1


def test_training_never_starts_again_unasked_where_all_are_damaged(store):
    save(store, 2.0)
    spoil(store, 1)
    with pytest.raises(KubeVoiceError, match=r"delete latest\.json there"):
        store.load_newest()
    store.storage.write("steps/latest.json", b"{")
    with pytest.raises(KubeVoiceError, match=r"latest\.json is damaged; delete it"):
        store.load_newest()


def test_what_a_process_killed_while_uploading_leaves_is_never_picked(store, tmp_path):
    save(store, 1.0)
    code = subprocess.run([sys.executable, "-c", DIES_UPLOADING, tmp_path], env=os.environ, check=False).returncode
    assert code == -signal.SIGKILL
    assert "step-00000002.pt" in files(store)  # half of it, where a storage without atomic writes would leave it
    assert store.load_newest()["step"] == 1
    store.save(3, {"step": 3})
    assert files(store) == ["latest.json", "step-00000001.pt", "step-00000003.pt"]
    assert store.load_newest()["step"] == 3
