"""What belongs to every page, in a real Chromium: addresses and Back, keys, the language, the first paint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect
from playwright.sync_api import TimeoutError as Timeout

from core.application import Application
from core.errors import BadRequest, Code
from core.library.kept_moments import Stretch
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import Settings
from core.speech.speakers.turns import Turn
from tests import drive
from tests.conftest import DATA
from tests.test_browser import browser, settle, visit  # noqa: F401 - a fixture
from tests.test_speakers_of_recordings import script
from tests.tool import Pages, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATHS = ("", "upload", "library", "search", "monitor", "costs", "settings")
QUESTION = "search?q=бухгалтерия"
MORE_PATHS = (
    "upload?way=record",
    "upload?way=link",
    "upload?way=watched",
    "library?view=table",
    "library?view=bin",
    QUESTION,
    "moments",
    "voices",
    "words",
    *(f"monitor?view={view}" for view in ("history", "jobs", "failures", "batches", "workers", "health")),
    "costs?view=proof",
    "costs?view=prices",
    "costs?view=sheet",
    "audit",
    "keys",
)
SHIFTS = """
new PerformanceObserver(list => {
  for (const entry of list.getEntries())
    if (!entry.hadRecentInput) window.shifted = (window.shifted || 0) + entry.value;
}).observe({type: 'layout-shift', buffered: true});
"""
LATE = """
const later = setTimeout;
window.setTimeout = (act, ms, ...more) => {
  if (ms === 20000 && !window.gaveUp) { window.gaveUp = true; ms = 500; }
  return later(act, ms, ...more);
};
"""
"""The time in which a page should have come is over long before it comes."""
MOST_SHIFT = 0.05
SLOWER = 4
"""A machine so many times as slow as this one shows what is drawn late."""
GRAVE = {"serious", "critical"}
NAMED = """[...document.querySelectorAll('.stMain a, .stMain [data-testid^=stBaseButton]')].every(each => {
  const icon = each.querySelector('[data-testid=stIconMaterial]');
  return each.ariaLabel || each.textContent.replace(icon ? icon.textContent : '', '').trim();
})"""
"""Streamlit draws the label of a link or button after it."""
LOOKS = 4
STREAMLIT = {"scrollable-region-focusable"}
"""What only the makers of the page's elements could mend."""


@pytest.fixture(scope="module")
def tool(tmp_path_factory) -> Iterator[Pages]:
    """Three recordings, one of them with work that failed."""
    home = tmp_path_factory.mktemp("frame") / "home"
    app = Application(Settings(stenogram_home=home))
    for name, title, speakers in (("ru_meeting", "Планёрка", "auto"), ("call_stereo", "Звонок", "off")):
        with (DATA / f"{name}.opus").open("rb") as file:
            order = {"language": "ru", "engine": "gigaam-v3_ctc", "speakers": speakers}
            options = TranscriptionOptions(title=title, tags=(title,), **order)
            app.intake.accept(EVERYONE, file, f"{name}.opus", options)
    with pytest.MonkeyPatch.context() as patch:
        script(patch, turns=(Turn(0.0, 20.0, 0), Turn(20.0, 60.0, 1)))
        drive.perform_all(app)
    with (DATA / "en_meeting.opus").open("rb") as file:
        app.intake.accept(EVERYONE, file, "broken.opus", TranscriptionOptions(language="en"))
    job = drive.ready(app)[0]
    claim = app.job_queue.claim(job.id, "a worker")
    assert claim
    app.job_queue.fail(claim, BadRequest(Code.LIMIT_UNKNOWN))
    app.glossary.save(EVERYONE, "Стенограм", ["стена грамм"], ["ru"])
    call = app.recordings.find(EVERYONE, words="Звонок", limit=1)[1][0]
    kept = app.kept_moments.keep(EVERYONE, Stretch(call.id, 1.0, 5.0, note="Для отчёта", tags=("отчёт",)))
    app.kept_moments.add(EVERYONE, app.kept_moments.make_collection(EVERYONE, "Отчёт").id, kept.moment.id)
    app.database.close()
    with Pages(home) as tool:
        yield tool


