"""MkDocs hook: the READMEs as home pages, links out of docs/ as plain names, and a page of API reference a package.

The pages are written to be read in the repository. On the site, which may be all that somebody has, there is no file
beside docs/ to link to.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["api_pages", "on_config", "on_files", "on_page_markdown", "rewrite_links"]

ROOT = Path(__file__).resolve().parents[1]
HOMES = {"README.md": "index.md", "README.zh.md": "zh/index.md"}
"""Files of the repository that are pages of the site."""
PARTS = {
    "Core": "core/kubevoice",
    "Training": "training/kubevoice_training",
    "Serving": "serving/kubevoice_serving",
    "Operator": "operator/kubevoice_operator",
    "Command line": "cli/kubevoice_cli",
}
"""The roots of the packages that the API reference documents, by their heading in the navigation."""
LINK = re.compile(r"(?P<image>!?)\[(?P<label>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def rewrite_links(text: str, source: str, page: str) -> str:
    """Return Markdown whose relative links, written for the file `source` of the repository, hold on the page `page`.

    `page` is relative to docs/. What is not on the site is named instead of linked.
    """

    def link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["target"]))
        on_site = HOMES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if on_site is None:
            return f"`{path}`" if match["label"].strip("`") == path else f"{match['label']} (`{path}`)"
        here = posixpath.relpath(on_site, PurePosixPath(page).parent.as_posix())
        return f"{match['image']}[{match['label']}]({here}{match['anchor'] or ''})"

    return LINK.sub(link, text)


def api_pages(root: str) -> dict[str, str]:
    """Return the API reference of the package at `root`: a page's path to its Markdown, one page a subpackage.

    A page has a directive for the package and for each of its modules; mkdocstrings replaces it by what it reads in
    the source, without importing it.
    """
    top = ROOT / root
    pages = {}
    for package in sorted(path.parent for path in top.rglob("__init__.py")):
        name = ".".join(package.relative_to(top.parent).parts)
        modules = sorted(path.stem for path in package.glob("*.py") if not path.stem.startswith("__"))
        directives = [f"::: {name}", *(f"::: {name}.{module}" for module in modules)]
        pages[f"api/{name}.md"] = f"# {name}\n\n" + "\n\n".join(directives) + "\n"
    return pages


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the API reference to the navigation."""
    parts = [{part: [{Path(page).stem: page} for page in api_pages(root)]} for part, root in PARTS.items()]
    config.nav = [*(config.nav or []), {"API": parts}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the READMEs and the API reference to the pages."""
    for readme, page in HOMES.items():
        text = (ROOT / readme).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=rewrite_links(text, readme, page)))
    for root in PARTS.values():
        for page, text in api_pages(root).items():
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrite the links of the pages of docs/."""
    name = page.file.src_uri
    return markdown if name in HOMES.values() else rewrite_links(markdown, f"docs/{name}", name)
