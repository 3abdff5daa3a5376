"""The inputs of the images' build, and its message when buildah is missing. No image is built."""

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
def test_the_files_of_the_build_context_exist(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize(
    ("pattern", "remaining"),
    [
        ("", ["torch", "torchmetrics", "nvidia-cublas"]),
        ("torch", ["torchmetrics", "nvidia-cublas"]),
        ("torch|nvidia-.*", ["torchmetrics"]),
        ("(?!(?:torch)$).*", ["torch"]),
    ],
)
def test_packages_are_left_out_by_their_full_names_with_their_hashes(pattern, remaining):
    lock = runpy.run_path(str(ROOT / "images" / "filter_lock.py"))["exclude_packages"](LOCK, pattern)
    pins = [line for line in lock.splitlines() if not line.startswith(" ")]
    assert [pin.partition("==")[0].partition("[")[0] for pin in pins] == remaining
    assert ("sha256:ab" in lock) == ("torch" in remaining)
    assert ("sha256:ba" in lock) == ("torchmetrics" in remaining)


def test_without_buildah_the_message_names_the_package_to_install(tmp_path):
    for program in ("bash", "dirname"):
        (tmp_path / program).symlink_to(shutil.which(program))
    environment = os.environ | {"PATH": str(tmp_path)}
    answer = subprocess.run(
        [tmp_path / "bash", ROOT / "images" / "build"], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "apt install buildah" in answer.stderr
