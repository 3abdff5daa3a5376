"""Chromium, and the web page of a server with the built-in voice."""

import re
import shutil

import pytest
from http_app import serve_app
from kubevoice.voice import builtin_voice, load_bundle
from playwright import sync_api

PATIENCE_MILLISECONDS = 180_000
"""In CI a browser shares two cores with a node whose voices are under load."""
sync_api.expect.set_options(timeout=PATIENCE_MILLISECONDS)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serve_app(tmp_path_factory.mktemp("page"), load_bundle(builtin_voice("builtin://base"))) as site:
        yield site


@pytest.fixture(scope="module")
def browser(site):
    """A browser. It starts after the site, because Playwright uses this thread's event loop until the module ends."""
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MILLISECONDS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser):
    context = browser.new_context(locale="en-GB", color_scheme="light", viewport={"width": 900, "height": 1100})
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    yield context
    context.close()


@pytest.fixture
def page(context, site):
    """The page with its voices loaded. An error of its scripts fails the test."""
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://127.0.0.1:{site.port}/")
    sync_api.expect(page.locator("#voice option")).to_have_count(1)
    yield page
    assert errors == []


@pytest.fixture
def speak(page):
    def speak(text=None):
        """Synthesize a text and wait until the audio is complete."""
        if text is not None:
            page.fill("#text", text)
        with page.expect_event("requestfinished", lambda request: request.url.endswith("/v1/audio/speech")):
            page.click("#speak")
        sync_api.expect(page.locator("#seconds")).to_have_text(re.compile(r"\d s$"))

    return speak