@pytest.fixture
def page(tool: Pages, browser: Browser) -> Iterator[Page]:  # noqa: F811
    with browser.new_context(base_url=tool.url, locale="en-GB", timezone_id="Europe/Moscow") as context:
        yield context.new_page()


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def open_first(page: Page) -> None:
    """Open a recording from a list, and see it."""
    page.locator("[class*=st-key-row-] a, [class*=st-key-group-] a").first.click()
    page.wait_for_url("**/recording?**")
    expect(page.locator(".play")).to_be_visible()


def test_back_brings_the_search_with_its_answers(page):
    visit(page, "search")
    box = page.get_by_role("textbox", name="Search")
    box.fill("бухгалтерия")
    box.press("Enter")
    expect(page.locator("[class*=st-key-group-]").first).to_contain_text("бухгалтерия")
    page.get_by_role("radio", name="Words", exact=True).click()
    page.wait_for_url("**mode=words**")
    address = page.url
    open_first(page)

    page.go_back()

    expect(box).to_have_value("бухгалтерия")
    expect(page.locator("[class*=st-key-group-]").first).to_contain_text("бухгалтерия")
    expect(page.get_by_role("radio", name="Words", exact=True)).to_be_checked()
    assert page.url == address
    page.go_forward()
    expect(page.locator(".play")).to_be_visible()
    assert "id" in query(page)


def test_a_link_to_a_search_asks_it(page):
    visit(page, "search?q=бухгалтерия&mode=words")

    expect(page.get_by_role("textbox", name="Search")).to_have_value("бухгалтерия")
    expect(page.locator("[class*=st-key-group-]").first).to_contain_text("бухгалтерия")


def test_where_no_word_is_found_the_meaning_is_one_click_away(page):
    visit(page, "search?q=парашют&mode=words")

    link = page.get_by_role("link", name="Search by meaning, too")
    expect(link).to_be_visible()
    visit(page, str(link.get_attribute("href")))
    expect(page.get_by_role("radio", name="Meaning and words")).to_be_checked()


def test_back_brings_the_filters_of_the_library(page):
    visit(page, "library")
    rows = page.locator("[class*=st-key-row-]")
    expect(rows).to_have_count(3)
    page.get_by_role("combobox", name="Tag").click()
    page.get_by_role("option", name="Планёрка").click()
    expect(rows).to_have_count(1)
    page.get_by_role("textbox", name="Title").fill("план")
    page.get_by_role("textbox", name="Title").press("Enter")
    page.wait_for_url("**title=**")
    open_first(page)

    page.go_back()

    expect(rows).to_have_count(1)
    expect(page.get_by_role("textbox", name="Title")).to_have_value("план")
    assert query(page) == {"tag": "Планёрка", "title": "план"}


def test_back_brings_the_view_of_the_monitor_with_its_filters(page):
    visit(page, "monitor?view=jobs")
    page.get_by_role("combobox", name="State").click()
    page.get_by_role("option", name="Failed").click()
    page.wait_for_url("**state=failed**")
    page.locator("[data-testid=stSidebarNavLink]", has_text="Library").click()
    page.wait_for_url("**/library")

    page.go_back()

    expect(page.get_by_text("1 job", exact=True)).to_be_visible()
    assert query(page) == {"view": "jobs", "state": "failed"}


