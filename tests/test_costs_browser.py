"""The cost page under real clicks: a chart exported, a quote cancelled and begun again, limits typed in."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, expect

from tests.test_browser import browser, settle, visit  # noqa: F401 - a fixture
from tests.tool import Tool, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

FILES = 3000
SCREEN = {"width": 1440, "height": 2000}
HEARD_MS = 4000
"""After that it is typed again."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Many short recordings, no two alike."""
    folder = tmp_path_factory.mktemp("in") / "many"
    folder.mkdir()
    for n in range(FILES):
        with wave.open(str(folder / f"{n:05}.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(2 * (80 + n)))
    return folder


@pytest.fixture(scope="module")
def tool(tmp_path_factory, folder: Path) -> Iterator[Tool]:
    with Tool(tmp_path_factory.mktemp("costs") / "home", IMPORT_ROOTS=str(folder.parent)) as tool:
        yield tool


@pytest.fixture
def page(tool: Tool, browser: Browser) -> Iterator[Page]:  # noqa: F811
    with browser.new_context(base_url=tool.url, locale="en-GB", viewport=SCREEN) as context:
        yield context.new_page()


def test_a_chart_is_exported_as_a_picture(page, tmp_path):
    visit(page, "costs")
    chart = page.locator("[data-testid=stVegaLiteChart]:visible").first  # the first drawing is thrown away
    expect(chart).to_be_visible()
    chart.hover()

    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PNG").first.click()

    download.value.save_as(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("elsewhere", ["Prices", "What it came to", "Settings"])
def test_what_was_chosen_is_there_again_after_looking_elsewhere(page, elsewhere):
    visit(page, "costs")
    page.get_by_text("₽", exact=True).click()
    expect(page.get_by_test_id("stMetricValue").first).to_contain_text("₽")

    page.get_by_text(elsewhere, exact=True).first.click()
    expect(page.get_by_test_id("stMetricValue").filter(has_text="₽")).to_have_count(0)
    page.get_by_text("Costs" if elsewhere == "Settings" else "Estimate", exact=True).first.click()
    page.get_by_text("Files", exact=True).click()

    expect(page.get_by_text("Only headers are read")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_role("radio", name="₽", checked=True).first).to_be_visible()


def test_reading_many_files_is_cancelled_and_begun_again(page, folder):
    visit(page, "costs?by=files")
    page.get_by_label("Or a folder of the server").fill(str(folder))
    page.get_by_label("Or a folder of the server").press("Enter")
    page.get_by_role("button", name="Read the folder").click()

    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_text("new files")).to_have_count(0)

    page.get_by_role("button", name="Read them after all").click()
    expect(page.get_by_text(f"{FILES:,} new files")).to_be_visible()
    expect(page.get_by_role("button", name="Run this plan")).to_be_visible()


def test_counting_tokens_without_a_key_is_a_sentence(page):
    visit(page, "costs")
    page.get_by_text("What it stands on").click()
    page.get_by_label("A sample of your texts").fill("слово за слово " * 20)
    page.get_by_role("button", name="Count its tokens").click()

    expect(page.get_by_text("Gemini needs a key: set GEMINI_API_KEY.")).to_be_visible()


def test_a_rate_limit_is_typed_in_where_it_stands_and_taken_back(page):
    visit(page, "costs?view=prices")
    refused = page.get_by_text("Requests a minute must be above zero.")
    expect(_calls(page)).to_have_text("3000")

    _type(page, "-5")
    expect(refused).to_be_visible()

    _type(page, "777")
    expect(_calls(page)).to_have_text("777")
    expect(refused).to_have_count(0)

    _type(page, "")
    expect(_calls(page)).to_have_text("3000")


def _calls(page: Page) -> Locator:
    """Requests a minute that Gemini takes: the cell as screen readers are told of it."""
    return _grid(page).locator("#glide-cell-3-0")


def _grid(page: Page) -> Locator:
    return page.locator("[class*=st-key-own-limits]")


def _type(page: Page, figure: str) -> None:
    """Into that cell, or empty it, until another grid says that it was heard: one is only a picture."""
    settle(page)
    expect(_grid(page)).to_have_count(1)  # the one before this is gone
    name = _grid(page).get_attribute("class") or ""
    until(lambda: _typed(page, figure, name), 120, f"the grid to hear {figure!r}")


def _typed(page: Page, figure: str, name: str) -> bool:
    """Reached by keys from the first cell of its row; a busy browser loses some."""
    try:
        _grid(page).locator(".dvn-scroller").click(position={"x": 20, "y": 50}, timeout=HEARD_MS)
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        expect(_calls(page)).to_have_attribute("aria-selected", "true", timeout=HEARD_MS)
        if figure:
            page.keyboard.press("Enter")
            page.locator(".gdg-input").fill(figure, timeout=HEARD_MS)
        page.keyboard.press("Enter" if figure else "Delete")
        expect(_grid(page)).not_to_have_class(name, timeout=HEARD_MS)
    except (AssertionError, Error):
        page.keyboard.press("Escape")
        return False
    return True
