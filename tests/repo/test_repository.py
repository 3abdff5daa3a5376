"""Contents that the repository must not have, and licences that it must have."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Character classes keep this file from finding itself.
REGISTRIES = re.compile(
    r"pyp[i]\.org|pythonhoste[d]\.org|download\.pytorc[h]\.org|registry\.npmj[s]|crate[s]\.io|proxy\.golan[g]"
    r"|sum\.golan[g]|deb\.debia[n]\.org|repo1?\.mave[n]|--(?:extra-)?index-ur[l][ =]",
)
MACHINE_PATHS = re.compile(r"(?<![\w.})])/(?:wor[k]|roo[t]|opt/wheel[s]|home/[a-z]+)(?![\w-])")
UNFINISHED = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|NotImplementedErro[r])\b")
CODE = {".py", ".toml", ".yaml", ".yml", ".sh", ".js", ".html", ".css", ".cfg", ""}


def read_tracked_files() -> dict[str, str]:
    """Return the tracked text files by path."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    result = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    texts = {}
    for name in filter(None, result.stdout.split("\0")):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in data:
            texts[name] = data.decode("utf-8")
    return texts


def find_lines(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry():
    assert find_lines(REGISTRIES, read_tracked_files()) == []


def test_no_file_names_a_path_of_one_machine():
    assert find_lines(MACHINE_PATHS, read_tracked_files()) == []


def test_no_code_is_left_unfinished():
    code = {name: text for name, text in read_tracked_files().items() if Path(name).suffix in CODE}
    assert find_lines(UNFINISHED, code) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRIES, "pip install --extra-index-" + "url x"),
        (REGISTRIES, "https://files." + "pythonhosted" + ".org/x.whl"),
        (MACHINE_PATHS, 'path = "/wo' + 'rk/main"'),
        (MACHINE_PATHS, "see /ro" + "ot"),
        (UNFINISHED, "# TO" + "DO: later"),
    ],
)
def test_the_patterns_match(pattern, line):
    assert pattern.search(line)


@pytest.mark.parametrize("line", ["/workspace", "/etc/kubevoice", "a/work", "$HOME/root", "/v1/root"])
def test_paths_inside_containers_are_allowed(line):
    assert not MACHINE_PATHS.search(line)


def test_the_project_is_apache_licensed():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


@pytest.mark.parametrize(
    "source",
    [
        "Yue Tan",
        "cmn-caen-tan",
        "hugolpz/audio-cmn",
        "Creative Commons Attribution-ShareAlike",
        "Kokoro-82M",
        "KAN-TTS",
        "Copyright (c) 2022 Alibaba Research",
        "Whisper",
        "Resemblyzer",
        "DNSMOS",
    ],
)
def test_notice_names_every_source(source):
    assert source in (ROOT / "NOTICE").read_text()
