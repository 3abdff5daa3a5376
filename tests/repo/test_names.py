"""Names, lengths and docstrings of the code, and the words that docs/glossary.md says to avoid."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from functools import cache
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
SOURCES = {package: sorted((ROOT / root).rglob("*.py")) for package, root in NAMED.items()}
PATTERNS = (
    "*.md",
    "*.toml",
    "*.yml",
    ".importlinter",
    ".ci/*",
    "Dockerfile",
    "Makefile",
    "benchmarks/*.md",
    "charts/**/*.json",
    "charts/**/*.md",
    "charts/**/*.tpl",
    "charts/**/*.txt",
    "charts/**/*.yaml",
    "crds/*.yaml",
    "docs/**/*.html",
    "docs/**/*.md",
    "docs/**/*.svg",
    "examples/*.yaml",
    "examples/**/*.md",
    "images/*",
    "serving/**/webui/*",
    "tests/**/*.yaml",
    "training/**/*.css",
    "voices/*.md",
)
TEXTS = sorted(
    path
    for path in {path for pattern in PATTERNS for path in ROOT.glob(pattern)}
    if path.is_file() and path.suffix != ".py" and path.name != "glossary.md" and ".venv" not in path.parts
)
"""Pages, settings, charts and the web page: files of text other than Python."""
MAX_LINES = 300
GENERIC_VERBS = ("add", "do", "keep", "make", "of", "run", "take", "tell")
PARTICIPLES = re.split(
    " ", "begun built done drawn found given heard held kept known made said shown spoken taken told written"
)
VERBS_IN_ED = ("embed",)
AVOIDED = re.compile(
    r'`(?P<file>\w+\.py)`|`(?P<name>[A-Za-z_]\w*(?:\(\))?)`(?: \*in (?P<scope>\w+)\*)?|"(?P<word>[^"]+)"'
)


def relative(path):
    return str(path.relative_to(ROOT))


@cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def read_avoided():
    """The last column of the glossary's tables: identifiers with the packages they must not be in, files, and words."""
    identifiers, files, words = defaultdict(set), set(), set()
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = line.split(" | ")
        if not line.startswith("| ") or len(cells) != 4:
            continue
        for match in AVOIDED.finditer(cells[3]):
            if match["file"]:
                files.add(match["file"])
            elif match["name"]:
                identifiers[match["name"]] |= {match["scope"]} if match["scope"] else set(NAMED)
            else:
                words.add(match["word"])
    return identifiers, files, words


def split_names(text):
    """The text with its names in words: `read_dataSet` becomes `read data Set`. No character moves to another line."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")


@cache
def compile_words():
    _, _, words = read_avoided()
    alternatives = "|".join(r"[\s#-]+".join(map(re.escape, word.split())) for word in sorted(words))
    return re.compile(rf"\b(?:{alternatives})\b", re.IGNORECASE)


def find_avoided_words(text):
    """The avoided words in a text, in its names too, with the number of lines before each."""
    split = split_names(text)
    for match in compile_words().finditer(split):
        yield match[0], split.count("\n", 0, match.start())


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
    """A module's comments and strings, docstrings and messages among them, by line.

    A string of one word is not prose: it is a key of a file that may have been written before.
    """
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        is_key = token.type == tokenize.STRING and re.fullmatch(r"""["'][a-z]+["']""", token.string)
        if token.type in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)) and not is_key:
            yield token.string, token.start[0]


def test_no_module_is_longer_than_300_lines():
    paths = sorted(path for paths in SOURCES.values() for path in paths)
    paths += ROOT.glob("serving/**/webui/*.js")
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_the_glossary_says_which_words_to_avoid():
    identifiers, files, words = read_avoided()
    assert {"teach_judges", "Piece"} <= identifiers.keys()
    assert "phrases.py" in files
    assert "judges" in words