def test_the_language_is_kept_without_a_trace_in_addresses(page):
    visit(page, "library")
    page.get_by_role("radio", name="Русский").click()
    expect(page.get_by_role("heading", name="Записи")).to_be_visible()
    page.wait_for_function("document.cookie.includes('stenogram_language=ru')")
    open_first(page)
    page.go_back()
    page.wait_for_url("**/library")
    expect(page.get_by_role("heading", name="Записи")).to_be_visible()

    page.reload()

    expect(page.get_by_role("heading", name="Записи")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "ru"
    assert query(page) == {}


def pressed(page: Page, keys: str, path: str) -> bool:
    """Whether these keys lead to this page now: one that has just been drawn may not listen yet."""
    for key in keys:
        page.keyboard.press(key)
    with suppress(Timeout):
        page.wait_for_url(f"**/{path}", timeout=5000)
        return True
    return False


def test_keys_lead_to_every_page_and_to_the_search(page):
    visit(page, "")
    for keys, path in [
        ("gl", "library"),
        ("gm", "monitor"),
        ("gc", "costs"),
        ("gu", "upload"),
        ("gs", "search"),
    ]:
        until(partial(pressed, page, keys, path), 60, f"the page {path}")
    box = page.get_by_role("textbox", name="Search")
    expect(box).to_be_visible()
    page.keyboard.press("/")
    expect(box).to_be_focused()
    page.keyboard.type("g m?/")
    expect(box).to_have_value("g m?/")


def test_a_list_says_which_keys_there_are(page):
    visit(page, "library")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")

    def shown() -> bool:  # a page that has just been drawn may not listen yet
        page.keyboard.press("?")
        try:
            expect(dialog).to_be_visible(timeout=2000)
        except AssertionError:
            return False
        return True

    until(shown, 60, "the list of keys")
    expect(dialog).to_contain_text("Play or pause")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_tour_is_offered_once_and_leads_through_the_pages(page):
    visit(page, "")
    page.get_by_test_id("stMain").get_by_role("button", name="Show the tour").click()
    tour = page.get_by_role("dialog", name="Tour")
    for n, path in enumerate(("upload", "library", "search", "costs", "monitor"), 1):
        expect(tour).to_contain_text(f"{n} of 5")
        page.wait_for_url(f"**/{path}")
        tour.get_by_role("button", name="Done" if n == 5 else "Next").click()
    expect(tour).to_be_hidden()

    visit(page, "")
    expect(page.get_by_text("Recent recordings")).to_be_visible()
    expect(page.get_by_test_id("stMain").get_by_role("button", name="Show the tour")).to_have_count(0)
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_role("dialog", name="Keyboard shortcuts").get_by_role("button", name="Show the tour").click()
    expect(tour).to_contain_text("1 of 5")
    page.keyboard.press("Escape")
    expect(tour).to_be_hidden()


def test_the_menu_says_how_many_recordings_failed(page):
    visit(page, "library")
    link = page.locator("[data-testid=stSidebarNavLink]", has_text="Monitor")

    expect(link).to_have_attribute("data-badge", "1")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_page_arrives_whole_and_nothing_in_it_jumps(tool, browser, width):  # noqa: F811
    size = {"width": width, "height": 900}
    missing: list[str] = []
    shifted: dict[str, float] = {}
    with browser.new_context(base_url=tool.url, locale="ru-RU", viewport=size) as context:
        context.add_init_script(SHIFTS)
        page = context.new_page()
        page.on("response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None)
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        visit(page, "library")
        link = page.locator("[class*=st-key-row-] a").last.get_attribute("href")
        assert link
        for path in (*PATHS, QUESTION, link.lstrip("/")):
            visit(page, path)
            expect(page.locator("html.arriving")).to_have_count(0)
            page.wait_for_function("document.fonts.status === 'loaded'")
            shifted[path] = page.evaluate("window.shifted || 0")

    assert missing == []
    assert {path: shift for path, shift in shifted.items() if shift > MOST_SHIFT} == {}


def slowly(route: Route) -> None:
    """Answer when all else is there."""
    time.sleep(3)
    route.continue_()


def test_a_search_that_takes_longer_than_any_page_does_not_jump(tool, browser):  # noqa: F811
    size = {"width": 1440, "height": 900}
    with browser.new_context(base_url=tool.url, locale="ru-RU", viewport=size) as context:
        context.add_init_script(SHIFTS + LATE)
        page = context.new_page()
        page.route("**/static/js/PageLink.*", slowly)
        visit(page, QUESTION)
        expect(page.locator("[class*=st-key-group-]").first).to_contain_text("бухгалтерия")
        expect(page.locator("html.arriving")).to_have_count(0)

        assert page.evaluate("window.gaveUp")
        assert page.evaluate("window.shifted || 0") <= MOST_SHIFT / 5


def test_speakers_are_named_merged_and_undone_by_keys(page):
    visit(page, "library?title=план")
    open_first(page)
    names, people = page.locator("input.name"), page.locator(".person")
    names.first.focus()
    page.keyboard.type("Анна")
    page.keyboard.press("Enter")
    expect(page.locator("button.speaker", has_text="Анна").first).to_be_visible()

    page.locator("select.merge").nth(1).focus()
    page.keyboard.press("ArrowDown")
    expect(people).to_have_count(1)
    expect(names.first).to_be_focused()

    for left in (2, 2):
        page.locator(".undo").focus()
        page.keyboard.press("Enter")
        expect(people).to_have_count(left)
    expect(page.locator(".undo")).to_be_disabled()
    expect(page.locator("button.speaker", has_text="Анна")).to_have_count(0)

    page.locator(".statistics summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".chart tbody tr")).to_have_count(2)


def still_grave(page: Page, path: str) -> list[str]:
    """What axe finds, and finds again a second later: labels come after their buttons."""
    for _ in range(LOOKS):
        settle(page)
        page.wait_for_function(NAMED)
        if not (found := grave(page, path)):
            break
        page.wait_for_timeout(1000)
    return found


def grave(page: Page, path: str) -> list[str]:
    """What axe finds."""
    return [
        f"{path}: {one['id']} ×{len(one['nodes'])} "
        f"{[(node['html'][:160], node['failureSummary'][-180:]) for node in one['nodes'][:3]]}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in GRAVE and one["id"] not in STREAMLIT
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("width", "scheme", "locale"), [(1440, "light", "ru-RU"), (390, "dark", "en-GB")])
def test_axe_finds_nothing_grave(tool, browser, width, scheme, locale):  # noqa: F811
    violations: list[str] = []
    size = {"width": width, "height": 900}
    with browser.new_context(
        base_url=tool.url, locale=locale, color_scheme=scheme, viewport=size, reduced_motion="reduce"
    ) as context:
        page = context.new_page()
        visit(page, "library")
        link = page.locator("[class*=st-key-row-] a").last.get_attribute("href")
        assert link
        app = Application(Settings(stenogram_home=tool.home))
        shared = app.links.make(EVERYONE, recording_id=parse_qs(urlsplit(link).query)["id"][0]).address
        for path in (*PATHS, *MORE_PATHS, link.lstrip("/"), shared.lstrip("/")):
            visit(page, path)
            expect(page.locator("html.arriving")).to_have_count(0)
            page.wait_for_function(NAMED)
            if path == "words":
                page.get_by_test_id("stTab").nth(1).click()
                expect(page.get_by_text("Стенограм ←")).to_be_visible()
            for part in page.locator("[data-testid=stExpander] summary:visible").all():
                part.click()
            violations += still_grave(page, path)

    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("what", ["recording", "moment"])
def test_a_shared_link_opens_at_its_own_address(tool, page, what):
    app = Application(Settings(stenogram_home=tool.home))
    kept = app.kept_moments.find(EVERYONE)[0].moment
    target = {"moment_id": kept.id} if what == "moment" else {"recording_id": kept.recording_id}
    address = app.links.make(EVERYONE, **target).address
    title = kept.title if what == "moment" else app.recordings.get(EVERYONE, kept.recording_id).title
    app.database.close()

    visit(page, address.lstrip("/"))

    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)  # Streamlit's, that there is no such page
    assert page.url.endswith(address)


CUT = """[...document.querySelectorAll('.stMain button, .stMain a, .stMain label')].filter(each => {
  const box = each.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !each.closest('[data-testid=stDataFrame]');
}).map(each => each.textContent)"""


def test_nothing_is_cut_at_the_edge_of_a_telephone(tool, browser):  # noqa: F811
    cut: dict[str, list[str]] = {}
    size = {"width": 390, "height": 900}
    with browser.new_context(base_url=tool.url, locale="ru-RU", viewport=size) as context:
        page = context.new_page()
        for path in (*PATHS, *MORE_PATHS):
            visit(page, path)
            expect(page.locator("html.arriving")).to_have_count(0)
            cut[path] = page.evaluate(CUT)

    assert {path: names for path, names in cut.items() if names} == {}


def test_what_a_popover_saved_closes_it_and_names_the_downloads(page):
    visit(page, "library?title=Звонок")
    open_first(page)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Title").fill("Звонок в банк")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("heading", name="Звонок в банк")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Subtitles (SRT)").click()
    assert download.value.suggested_filename == "Звонок в банк.srt"


def test_a_date_is_typed_by_hand(page):
    visit(page, "library?title=Звонок")
    open_first(page)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("spinbutton", name="day, Recorded on").click()
    page.keyboard.type("05112025", delay=60)
    page.get_by_role("textbox", name="Title").click()  # closes the calendar, which lies over what is below
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("recorded 5 Nov 2025")).to_be_visible()
    visit(page, "search?q=бухгалтерия before:2025-11-06&mode=words")
    expect(page.locator("[class*=st-key-group-]")).to_have_count(1)
    expect(page.locator("[class*=st-key-group-]")).to_contain_text("recorded 5 Nov 2025")


