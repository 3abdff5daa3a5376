"""The web page in Chromium: readings before speaking, long texts, voices, and what is said about errors."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

LONG = "今天天气真好。我们去公园散步吧！你想去吗？太好了。"


def make_texts_long(route):
    """Serve the page with limits so small that a short text has several parts."""
    response = route.fetch()
    body = response.text().replace("4096", "20").replace("= 1000", "= 12")
    route.fulfill(response=response, body=body)


@pytest.fixture
def spoken(page):
    """The bodies of the requests for speech that the page has sent."""
    bodies = []
    page.on("request", lambda each: each.url.endswith("/audio/speech") and bodies.append(each.post_data_json))
    return bodies


@pytest.fixture
def in_parts(page):
    """The page with limits so small that `LONG` has three parts."""
    page.route("**/webui/parts.js", make_texts_long)
    page.reload()
    expect(page.locator("#voice option")).to_have_count(1)
    page.fill("#text", LONG)
    return page


def test_a_reading_is_shown_and_corrected_before_the_text_is_spoken(page, spoken):
    page.fill("#text", "他姓重。")
    page.click("#preview")
    expect(page.locator("#words rt").last).to_have_text("zhòng")
    page.locator(".word", has_text="重").click()
    page.fill("#pinyin", "chong9")
    page.click("#correction [value=save]")
    expect(page.locator("#correction-problem")).not_to_be_empty()
    assert page.locator("#correction").is_visible()
    page.fill("#pinyin", "chóng")
    page.click("#correction [value=save]")
    expect(page.locator("#words rt").last).to_have_text("chóng")
    expect(page.locator("#correction")).to_be_hidden()
    expect(page.locator("#result")).to_be_hidden()
    assert spoken == []


def test_a_long_text_is_spoken_in_parts_and_saved_as_one_file(in_parts, spoken):
    expect(in_parts.locator("#count")).to_have_text(f"{len(LONG)} characters, in 3 parts")
    in_parts.click("#speak")
    expect(in_parts.locator("#seconds")).to_have_text(re.compile(r"\d s$"))
    assert [each["input"] for each in spoken] == ["今天天气真好。", "我们去公园散步吧！", "你想去吗？太好了。"]
    expect(in_parts.locator(".sentence")).to_have_count(4)
    seconds = float(in_parts.inner_text("#seconds").split()[0])
    for audio_format, magic in (("wav", b"RIFF"), ("mp3", (b"ID3", b"\xff\xf3", b"\xff\xfb"))):
        in_parts.select_option("#format", audio_format)
        with in_parts.expect_download() as download:
            in_parts.click("#download")
        assert Path(download.value.path()).read_bytes().startswith(magic)
    played = in_parts.evaluate("document.getElementById('audio').duration")
    assert played == pytest.approx(seconds, abs=0.02)
    assert in_parts.locator("#format option[value=flac]").is_disabled()


@pytest.mark.parametrize("text", ["啊" * 9000, "哈，" * 5000, "𠮷" * 5000, "好。\n\n" * 3000])
def test_parts_have_the_whole_text_and_none_is_too_long(page, text):
    parts = page.evaluate("async (text) => (await import('/webui/parts.js')).splitText(text)", text)
    assert "".join(parts) == text
    assert all(0 < len(part) <= 1000 for part in parts)


def test_an_old_take_is_not_shown_beside_a_new_error(page, speak):
    speak("你好。")
    expect(page.locator("#words")).to_be_visible()
    page.check("[name=mode][value=ssml]")
    page.fill("#text", "<speak>你好")
    page.click("#speak")
    expect(page.locator("#status.bad")).to_contain_text("line 1")
    for section in ("#result", "#words"):
        expect(page.locator(section)).to_be_hidden()


def test_errors_are_in_the_language_of_the_page(page):
    page.click("#language")
    page.fill("#text", " ")
    page.click("#speak")
    expect(page.locator("#status.bad")).to_have_text("请先输入要朗读的文字")
    page.fill("#text", "你好。")
    busy = {"error": {"message": "all replicas are busy", "code": "busy"}}
    page.route("**/v1/audio/speech", lambda route: route.fulfill(status=429, body=json.dumps(busy)))
    page.click("#speak")
    expect(page.locator("#status.bad")).to_have_text("服务器正忙，请过一会儿再试")
    page.route("**/v1/audio/speech", lambda route: route.abort())
    page.click("#speak")
    expect(page.locator("#status.bad")).to_have_text("连接不上服务器，请检查网络")


def test_what_has_one_choice_is_hidden(page):
    expect(page.locator("#emotion")).to_be_visible()
    expect(page.locator("#voice")).to_be_hidden()


def test_each_emotion_of_a_voice_has_a_sample(page, site, spoken):
    (voice,) = json.loads(page.request.get(f"{site.url}/v1/voices").body())["voices"]
    samples = page.locator(".voice button")
    expect(samples).to_have_count(len(voice["emotions"]))
    page.locator(".voice button", has_text="sad").click()
    expect(page.locator(".voice [aria-pressed=true]")).to_have_text("▶ sad")
    expect(page.locator(".voice [aria-pressed=true]")).to_have_count(0)
    assert [(each["voice"], each["emotion"]) for each in spoken] == [(voice["name"], "sad")]


def test_examples_show_their_words(page):
    expect(page.locator("#examples button").first).to_contain_text("今天天气真好")
    page.locator("#examples button").nth(1).click()
    expect(page.locator("#text")).to_have_value(re.compile("领取快递"))


def test_what_decided_a_reading_is_asked_once_for_each_part(in_parts):
    analysed = []
    in_parts.on(
        "request", lambda each: each.url.endswith("/text/analyze") and analysed.append(each.post_data_json["text"])
    )
    in_parts.click("#preview")
    expect(in_parts.locator(".sentence")).to_have_count(4)
    in_parts.click("#explanation summary")
    expect(in_parts.locator("#decisions tr").first).to_be_visible()
    analysed.clear()
    in_parts.click("#preview")
    expect(in_parts.locator(".sentence")).to_have_count(4)
    expect(in_parts.locator("#status")).to_be_empty()
    assert analysed == ["今天天气真好。", "我们去公园散步吧！", "你想去吗？太好了。"]


def test_readings_and_notices_of_all_parts_are_shown_in_order(in_parts):
    late = []

    def delay_the_first(route):
        if late or "今天" not in route.request.post_data_json["input"]:
            route.continue_()
        else:
            late.append(route)

    def add_notice(route):
        notice = json.dumps([{"message": f"notice {len(route.request.post_data_json['input'])}"}])
        response = route.fetch()
        route.fulfill(response=response, headers={**response.headers, "x-notices": notice})

    in_parts.route("**/v1/audio/subtitles", delay_the_first)
    in_parts.route("**/v1/audio/speech", add_notice)
    in_parts.click("#speak")
    expect(in_parts.locator("#seconds")).to_have_text(re.compile(r"\d s$"))
    late[0].continue_()
    expect(in_parts.locator(".sentence")).to_have_count(4)
    for i, beginning in enumerate("今我你太"):
        expect(in_parts.locator(".sentence").nth(i)).to_contain_text(beginning)
    expect(in_parts.locator("#notices li")).to_have_text(["notice 7", "notice 9"])


def test_a_stopped_take_is_neither_kept_in_the_history_nor_downloaded(in_parts):
    held = []

    def hold_the_second(route):
        if "公园" in route.request.post_data_json["input"]:
            held.append(route)
        else:
            route.continue_()

    in_parts.route("**/v1/audio/speech", hold_the_second)
    in_parts.click("#speak")
    expect(in_parts.locator("#status")).to_contain_text("2")
    expect(in_parts.locator("#download")).to_be_disabled()
    in_parts.keyboard.press("Escape")
    expect(in_parts.locator("#seconds")).to_have_text(re.compile(r"\d s$"))
    expect(in_parts.locator("#download")).to_be_disabled()
    expect(in_parts.locator(".entry")).to_have_count(0)
    held[0].abort()
    in_parts.unroute("**/v1/audio/speech")
    in_parts.click("#speak")
    expect(in_parts.locator("#download")).to_be_enabled()
    expect(in_parts.locator(".entry")).to_have_count(1)


def test_an_empty_text_has_no_reading(page):
    page.fill("#text", " ")
    page.click("#preview")
    expect(page.locator("#status.bad")).to_have_text("Enter a text first")


def test_details_about_an_unavailable_voice_are_shown(page):
    unavailable = {"error": {"message": "voice base is being loaded", "code": "unavailable"}}
    page.route("**/v1/audio/speech", lambda route: route.fulfill(status=503, body=json.dumps(unavailable)))
    page.click("#speak")
    expect(page.locator("#status.bad")).to_contain_text("voice base is being loaded")
