"""MkDocs hook: READMEs become home pages, links out of docs/ plain names; each package gets API reference pages.

The pages are written for the repository. The site contains docs/ alone, so links to other files would be broken.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["build_api_pages", "on_config", "on_files", "on_page_markdown", "rewrite_links"]

ROOT = Path(__file__).resolve().parents[1]
HOMES = {"README.md": "index.md", "README.zh.md": "zh/index.md"}
"""Files of the repository that are pages of the site."""
PACKAGES = {
    "Core": "core/kubevoice",
    "Training": "training/kubevoice_training",
    "Serving": "serving/kubevoice_serving",
    "Operator": "operator/kubevoice_operator",
    "Command line": "cli/kubevoice_cli",
}
"""The roots of the packages that the API reference documents, by their title in the navigation."""
LINK = re.compile(r"(?P<image>!?)\[(?P<label>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def rewrite_links(text: str, source: str, page: str) -> str:
    """Rewrite the relative links of a Markdown text for its page on the site.

    Parameters
    ----------
    text
        Markdown.
    source
        Path of the text's file, relative to the repository.
    page
        Path of the page, relative to docs/.

    Returns
    -------
    str
        Markdown. A link to a file that is not on the site is replaced by the file's name.
    """

    def rewrite(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["target"]))
        on_site = HOMES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if on_site is None:
            return f"`{path}`" if match["label"].strip("`") == path else f"{match['label']} (`{path}`)"
        target = posixpath.relpath(on_site, PurePosixPath(page).parent.as_posix())
        return f"{match['image']}[{match['label']}]({target}{match['anchor'] or ''})"

    return LINK.sub(rewrite, text)


def build_api_pages(root: str) -> dict[str, str]:
    """Build the API reference of a package.

    A page has a directive for the package and for each of its modules. mkdocstrings replaces the directive by the
    docstrings, which it reads from the source without importing it.

    Parameters
    ----------
    root
        Path of the package, relative to the repository.

    Returns
    -------
    dict of str to str
        Markdown by path of the page; one page for each subpackage.
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
    sections = [
        {title: [{Path(page).stem: page} for page in build_api_pages(root)]} for title, root in PACKAGES.items()
    ]
    config.nav = [*(config.nav or []), {"API": sections}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the READMEs and the API reference to the pages."""
    for readme, page in HOMES.items():
        text = (ROOT / readme).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=rewrite_links(text, readme, page)))
    for root in PACKAGES.values():
        for page, text in build_api_pages(root).items():
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrite the links of the pages of docs/."""
    name = page.file.src_uri
    return markdown if name in HOMES.values() else rewrite_links(markdown, f"docs/{name}", name)
