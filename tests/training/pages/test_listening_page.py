"""The listening page, made by its script and opened in a real Chromium."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_MILLISECONDS = 180_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
PROGRAM = Path(__file__).resolve().parents[3] / "training" / "recipes" / "listening_page.py"
EMOTIONS = ("happy", "sad")
DECODE = """(all) => Promise.all(all.map((audio) => new Promise((resolve) => {
  audio.onloadedmetadata = () => resolve(audio.duration);
  audio.onerror = () => resolve(0);
  audio.load();
  audio.preload = "metadata";
})))"""
"""Return the length in seconds of each audio element, 0 where it cannot be decoded."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "listening.html"
    options = ["--speaker", "zf_xiaoxiao", "--sentences", "1", *(x for name in EMOTIONS for x in ("--emotion", name))]
    subprocess.run([sys.executable, PROGRAM, "builtin://base", path, *options], check=True, timeout=300)
    return path


@pytest.fixture
def page(file):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MILLISECONDS)
        opened, requests, refused = browser.new_page(), [], []
        opened.set_default_timeout(PATIENCE_MILLISECONDS)
        opened.on("request", lambda request: requests.append(request.url))
        opened.on("console", lambda message: refused.append(message.text))
        opened.goto(file.as_uri())
        yield opened
        assert {url.partition(":")[0] for url in requests} <= {"file", "data"}
        assert refused == []
        browser.close()


def test_each_emotion_is_heard_seen_and_measured(page):
    durations = page.locator("audio").evaluate_all(DECODE)
    assert len(durations) == len(EMOTIONS)
    happy, sad = durations
    assert 1.0 < happy < sad < 6.0
    assert page.locator("img").evaluate_all("(all) => all.map((image) => image.naturalWidth > 100)") == [True, True]
    assert page.locator("figcaption").all_inner_texts() == ["开心 happy", "悲伤 sad"]
    rows = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
    assert [name for name, *_ in rows] == ["开心 happy", "悲伤 sad"]
    (happy_f0, *_), (sad_f0, *_) = ([float(cell) for cell in cells] for _, *cells in rows)
    assert happy_f0 > sad_f0 > 100.0
    assert "你好，请问有什么可以帮您？" in page.inner_text("main")


def test_the_file_leads_nowhere(file):
    text = file.read_text(encoding="utf-8")
    links = re.findall(r"\b(?:src|href)=\"([^\"]*)\"", text)
    assert links
    assert all(link.startswith("data:") for link in links)
    assert "url(" not in text
    assert "<script" not in text