def test_words_are_reached_by_keys_and_the_speed_is_kept(page):
    visit(page, "library?title=план")
    open_first(page)
    page.locator(".word").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".word").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".play.playing")).to_have_count(1)
    page.get_by_role("button", name="Speed").click()
    expect(page.locator(".rate")).to_have_text("1.25×")

    page.reload()

    expect(page.locator(".rate")).to_have_text("1.25×")


SHADES = """(all, side) => all.map(each => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const over = colours => {
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const below = [];
  for (let at = each; at; at = at.parentElement || at.getRootNode().host)
    below.unshift(getComputedStyle(at).backgroundColor);
  const shown = side === 'edge' ? below.slice(0, -1) : below;
  const style = getComputedStyle(each);
  const colour = side === 'edge'
    ? (style.boxShadow.match(/(rgba?|color|oklch)\\([^)]*\\)/) || [style.borderBottomColor])[0] : style.color;
  return [over(['white', ...shown]), over(['white', ...shown, colour])];
})"""
"""What lies below the text or edge of each, and the text or edge itself, as they are painted."""
EDGED = (
    ("settings", "[data-testid=stCheckbox]:has(input:not(:checked)) :has(+ [data-testid=stWidgetLabel])", ""),
    ("library", "[data-testid=stPopoverBody]", ".st-key-several button"),
    (QUESTION, ".stMarkdownColoredBackground", ""),
)
"""Paths, what has an edge there that is seen, and what is pressed before."""


