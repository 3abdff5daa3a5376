"""What the images are built of, and what their builder says where it cannot build; without building any."""

import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VISIBLE = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
LOCK = """\
torch==2.15.0 ; python_version >= '3.11' \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via kubevoice
torchmetrics[audio]==1.0 \\
    --hash=sha256:ba
nvidia-cublas==13 \\
    --hash=sha256:ca
"""


@pytest.mark.parametrize("name", VISIBLE)
def test_what_the_dockerfile_may_see_is_there(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("", ["torch", "torchmetrics", "nvidia-cublas"]),
        ("torch", ["torchmetrics", "nvidia-cublas"]),
        ("torch|nvidia-.*", ["torchmetrics"]),
        ("(?!(?:torch)$).*", ["torch"]),
    ],
)
def test_packages_are_left_out_by_their_whole_names_with_their_hashes(pattern, kept):
    lock = runpy.run_path(str(ROOT / "images" / "filter_lock.py"))["exclude_packages"](LOCK, pattern)
    pins = [line for line in lock.splitlines() if not line.startswith(" ")]
    assert [pin.partition("==")[0].partition("[")[0] for pin in pins] == kept
    assert ("sha256:ab" in lock) == ("torch" in kept)
    assert ("sha256:ba" in lock) == ("torchmetrics" in kept)


def test_a_machine_without_buildah_is_told_what_to_install(tmp_path):
    for program in ("bash", "dirname"):
        (tmp_path / program).symlink_to(shutil.which(program))
    environment = os.environ | {"PATH": str(tmp_path)}
    answer = subprocess.run(
        [tmp_path / "bash", ROOT / "images" / "build"], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "apt install buildah" in answer.stderr
