"""The cost page under real clicks: a chart exported, a quote cancelled and begun again, limits typed in."""

from __future__ import annotations

import re
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


def test_the_lead_has_the_answer_on_a_fresh_installation_without_a_click(page):
    """500 hours a month, sync or batch?"""
    visit(page, "costs")

    bills = page.locator(".bill")
    expect(bills).to_have_count(2)
    expect(bills.nth(0)).to_contain_text("At once")
    expect(bills.nth(0).locator(".bill-price")).to_have_text("$21.73 a month")
    expect(bills.nth(1)).to_contain_text("advised")
    expect(bills.nth(1).locator(".bill-price")).to_have_text("$10.86 a month")
    expect(page.locator(".saving")).to_contain_text("$130.44 a year")
    expect(page.locator(".advice")).to_contain_text("Take batch: it saves $10.87")
    bottom = page.locator(".advice").bounding_box()
    assert bottom["y"] + bottom["height"] < 900, "no scrolling on a usual screen"


def test_what_is_missing_is_a_way_to_where_it_is_set_up(page):
    visit(page, "costs")
    page.get_by_role("link", name="needs a Gemini key").first.click()

    expect(page.get_by_role("heading", name="Settings")).to_be_visible()


def test_the_sliders_change_the_answer_and_the_address_carries_it(page):
    visit(page, "costs")
    slider = page.get_by_role("slider").nth(0)
    slider.focus()
    slider.press("ArrowRight")
    expect(page.locator(".bill-price").first).to_have_text("$32.59 a month")
    worth = page.get_by_role("slider").nth(1)
    worth.focus()
    for usd in ("$0.10", "$0.50", "$1.00"):
        worth.press("ArrowRight")
        expect(page.locator(".quiet", has_text=f"an hour of waiting at {usd}.")).to_be_visible()
    expect(page.locator(".advice")).to_contain_text("Take it at once")
    expect(page).to_have_url(re.compile("hours=750.*wait="))

    advice = page.locator(".advice").inner_text()
    page.goto(page.url)

    expect(page.locator(".advice")).to_have_text(advice)


def test_waiting_of_days_is_said_in_days_and_every_figure_fits_a_telephone(tool, browser):  # noqa: F811
    with browser.new_context(
        base_url=tool.url, locale="en-GB", viewport={"width": 390, "height": 844}
    ) as context:
        page = context.new_page()
        visit(page, "costs")
        expect(page.locator(".figures").first).to_contain_text("4 d 4 h")
        times = page.locator(".bill .pairs, .figures").all_inner_texts()
        assert not re.search(r"[3-9]\d\sh|\d{3}\sh", " ".join(times)), "hours that should be days"
        cut = page.locator(".figures td, .pairs span, .bill-price").evaluate_all(
            "all => all.filter(each => each.scrollWidth > each.clientWidth + 1 && each.clientWidth).length"
        )
        wide = page.evaluate("document.documentElement.scrollWidth")
    assert (cut, wide) == (0, 390)


def test_the_title_stands_where_other_titles_stand(page):
    visit(page, "costs")
    costs = page.get_by_role("heading", name="Costs", exact=True).bounding_box()
    visit(page, "library")
    library = page.get_by_role("heading", name="Library", exact=True).bounding_box()

    assert (costs["x"], costs["y"]) == (library["x"], library["y"])


def test_the_page_to_sign_prints_alone(page):
    visit(page, "costs?view=sheet")
    expect(page.get_by_role("button", name="Print or save as PDF")).to_be_visible()
    page.emulate_media(media="print")

    expect(page.locator(".sheet")).to_be_visible()
    expect(page.get_by_role("button", name="Print or save as PDF")).to_be_hidden()
    expect(page.get_by_role("heading", name="Costs", exact=True)).to_be_hidden()
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))) == 1


def test_every_field_explains_itself(page):
    for address in ("costs", "costs?by=documents"):
        visit(page, address)
        fields = page.get_by_test_id("stMain").locator(
            "[data-testid=stNumberInput], [data-testid=stSelectbox], [data-testid=stSlider]"
        )
        silent = fields.filter(has_not=page.get_by_test_id("stTooltipIcon")).filter(
            has=page.locator("label:visible p:visible")
        )
        expect(fields.first).to_be_visible()
        assert silent.evaluate_all("all => all.filter(e => e.innerText.trim().length > 9).length") == 0


def test_a_chart_is_exported_as_a_picture(page, tmp_path):
    visit(page, "costs")
    chart = page.locator("[data-testid=stVegaLiteChart]:visible").first  # the first drawing is thrown away
    expect(chart).to_be_visible()

    with page.expect_download() as download:
        until(
            lambda: _clicked(chart, page.get_by_role("button", name="Download as PNG").first),
            90,
            "the button",
        )

    download.value.save_as(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def _clicked(chart: Locator, button: Locator) -> bool:
    """The button is there while the pointer is over the chart, which may yet move away from under it."""
    try:
        chart.hover(timeout=HEARD_MS)
        button.click(timeout=HEARD_MS)
    except Error:
        return False
    return True


@pytest.mark.parametrize("elsewhere", ["Prices", "What it came to", "Settings"])
def test_what_was_chosen_is_there_again_after_looking_elsewhere(page, elsewhere):
    visit(page, "costs")
    page.get_by_text("₽", exact=True).click()
    expect(page.locator(".bill-price").first).to_contain_text("₽")

    page.get_by_text(elsewhere, exact=True).first.click()
    expect(page.locator(".bill-price")).to_have_count(0)
    page.get_by_text("Costs" if elsewhere == "Settings" else "Estimate", exact=True).first.click()
    page.get_by_text("Files", exact=True).click()

    expect(page.get_by_text("Only headers are read")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_role("radio", name="₽", checked=True).first).to_be_visible()


def test_reading_many_files_is_cancelled_and_begun_again(page, folder):
    visit(page, "costs?by=files")
    page.get_by_role("textbox", name="Or a folder of the server").fill(str(folder))
    page.get_by_role("textbox", name="Or a folder of the server").press("Enter")
    page.get_by_role("button", name="Read the folder").click()

    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_text("new files")).to_have_count(0)

    page.get_by_role("button", name="Read them after all").click()
    expect(page.get_by_text(f"{FILES:,} new files")).to_be_visible()
    expect(page.get_by_role("button", name="Run this plan")).to_be_visible()


def test_counting_tokens_without_a_key_is_a_sentence(page):
    visit(page, "costs")
    page.get_by_text("What this is based on").click()
    page.get_by_role("textbox", name="A sample of your texts").fill("слово за слово " * 20)
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
    return _grid(page).locator("#glide-cell-3-0").last  # beside an older one while the grid is drawn anew


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
