"""The web page in Chromium: speaking, corrections, settings, keys."""

import re
from pathlib import Path

import pytest
from kubevoice.resources.data_plane import AccessConfig
from kubevoice_serving.http.api_keys import generate_key
from playwright import sync_api

PLAY = """async () => {
  const audio = document.getElementById("audio");
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaElementSource(audio).connect(analyser);
  analyser.connect(context.destination);
  const samples = new Float32Array(analyser.fftSize);
  let loudest = 0;
  await audio.play();
  for (let i = 0; i < 40 && !audio.ended; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    analyser.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, ...samples.map(Math.abs));
  }
  return {duration: audio.duration, loudest};
}"""
"""Play the audio element and return its length in seconds and the loudest sample that came out of it."""


def test_the_page_of_the_api_shows_the_routes(context, site):
    page, addresses = context.new_page(), []
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(f"{site.url}/docs")
    sync_api.expect(page.get_by_text("/v1/audio/speech", exact=True)).to_be_visible()
    assert all(address.startswith((site.url, "data:")) for address in addresses)


def test_audio_is_played_while_it_is_synthesized_and_can_be_played_again(page):
    page.fill("#text", "今天天气真好，我们一起去公园散步吧！然后回家做饭。")
    page.click("#speak")
    sync_api.expect(page.locator("#first")).to_have_text(re.compile(r"^\d+ ms$"))
    sync_api.expect(page.locator(".sentence.playing .word.playing").first).to_be_visible()
    sync_api.expect(page.locator("#seconds")).to_have_text(re.compile(r"\d s$"))
    sync_api.expect(page.locator(".sentence").nth(1).locator(".word.playing").first).to_be_visible()
    sync_api.expect(page.locator("#stop")).to_be_hidden()
    playback = page.evaluate(PLAY)
    assert playback["loudest"] > 0.05
    assert playback["duration"] == pytest.approx(float(page.inner_text("#seconds").split()[0]), abs=0.02)


@pytest.mark.parametrize(("kind", "magic"), [("flac", b"fLaC"), ("mp3", (b"ID3", b"\xff\xf3", b"\xff\xfb"))])
def test_audio_can_be_downloaded_in_other_formats(page, speak, kind, magic):
    speak("你好。")
    page.select_option("#format", kind)
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == f"kubevoice.{kind}"
    assert Path(download.value.path()).read_bytes().startswith(magic)


def test_an_error_in_a_document_is_shown_with_its_place(page):
    page.check("[name=mode][value=ssml]")
    page.fill("#text", "<speak>你好<break time='1s'></speak>")
    page.click("#speak")
    sync_api.expect(page.locator("#status.bad")).to_contain_text("line 1")


def test_a_corrected_reading_is_used(page, speak):
    speak("他姓重。")
    page.locator(".word", has_text="重").click()
    page.fill("#pinyin", "chong2")
    with page.expect_request("**/v1/audio/speech") as request:
        page.click("#correction [value=save]")
    assert request.value.post_data_json["lexicon"] == {"重": "chong2"}
    sync_api.expect(page.locator(".word rt", has_text="chóng")).to_be_visible()
    page.locator("#corrections button").click()
    with page.expect_request("**/v1/audio/speech") as request:
        page.click("#speak")
    assert "lexicon" not in request.value.post_data_json


def test_words_are_read_instead_of_words(page, speak):
    speak("80后。")
    page.locator(".word").first.click()
    page.fill("#word", "80后")
    page.fill("#pinyin", "八零年代生人")
    page.click("#correction [value=save]")
    sync_api.expect(page.locator("#reading")).to_contain_text("生")


def test_the_page_says_what_decided_a_reading(page, speak):
    speak("2点20分见。")
    page.click("#explanation summary")
    sync_api.expect(page.locator("#decisions tr", has_text="rule: clock")).to_contain_text("两点二十分")


def test_emotion_and_pitch_reach_the_server(page):
    page.select_option("#emotion", "urgent")
    page.fill("#pitch", "3")
    with page.expect_request("**/v1/audio/speech") as request:
        page.click("#speak")
    sent = request.value.post_data_json
    assert (sent["emotion"], sent["pitch"], sent["response_format"]) == ("urgent", 3, "pcm")


def test_keyboard_shortcuts_start_and_stop(page):
    page.fill("#text", "今天天气真好，我们一起去公园散步吧！" * 6)
    page.press("#text", "Control+Enter")
    sync_api.expect(page.locator("#stop")).to_be_visible()
    sync_api.expect(page.locator("#first")).to_have_text(re.compile(r"^\d+ ms$"))
    page.keyboard.press("Escape")
    sync_api.expect(page.locator("#stop")).to_be_hidden()
    sync_api.expect(page.locator(".word.playing")).to_have_count(0)


def test_history_survives_a_reload_and_text_is_not_markup(page, speak):
    speak("你好<img src=x onerror=alert(1)>。")
    page.select_option("#emotion", "sad")
    speak("再见。")
    page.reload()
    sync_api.expect(page.locator(".entry")).to_have_count(2)
    assert page.locator("img").count() == 1  # the page's own icon
    page.select_option("#emotion", "happy")
    page.locator(".entry").first.click()
    sync_api.expect(page.locator("#text")).to_have_value("再见。")
    sync_api.expect(page.locator("#emotion")).to_have_value("sad")


def test_language_and_theme_survive_a_reload(page):
    def read_background():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = read_background()
    page.click("#theme")
    page.click("#language")
    dark = read_background()
    page.reload()
    sync_api.expect(page.locator("#speak")).to_have_text("朗读")
    assert (read_background(), dark != light) == (dark, True)


def test_the_page_needs_a_key_if_the_site_does(page, speak, site, tmp_path):
    key, line = generate_key("page")
    (tmp_path / "keys").write_text(line.text, encoding="utf-8")
    site.access.configure(AccessConfig.model_validate({"keysFile": str(tmp_path / "keys")}))
    try:
        page.click("#speak")
        sync_api.expect(page.locator("#status.bad")).to_contain_text("API key")
        page.fill("#key", key)
        page.press("#key", "Tab")
        speak("你好。")
    finally:
        site.access.configure(AccessConfig())


SEND_TEXT = """([key]) => new Promise((resolve) => {
  const protocols = key ? ["kubevoice", `kubevoice.key.${key}`] : [];
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/v1/audio/speech/stream`, protocols);
  const received = {bytes: 0, types: []};
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    for (const message of [{type: "start"}, {type: "text", text: "你好。再见。"}, {type: "end"}])
      socket.send(JSON.stringify(message));
  };
  socket.onmessage = ({data}) => {
    if (data instanceof ArrayBuffer) received.bytes += data.byteLength;
    else received.types.push(JSON.parse(data).type);
  };
  socket.onclose = ({code, reason}) => resolve({...received, code, reason});
})"""


def test_scripts_of_the_page_can_use_the_websocket_with_a_key(page, site, tmp_path):
    key, line = generate_key("page")
    (tmp_path / "keys").write_text(line.text, encoding="utf-8")
    site.access.configure(AccessConfig.model_validate({"keysFile": str(tmp_path / "keys")}))
    try:
        received = page.evaluate(SEND_TEXT, [key])
        assert (received["code"], received["types"][0], received["types"][-1]) == (
            1000,
            "speech.started",
            "speech.audio.done",
        )
        assert received["bytes"] > 10_000
        refused = page.evaluate(SEND_TEXT, [""])
        assert (refused["code"], refused["reason"], refused["types"]) == (4401, "missing_api_key", ["error"])
    finally:
        site.access.configure(AccessConfig())
