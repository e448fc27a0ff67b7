"""What a person does, in a real Chromium: bring recordings, watch, read, search, click, listen."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jiwer
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect, sync_playwright

from tests.conftest import DATA
from tests.tool import Tool, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ARGUMENTS = [
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
PATHS = ("", "upload", "library", "search?q=budget", "monitor", "costs", "settings")
LOOKS = [(1440, "light", "ru"), (1440, "dark", "en"), (390, "light", "en"), (390, "dark", "ru")]
"""Every two of width, colours and language together."""
LOCALES = {"ru": "ru-RU", "en": "en-GB"}
PATIENCE_MS = 240_000
SLOW_MS = 90_000
"""A busy machine draws slowly; nothing here measures speed."""
AT = "video => video.currentTime"


@pytest.fixture(scope="module")
def tool(tmp_path_factory) -> Iterator[Tool]:
    with Tool(tmp_path_factory.mktemp("browser") / "home") as tool:
        yield tool


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=SLOW_MS)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(tool: Tool, browser: Browser) -> Iterator[Page]:
    with browser.new_context(base_url=tool.url, locale="en-GB", timezone_id="Europe/Moscow") as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def recordings(tool: Tool, browser: Browser) -> dict[str, str]:
    """The ids of both samples, uploaded through the page and ready."""
    with browser.new_context(base_url=tool.url, locale="en-GB") as context:
        page = context.new_page()
        return {name: upload(page, name, spoken) for name, spoken in SAMPLES.items()}


SAMPLES = {"ru_meeting": "Russian", "en_meeting": "English"}


def upload(page: Page, name: str, spoken: str) -> str:
    visit(page, "upload")
    choose(page, DATA / f"{name}.opus")
    page.get_by_test_id("stMain").get_by_role("combobox").first.click()
    page.get_by_role("option", name=spoken, exact=True).click()
    page.get_by_role("button", name="Transcribe 1 file").click()
    row = page.locator("[class*=st-key-row-]", has_text=f"{name}.opus")
    expect(row).to_contain_text("found by words", timeout=PATIENCE_MS)
    match = re.search(r"st-key-row-(\w+)", row.get_attribute("class") or "")
    assert match
    return match[1]


def choose(page: Page, *paths: Path) -> None:
    """Give files to the zone of the Upload page, once it listens."""
    page.locator("[data-drawn] .sender .pick").set_input_files(paths)


def visit(page: Page, path: str) -> None:
    page.set_default_timeout(SLOW_MS)
    page.goto(f"/{path}")
    settle(page)


def settle(page: Page) -> None:
    """Wait until Python has drawn the page."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-zа-я']+", text.lower().replace("ё", "е")))


def now_playing(page: Page) -> float:
    return float(page.locator("video.media").evaluate(AT))


def words_shown(page: Page) -> list[dict[str, Any]]:
    """The transcript's words as they stand on the page, with their seconds."""
    script = "all => all.map(word => ({text: word.textContent, s: Number(word.dataset.s)}))"
    return list(page.locator(".word").evaluate_all(script))


def follow(page: Page, link: Locator) -> float:
    """Click a moment; the second that its address names, when the player is there."""
    link.click()
    page.wait_for_url("**/recording?**")
    second = float(parse_qs(urlsplit(page.url).query)["t"][0])
    expect(page.locator("video.media")).to_have_count(1)
    until(lambda: now_playing(page) >= second - 0.3, 30, "the player to be there")
    return second


@pytest.mark.parametrize("name", list(SAMPLES))
def test_an_uploaded_recording_is_transcribed_and_can_be_read(page, recordings, name):
    visit(page, f"recording?id={recordings[name]}")
    expect(page.locator(".word").first).to_be_visible()

    transcribed = words(" ".join(word["text"] for word in words_shown(page)))
    reference = words((DATA / f"{name}.txt").read_text())

    assert jiwer.wer(reference, transcribed) <= 0.10