def contrast(below: list[int], above: list[int]) -> float:
    """As WCAG reckons."""

    def light(colour: list[int]) -> float:
        shares = [part / 255 for part in colour]
        red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in shares)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(below), light(above)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_edges_and_disabled_buttons_are_seen(tool, browser, scheme):  # noqa: F811
    faint: list[tuple[str, float]] = []
    with browser.new_context(base_url=tool.url, locale="en-GB", color_scheme=scheme) as context:
        page = context.new_page()
        for path, edged, pressed_first in EDGED:
            visit(page, path)
            expect(page.locator("html.arriving")).to_have_count(0)
            if pressed_first:
                page.locator(pressed_first).first.click()
            expect(page.locator(edged).first).to_be_visible()
            shades = page.locator(edged).evaluate_all(SHADES, "edge")
            is_raised = "Popover" in edged and scheme == "light"  # by its shadow
            faint += [(edged, found) for each in shades if (found := contrast(*each)) < 3 and not is_raised]
        visit(page, "upload")
        button = page.locator(".st-key-transcribe button:disabled p")
        expect(button).to_be_visible()
        faint += [
            ("disabled", found)
            for each in button.evaluate_all(SHADES, "text")
            if (found := contrast(*each)) < 3
        ]

    assert faint == []


def test_corrected_and_found_words_are_underlined_so_that_it_is_seen(page):
    visit(page, "library?title=план")
    open_first(page)
    word = page.locator(".word").first
    expect(word).to_be_visible()
    for kind in ("edited", "hit"):
        word.evaluate("(word, kind) => word.className = `word ${kind}`", kind)
        (shades,) = page.locator(f".word.{kind}").first.locator("xpath=.").evaluate_all(SHADES, "edge")
        assert contrast(*shades) >= 3, kind


CLIPPED = """all => all.filter(each => each.scrollWidth > each.clientWidth + 1 && each.clientWidth)
  .map(each => each.textContent)"""


@pytest.mark.parametrize("width", [1440, 390])
def test_tables_clip_nothing_and_their_heads_stand_over_their_figures(tool, browser, width):  # noqa: F811
    size = {"width": width, "height": 900}
    with browser.new_context(base_url=tool.url, locale="ru-RU", viewport=size) as context:
        page = context.new_page()
        for path in ("settings", "monitor?view=history", "costs"):
            visit(page, path)
            expect(page.locator("html.arriving")).to_have_count(0)
            for part in page.locator("[data-testid=stExpander] summary:visible").all():
                part.click()
            expect(page.locator(".figures:visible").first).to_be_visible()
            assert page.locator(".figures th:visible, .figures td:visible").evaluate_all(CLIPPED) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") == width
            heads = page.locator(".figures th.n:visible").evaluate_all(
                "all => all.map(each => getComputedStyle(each).textAlign)"
            )
            assert set(heads) <= {"right"}
