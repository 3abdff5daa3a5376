"""The documentation: its links and anchors, its completeness, and the site."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kubevoice.resources.conditions import Reason

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "charts/*/README.md", "examples/**/*.md", "voices/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s#]*)(?:#(?P<anchor>[^)\s]+))?\)")
CODE = re.compile(r"^```.*?^```|^ {4}.*?$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
ELSEWHERE = re.compile(r"[a-z]+:")


def read(path):
    return path.read_text(encoding="utf-8")


def find_anchors(path):
    """Return the anchors of a page's headings, as GitHub and the site build them."""
    names = set()
    prose = CODE.sub(lambda code: code[0] if code[0].startswith("`") and "\n" not in code[0] else "", read(path))
    for title in re.findall(r"^#+ +(.*)$", prose, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        names.add(next(s for s in (slug, *(f"{slug}-{n}" for n in range(1, 99))) if s not in names))
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_have_a_target(page):
    wrong = []
    for link in LINK.finditer(CODE.sub("", read(page))):
        target = link["target"]
        if ELSEWHERE.match(target):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (link["anchor"] and link["anchor"] not in find_anchors(path)):
            wrong.append(link[0])
    assert wrong == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_is_in_the_menu_and_linked_from_a_readme(page):
    """On the site the menu names every page. In the repository links lead from a README to it."""
    assert f" {page.relative_to(ROOT / 'docs').as_posix()}\n" in read(ROOT / "mkdocs.yml")
    reached, new = set(), {ROOT / "README.md", ROOT / "README.zh.md"}
    while new:
        reached |= new
        texts = [(path, read(path)) for path in new if path.suffix == ".md"]
        targets = {(path.parent / link["target"]).resolve() for path, text in texts for link in LINK.finditer(text)}
        new = {path for path in targets if path.is_file()} - reached
    assert page in reached


def test_every_reason_has_an_entry_and_every_entry_a_reason():
    entries = re.findall(r"^### (.+)$", read(ROOT / "docs" / "troubleshooting.md"), re.MULTILINE)
    assert sorted(entries) == sorted(Reason)


def test_the_comparison_has_the_numbers_of_the_benchmarks():
    compared, measured = read(ROOT / "docs" / "comparison.md"), read(ROOT / "benchmarks" / "README.md")
    first, factor = re.search(r"ours takes (\d+ ms) on two cores of a server, and ([\d.]+) s", compared).groups()
    assert f"| first audio, one listener | 150 ms | {first} |" in measured
    assert f"| real-time factor of the engine, one core | 0.10 | {factor} |" in measured


def read_commands(readme):
    """Return the commands of a page's code blocks, without comments."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
    text = read(readme)
    fenced = [block for language, block in fence.findall(text) if not language]
    indented = re.findall(r"^ {4}(.*)$", fence.sub("", text), re.MULTILINE)
    lines = "\n".join([*fenced, *indented]).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+", " ", line.partition(" #")[0]).strip() for line in lines if line.strip()]


@pytest.mark.parametrize(
    ("english", "chinese"), [("README.md", "README.zh.md"), ("docs/get-started.md", "docs/zh/get-started.md")]
)
def test_both_languages_show_the_same_commands_and_examples(english, chinese):
    assert read_commands(ROOT / english) == read_commands(ROOT / chinese)
    example = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
    plain = [[re.sub(r"\s*#.*", "", block) for block in example.findall(read(ROOT / p))] for p in (english, chinese)]
    assert plain[0] == plain[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings_handlers")):
        pytest.skip("needs mkdocs-material and mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    # Without --quiet, with which --strict does not count warnings.
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_site_has_both_languages(site):
    assert "Apply a <code>VoiceModel</code>" in read(site / "index.html")
    assert 'lang="zh"' in read(site / "index.html")
    assert "VoiceModel" in read(site / "zh" / "index.html")


def test_the_site_loads_nothing_from_elsewhere(site):
    loaded = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)=\"?(https?:)?//[^>]*>")
    tags = {tag[0] for page in site.rglob("*.html") for tag in loaded.finditer(read(page))}
    assert {tag for tag in tags if 'rel="canonical"' not in tag} == set()


def test_the_api_reference_has_the_packages_and_their_signatures(site):
    page = read(site / "api" / "kubevoice.audio.html")
    assert 'id="kubevoice.audio.mel.log_mel"' in page
    assert "kubevoice.audio.html" in read(site / "index.html")
    assert (site / "api" / "kubevoice_serving.http.html").exists()


def test_a_link_to_a_file_outside_the_site_becomes_its_name(site):
    assert "<code>examples/minimal.yaml</code>" in read(site / "get-started.html")