@pytest.mark.parametrize(
    "text",
    ["the judges agree", "VOICE_JUDGES", "class MelJudges", "kubevoice_judges_total", "a data\n    set", "dataSet"],
)
def test_avoided_words_are_found_in_texts_and_names(text):
    assert list(find_avoided_words(text))


def test_no_name_is_one_that_the_glossary_avoids():
    identifiers, files, _ = read_avoided()
    violations = [
        f"{relative(path)}:{line} {name}"
        for package, paths in SOURCES.items()
        for path in paths
        for name, line in [*defined_names(parse(path)), (path.name, 1)]
        if package in identifiers.get(name, ()) or name in files or list(find_avoided_words(name))
    ]
    assert violations == []


def test_no_text_has_a_word_that_the_glossary_avoids():
    texts = [(path, text, line) for paths in SOURCES.values() for path in paths for text, line in prose(path)]
    texts += [(path, path.read_text(encoding="utf-8"), 1) for path in TEXTS]
    violations = [
        f"{relative(path)}:{line + lines} {word}"
        for path, text, line in texts
        for word, lines in find_avoided_words(text)
        if path != Path(__file__)
    ]
    assert violations == []


def find_repeated(names):
    places = defaultdict(list)
    for name, place in names:
        places[name].append(place)
    return {name: each for name, each in places.items() if len(each) > 1}


def test_a_public_name_is_used_once():
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [(node, path) for path in MODULES for node in parse(path).body if isinstance(node, definitions)]
    public = [(node.name, relative(path)) for node, path in nodes if not node.name.startswith("_")]
    assert find_repeated((name, path) for name, path in public if name != "main") == {}


def test_a_module_name_is_used_twice_at_most():
    names = [(path.name, relative(path)) for path in MODULES if not path.name.startswith("__")]
    assert {name: paths for name, paths in find_repeated(names).items() if len(paths) > 2} == {}


def test_a_generic_verb_names_one_function_of_a_package():
    for package in PACKAGES:
        nodes = [(node, path) for path in SOURCES[package] for node in ast.walk(parse(path))]
        generic = [(node.name, relative(path)) for node, path in nodes if getattr(node, "name", "") in GENERIC_VERBS]
        assert find_repeated(generic) == {}


def test_no_function_is_named_by_a_participle_alone():
    """A fixture or a property is named by what it gives, a context manager by what its block is."""
    participles = re.compile(rf"_*(?:[a-z]+(?<!e)ed|{'|'.join(PARTICIPLES)})")
    violations = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for paths in SOURCES.values()
        for path in paths
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and participles.fullmatch(node.name)
        and node.name not in VERBS_IN_ED
        and not any(re.search("property|fixture", ast.unparse(each)) for each in node.decorator_list)
        and not any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(node))
    ]
    assert violations == []


def find_public_functions(path):
    """Functions and methods of the API: not private, not overriding another one, not properties."""
    for node in parse(path).body:
        members = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        for each in members:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("_"):
                decorators = " ".join(map(ast.unparse, each.decorator_list))
                if not re.search("override|overload|property", decorators):
                    yield each


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_function_says_its_parameters_and_what_it_returns(package):
    silent = []
    for path in SOURCES[package]:
        for function in find_public_functions(path):
            text = ast.get_docstring(function) or ""
            arguments = {each.arg for each in (*function.args.args, *function.args.kwonlyargs)} - {"self", "cls"}
            returned = ast.unparse(function.returns) if function.returns else "None"
            has_result = re.search(r"\bNone\]?$|^Never$", returned.removesuffix(" | None")) is None
            sections = ["Parameters"] * bool(arguments) + ["Returns|Yields"] * has_result
            if any(not re.search(rf"^(?:{each})\n-+$", text, re.MULTILINE) for each in sections):
                silent.append(f"{relative(path)}:{function.lineno} {function.name}")
    assert [each for each in silent if not each.endswith(" infer_batch")] == []  # it refers to `infer`


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
