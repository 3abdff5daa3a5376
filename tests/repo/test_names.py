"""Names, lengths and docstrings of the code, and the words that docs/glossary.md says to avoid."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "core": "core/kubevoice",
    "training": "training/kubevoice_training",
    "serving": "serving/kubevoice_serving",
    "operator": "operator/kubevoice_operator",
    "cli": "cli/kubevoice_cli",
}
MODULES = sorted(path for root in PACKAGES.values() for path in (ROOT / root).rglob("*.py"))
OTHERS = {
    "benchmarks": "benchmarks",
    "images": "images",
    "scripts": "scripts",
    "recipes": "training/recipes",
    "tests": "tests",
}
NAMED = PACKAGES | OTHERS
"""Folders in which names and texts must not use what the glossary avoids."""
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "charts/*/README.md", "examples/**/*.md", "voices/*.md")
    for path in ROOT.glob(pattern)
    if path.name not in ("CHANGELOG.md", "glossary.md")
)
MAX_LINES = 300
AVOIDED = re.compile(r'`(?P<name>[A-Za-z_]\w*(?:\(\))?)`(?: \*in (?P<scope>\w+)\*)?|"(?P<word>[^"]+)"')


def relative(path):
    return str(path.relative_to(ROOT))


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def read_avoided():
    """The last column of the glossary's tables: identifiers with the packages they must not be in, and words."""
    identifiers, words = defaultdict(set), set()
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = line.split(" | ")
        if not line.startswith("| ") or len(cells) != 4:
            continue
        for match in AVOIDED.finditer(cells[3]):
            if match["name"]:
                identifiers[match["name"]] |= {match["scope"]} if match["scope"] else set(NAMED)
            else:
                words.add(match["word"])
    return identifiers, words


def defined_names(tree):
    """Every name that a module defines or binds: classes, functions, parameters, variables, and modules' aliases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
            if not isinstance(node, ast.ClassDef):
                yield f"{node.name}()", node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def prose(path):
    """A module's comments and strings, docstrings and messages among them, by line."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            yield token.string, token.start[0]


def test_no_module_is_longer_than_300_lines():
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_the_glossary_says_which_words_to_avoid():
    identifiers, words = read_avoided()
    assert {"teach_judges", "Piece"} <= identifiers.keys()
    assert words


def test_no_name_is_one_that_the_glossary_avoids():
    identifiers, _ = read_avoided()
    violations = [
        f"{relative(path)}:{line} {name}"
        for package, root in NAMED.items()
        for path in sorted((ROOT / root).rglob("*.py"))
        for name, line in defined_names(parse(path))
        if package in identifiers.get(name, ())
    ]
    assert violations == []


def test_no_text_has_a_word_that_the_glossary_avoids():
    _, words = read_avoided()
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b", re.IGNORECASE)
    modules = sorted(path for root in NAMED.values() for path in (ROOT / root).rglob("*.py"))
    texts = [(path, text, line) for path in modules for text, line in prose(path)]
    texts += [
        (path, text, line)
        for path in PAGES
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]
    violations = [
        f"{relative(path)}:{line} {match[0]}" for path, text, line in texts for match in pattern.finditer(text)
    ]
    assert violations == []


def test_a_public_class_name_is_used_once():
    places = defaultdict(list)
    for path in MODULES:
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(relative(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("path", sorted((ROOT / PACKAGES["training"] / "models").glob("*.py")), ids=lambda p: p.stem)
def test_every_forward_of_a_network_says_its_shapes(path):
    silent = []
    for network in ast.walk(parse(path)):
        if not isinstance(network, ast.ClassDef):
            continue
        for node in network.body:
            if isinstance(node, ast.FunctionDef) and node.name == "forward":
                text = ast.get_docstring(node) or ""
                takes_more = len(node.args.args) + len(node.args.kwonlyargs) > 2
                sections = ["Returns", "Parameters"] if takes_more else []
                if "[" not in text or any(not re.search(rf"^{each}\n-+$", text, re.MULTILINE) for each in sections):
                    silent.append(f"{network.name}.forward, line {node.lineno}")
    assert silent == []