def test_a_file_is_not_lost_when_a_language_is_chosen_while_it_is_reported(page):
    """Streamlit replaces a script run by the next one, and what the first carried is gone with it."""
    reports: list[str | bytes] = []
    waiting: list[str | bytes] = []

    def hold_the_report(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if not reports and b'"event":"sent"' in bytes(message):
                reports.append(message)
                waiting.append(message)
                return
            for each in (*waiting, message):
                server.send(each)
            waiting.clear()

        socket.on_message(pass_on)

    page.route_web_socket("**/_stcore/stream", hold_the_report)
    visit(page, "upload")
    choose(page, DATA / "guest_meeting.opus")
    until(lambda: page.wait_for_timeout(50) or waiting, 30, "the page to report the file")
    page.get_by_test_id("stMain").get_by_role("combobox").first.click()
    page.get_by_role("option", name="English", exact=True).click()

    expect(page.get_by_role("button", name="Transcribe 1 file")).to_be_enabled()


def test_no_page_wants_what_its_policy_forbids(page: Page):
    """The Content-Security-Policy fits Streamlit, its charts, our components and Swagger UI."""
    refused: list[str] = []
    page.on(
        "console",
        lambda console_message: (
            refused.append(console_message.text) if "Content Security" in console_message.text else None
        ),
    )
    for path in PATHS:
        visit(page, path)
    page.goto("/docs")
    expect(page.locator(".swagger-ui .info")).to_be_visible()

    assert refused == []
    page.evaluate("document.head.appendChild(document.createElement('base')).href = 'https://evil.example/'")
    page.wait_for_function("document.baseURI.startsWith(location.origin)")
    assert len(refused) == 1, "what is forbidden is refused, and seen here"


def test_english_is_found_by_meaning_and_plays_at_that_second(page, recordings):
    visit(page, "search")
    page.get_by_role("textbox", name="Search").fill("the client is furious about the delay")
    page.get_by_role("textbox", name="Search").press("Enter")
    first = page.locator("[class*=st-key-group-], [class*=st-key-nearest-]", has_text="en_meeting")
    expect(first).to_contain_text("meaning")

    second = follow(page, first.get_by_role("link").nth(1))

    assert abs(now_playing(page) - second) < 3
    expect(page.get_by_role("heading", name="en_meeting")).to_be_visible()


def test_russian_is_found_by_an_inflected_word_and_plays_at_that_word(page, recordings):
    visit(page, "search?q=бухгалтерией")
    group = page.locator("[class*=st-key-group-]", has_text="ru_meeting")
    expect(group).to_contain_text("бухгалтерия")

    second = follow(page, group.get_by_role("link").nth(1))

    assert abs(now_playing(page) - second) < 3
    near = [word["text"] for word in words_shown(page) if 0 <= word["s"] - second <= 3]
    assert "бухгалтерия" in near
    expect(page.locator(".word.now")).to_have_count(1)


def test_a_click_on_a_word_plays_from_there_and_keys_move(page, recordings):
    visit(page, f"recording?id={recordings['ru_meeting']}")
    word = page.locator(".word").nth(30)

    word.click()
    clicked = float(word.get_attribute("data-s") or 0)
    expect(page.locator(".play.playing")).to_have_count(1)
    assert clicked <= now_playing(page) < clicked + 4

    page.keyboard.press(" ")
    expect(page.locator(".play.playing")).to_have_count(0)
    before = now_playing(page)
    page.keyboard.press("ArrowRight")
    assert now_playing(page) == pytest.approx(before + 5, abs=0.2)
    page.keyboard.press("ArrowLeft")
    assert now_playing(page) == pytest.approx(before, abs=0.2)


def test_the_highlight_follows_the_sound(page, recordings):
    visit(page, f"recording?id={recordings['ru_meeting']}")
    page.locator(".word").nth(5).click()
    first = page.locator(".word.now").inner_text()

    expect(page.locator(".word.now")).not_to_have_text(first)


def test_a_download_brings_subtitles(page, recordings):
    visit(page, f"recording?id={recordings['ru_meeting']}")
    page.get_by_role("button", name="Download").click()

    with page.expect_download() as download:
        page.get_by_role("button", name="Subtitles (SRT)").click()

    assert download.value.suggested_filename == "ru_meeting.srt"
    assert "00:00:00" in Path(download.value.path()).read_text()


def test_a_large_file_goes_on_after_a_broken_connection(page, recordings, tmp_path):
    shutil.copy(DATA / "en_meeting.opus", tmp_path / "большая встреча.opus")
    (tmp_path / "notes.wav").write_text("hello, this is text")
    broken: list[str] = []

    def break_once(route: Any) -> None:
        if route.request.method == "PATCH" and not broken:
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/api/v1/uploads/*", break_once)
    visit(page, "upload")
    choose(page, tmp_path / "большая встреча.opus", tmp_path / "notes.wav")

    listed = page.locator(".sender .file")
    expect(listed.filter(has_text="большая встреча.opus")).to_contain_text("here already")
    expect(listed.filter(has_text="notes.wav")).to_contain_text("cannot be read")
    assert len(broken) == 1
    listed.filter(has_text="notes.wav").get_by_role("button").click()
    expect(listed).to_have_count(1)


def test_names_from_people_run_nothing(page, recordings, tmp_path):
    rude = tmp_path / "<img src=x onerror='window.hacked=1'> **b** [l](javascript:hacked=1).opus"
    shutil.copy(DATA / "call_stereo.opus", rude)
    visit(page, "upload")
    choose(page, rude)
    page.get_by_role("button", name="Transcribe 1 file").click()
    expect(page.get_by_role("heading", name="Upload more")).to_have_count(1)

    for path in ("upload", "library", "monitor", ""):
        if path != "upload":
            visit(page, path)
            page.wait_for_timeout(300)
        assert page.locator("main img[src=x], [data-testid=stMain] a[href^=javascript]").count() == 0
        assert page.evaluate("window.hacked") is None
    row = page.locator("[class*=st-key-row-]", has_text="onerror")
    expect(row).to_contain_text("**b** [l](javascript:")
    row.get_by_role("link").click()
    page.wait_for_url("**/recording?**")
    page.get_by_role("button", name="Delete").click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/library")
    expect(page.locator("[class*=st-key-row-]", has_text="onerror")).to_have_count(0)


@pytest.mark.parametrize(("width", "scheme", "locale"), LOOKS)
def test_every_page_looks_as_it_should(tool, browser, recordings, tmp_path, width, scheme, locale):
    """Pictures to look at, in $SHOTS; asserted is that nothing broke, overflowed or came from elsewhere."""
    folder = Path(os.environ.get("SHOTS", tmp_path))
    with browser.new_context(
        base_url=tool.url,
        locale=LOCALES[locale],
        timezone_id="Europe/Moscow",
        color_scheme=scheme,
        viewport={"width": width, "height": 900 if width > 1000 else 844},
    ) as context:
        page = context.new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        for path in (*PATHS, f"recording?id={recordings['en_meeting']}&t=21"):
            visit(page, path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
            page.wait_for_timeout(500)  # fonts and icons
            name = path.partition("?")[0] or "overview"
            page.screenshot(path=folder / f"{name}-{width}-{scheme}-{locale}.png")
            assert page.get_by_test_id("stException").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    foreign = [url for url in requests if not url.startswith((tool.url, "data:", "blob:"))]
    assert foreign == []


def test_what_the_microphone_hears_is_on_the_server_as_it_comes(tool, browser):
    """Chromium's own microphone beeps. A tab that dies loses nothing that was sent."""
    options = {"base_url": tool.url, "locale": "en-GB", "permissions": ["microphone"]}
    with browser.new_context(**options) as context:
        page = context.new_page()
        visit(page, "upload?way=record")
        recorder = page.locator(".recorder")
        recorder.get_by_role("textbox").fill("Standup")
        recorder.get_by_role("button", name="Record", exact=True).click()
        expect(recorder.locator(".time")).to_have_text("0:03")
        expect(recorder.locator(".level")).not_to_have_js_property("value", 0)
        recorder.get_by_role("button", name="Pause").click()
        expect(recorder.locator(".state")).to_have_text("Paused")
        recorder.get_by_role("button", name="Go on").click()
        page.close(run_before_unload=False)

        page = context.new_page()
        visit(page, "upload?way=record")
        recorder = page.locator(".recorder")
        expect(recorder.locator(".left")).to_contain_text("Standup.webm")
        recorder.get_by_role("button", name="Take what there is").click()
        expect(page.locator(".sender .list")).to_contain_text("Standup.webm")
        expect(page.locator(".sender .list")).to_contain_text(re.compile(r"[2-9]\ss"))

        visit(page, "upload?way=record")
        recorder.get_by_role("button", name="Record", exact=True).click()
        expect(recorder.locator(".time")).to_have_text("0:02")
        recorder.get_by_role("button", name="Finish").click()
        expect(page.locator(".sender .list")).to_contain_text("Recording of")
        expect(page.get_by_role("button", name="Transcribe 1 file")).to_be_enabled()
