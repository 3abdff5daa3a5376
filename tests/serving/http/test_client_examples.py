"""The programs of docs/clients.md run as they are, but for the address of the server."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from http_app import serve_app

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "clients.md").read_text(encoding="utf-8")
EXAMPLES = {
    title: (language, code)
    for title, language, code in re.findall(r"(?ms)^## ([^\n]+)\n(?:(?!^## ).)*?```(\w+)\n(.*?)```", PAGE)
}
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def site(tmp_path_factory, toy):
    with serve_app(tmp_path_factory.mktemp("site"), toy) as site:
        yield site


def test_all_programs_were_found():
    assert len(EXAMPLES) == PAGE.count("```") // 2 >= 4


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_program_writes_speech(site, tmp_path, title):
    language, code = EXAMPLES[title]
    program = {"python": sys.executable, "javascript": shutil.which("node")}[language]
    if program is None:
        pytest.skip("needs Node.js")
    assert ADDRESS in code
    file = tmp_path / f"example.{'py' if language == 'python' else 'cjs'}"
    file.write_text(code.replace(ADDRESS, site.url), encoding="utf-8")
    result = subprocess.run([program, file], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    (audio,) = tmp_path.glob("hello.*")
    assert soundfile.info(audio).duration > 0
    assert "usage" not in code or result.stdout.strip() == "7"
