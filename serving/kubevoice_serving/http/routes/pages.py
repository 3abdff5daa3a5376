"""The web page, and the page of the API. Both load nothing from other servers."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles

__all__ = ["add_pages"]

WEBUI = Path(__file__).parents[2] / "webui"
PAGE_POLICY = "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; frame-ancestors 'none'"
API_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'"
)
"""Swagger UI is started by a script in its page, and styles its elements."""


def add_pages(app: FastAPI) -> None:
    """Add the web page at / and Swagger UI at /docs.

    Parameters
    ----------
    app : FastAPI
        The application.
    """

    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(WEBUI / "index.html", headers={"Content-Security-Policy": PAGE_POLICY})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title}: HTTP API",
            swagger_js_url="webui/swagger/swagger-ui-bundle.js",
            swagger_css_url="webui/swagger/swagger-ui.css",
            swagger_favicon_url="webui/icon.svg",
        )
        page.headers["Content-Security-Policy"] = API_PAGE_POLICY
        return page

    app.mount("/webui/swagger", StaticFiles(directory=_find_swagger_files()), name="swagger")
    app.mount("/webui", StaticFiles(directory=WEBUI), name="webui")


def _find_swagger_files() -> Path:
    """Return the folder with Swagger UI, which fastapi-offline has in its package."""
    package = find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise ImportError("fastapi-offline is not installed")
    return Path(package.origin).parent / "static"
