"""MkDocs hook: the READMEs as home pages, and links that leave docs/ as the names of what they lead to.

The pages are written to be read in the repository. On the site, which may be all that somebody has, there is no file
beside docs/ to lead to.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_files", "on_page_markdown", "relinked"]

ROOT = Path(__file__).resolve().parents[1]
HOMES = {"README.md": "index.md", "README.zh.md": "zh/index.md"}
"""Files of the repository that are pages of the site."""
LINK = re.compile(r"(?P<image>!?)\[(?P<label>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


def relinked(text: str, source: str, page: str) -> str:
    """Return Markdown whose relative links, written for the file `source` of the repository, hold on the page `page`.

    `page` is relative to docs/. What is not on the site is named instead of linked.
    """

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found["target"]))
        on_site = HOMES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if on_site is None:
            return f"`{path}`" if found["label"].strip("`") == path else f"{found['label']} (`{path}`)"
        here = posixpath.relpath(on_site, PurePosixPath(page).parent.as_posix())
        return f"{found['image']}[{found['label']}]({here}{found['anchor'] or ''})"

    return LINK.sub(link, text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the READMEs to the pages."""
    for readme, page in HOMES.items():
        text = (ROOT / readme).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=relinked(text, readme, page)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrite the links of the pages of docs/."""
    name = page.file.src_uri
    return markdown if name in HOMES.values() else relinked(markdown, f"docs/{name}", name)
