"""Working with a text in a real Chromium: corrected in place, walked through with keys, found, heard."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core.application import Application
from core.database.tables import Peaks
from core.media import decode, waveform
from core.principal import EVERYONE
from core.settings import Settings
from tests import drive
from tests.conftest import DATA
from tests.test_browser import browser, settle, visit  # noqa: F401
from tests.test_corrections import bring
from tests.tool import Pages, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LINES = ["good morning everyone", "the budget of acme is ready", "thank you for coming"]
UNSURE = {"acme", "coming"}
STEP_S = 20.0
"""Between two lines, so that each is a paragraph and silence is between them."""
HAVE_CURRENT_DATA = 2
"""Of `readyState`."""
CALL = ["acme called about a refund", "the client met the director", "the client is glad"]
"""Another recording, without sound, with a tag."""


def spoken(lines: list[str], step_s: float, word_s: float = 0.5) -> bytes:
    """A transcript of which some words are doubtful."""
    segments = []
    for n, line in enumerate(lines):
        words = [
            {"text": text, "start_s": n * step_s + k * word_s, "end_s": n * step_s + (k + 0.9) * word_s}
            | {"confidence": 0.2 if text in UNSURE else 0.95}
            for k, text in enumerate(line.split())
        ]
        end_s = n * step_s + len(words) * word_s
        segments.append({"start": n * step_s, "end": end_s, "text": line, "words": words})
    return json.dumps({"segments": segments}).encode()


def with_sound(app: Application, tmp_path, name: str, content: bytes, sample: str = "en_meeting") -> str:
    """A recording with its transcript, its sound, and how loud that is."""
    id_ = bring(app, content, f"{name}.json", language="en")
    sound = DATA / f"{sample}.opus"
    with sound.open("rb") as file:
        app.intake.attach_file(EVERYONE, id_, file, f"{name}.opus")
    mono = decode.waveform(decode.decode(sound, tmp_path)[0])
    with app.database.write() as session:
        sha256 = app.recordings.get(EVERYONE, id_).sha256
        session.merge(Peaks(sha256=sha256, peaks=waveform.peaks([mono])))
    return id_


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> tuple[Pages, str, str]:
    folder = tmp_path_factory.mktemp("text")
    app = Application(Settings(stenogram_home=folder / "home"))
    talk = with_sound(app, folder, "talk", spoken(LINES, STEP_S))
    call = bring(app, spoken(CALL, STEP_S), "call.json", language="en")
    app.recordings.rename(EVERYONE, call, "call", ("sales",))
    return Pages(folder / "home"), talk, folder


@pytest.fixture(scope="module")
def page(home, browser: Browser) -> Iterator[Page]:  # noqa: F811
    tool, talk, _ = home
    with tool:
        context = browser.new_context(base_url=tool.url, locale="en-GB", timezone_id="Europe/Moscow")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        visit(page, f"recording?id={talk}")
        expect(page.locator(".word").first).to_be_visible()
        yield page
        context.close()


def texts_of_lines(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".text .words").all_inner_texts()]


def see(page: Page, *lines: str) -> None:
    expect(page.locator(".text .words")).to_have_text([re.compile(rf"^\s*{line}\s*$") for line in lines])


def typed(page: Page, text: str) -> None:
    page.locator(".typed").fill(text)
    page.keyboard.press("Enter")
    settle(page)


def test_a_word_is_corrected_in_place_and_taken_back(page):
    page.locator(".word", has_text="acme").dblclick()
    expect(page.locator(".typed")).to_have_value(LINES[1])
    assert page.locator(".typed").evaluate("area => area.selectionStart") == len("the budget of ")
    typed(page, "the budget of ACME is ready")
    see(page, LINES[0], "the budget of ACME is ready", LINES[2])
    expect(page.locator(".word.edited")).to_have_text("ACME")
    expect(page.get_by_text("Corrections: 1")).to_be_visible()

    page.locator(".text").press("Control+z")
    see(page, *LINES)
    page.get_by_role("button", name="Do it again").click()
    see(page, LINES[0], "the budget of ACME is ready", LINES[2])
    page.keyboard.press("Control+z")
    see(page, *LINES)


def test_paragraphs_are_cut_joined_and_words_move(page):
    page.locator(".word", has_text="budget").dblclick()
    page.keyboard.press("Control+Enter")
    see(page, LINES[0], "the", "budget of acme is ready", LINES[2])
    page.locator(".word", has_text="budget").dblclick()
    page.keyboard.press("Home")
    page.keyboard.press("Backspace")
    see(page, *LINES)
    page.locator(".word", has_text="ready").dblclick()
    page.keyboard.press("Alt+ArrowDown")
    see(page, LINES[0], "the budget of acme is", "ready thank you for coming")
    for lines in (LINES, [LINES[0], "the", "budget of acme is ready", LINES[2]], LINES):
        page.keyboard.press("Control+z")
        see(page, *lines)
    for _ in range(3):
        page.keyboard.press("Control+y")  # as fast as keys go: none is lost
    see(page, LINES[0], "the budget of acme is", "ready thank you for coming")
    for _ in range(3):
        page.keyboard.press("Control+z")
    expect(page.locator(".tools .undo")).to_be_disabled()
    see(page, *LINES)


def test_somebody_else_was_faster_and_that_is_said(page, home):
    tool, talk, _ = home
    page.locator(".word", has_text="morning").dblclick()
    app = Application(Settings(stenogram_home=tool.home))
    first = app.recording_text.utterances(EVERYONE, talk)[0]
    app.recording_text.rewrite(EVERYONE, talk, 0, [first.version], "good evening everyone")

    typed(page, "good morning all")
    expect(page.get_by_text("Somebody has changed these words meanwhile")).to_be_visible()
    see(page, "good evening everyone", *LINES[1:])
    settle(page)
    page.keyboard.press("Control+z")
    see(page, *LINES)


def test_doubtful_places_are_walked_through_with_keys_alone(page):
    expect(page.locator(".word.unsure")).to_have_text(["acme", "coming"])
    page.locator(".text").press("Escape")
    page.keyboard.press("n")
    expect(page.locator(".doubts .left")).to_have_text("Doubtful places left: 1")
    expect(page.locator(".doubts progress")).to_have_css("appearance", "none")  # browsers' own looks full
    expect(page.locator(".word", has_text="acme")).to_be_focused()
    expect(page.locator(".play.playing")).to_have_count(1)
    page.keyboard.press("n")
    expect(page.locator(".word", has_text="coming")).to_be_focused()
    page.keyboard.press("Shift+N")
    expect(page.locator(".word", has_text="acme")).to_be_focused()
    page.keyboard.press("e")
    typed(page, "the budget of Acme is ready")
    expect(page.locator(".word.unsure")).to_have_text(["coming"])
    page.keyboard.press("n")
    expect(page.locator(".word", has_text="coming")).to_be_focused()
    expect(page.locator(".doubts .left")).to_have_text("Doubtful places left: 0")
    page.keyboard.press("Control+z")
    see(page, *LINES)


def test_another_engine_listens_once_more_and_is_taken(page, home):
    tool, _, _ = home
    page.locator(".word", has_text="acme").click()
    page.keyboard.press("k")
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Here, and costs nothing but time")).to_be_visible()
    dialog.get_by_role("button", name="Listen", exact=True).click()
    expect(dialog.get_by_text("listens…")).to_be_visible()
    drive.perform_all(Application(Settings(stenogram_home=tool.home)))
    expect(dialog.get_by_text("It reads now")).to_be_visible()
    dialog.get_by_role("button", name=re.compile("^Take what")).click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".text .words").nth(1)).not_to_contain_text("acme")
    expect(page.get_by_text(re.compile("^Corrections: "))).to_be_visible()
    page.keyboard.press("Control+z")
    see(page, *LINES)


def test_the_player_obeys_its_keys_and_remembers(page):
    media = page.locator("video.media")

    def now() -> float:
        return float(media.evaluate("media => { media.pause(); return media.currentTime }"))

    page.locator(".at").nth(1).click()
    page.keyboard.press("k")
    assert now() == pytest.approx(STEP_S, abs=2)
    for key, moved_s in (("l", 10), ("j", -10), ("ArrowRight", 5), ("ArrowLeft", -5)):
        before = now()
        page.keyboard.press(key)
        assert now() == pytest.approx(before + moved_s, abs=0.3), key
    for _ in range(9):
        page.keyboard.press("]")
    assert media.evaluate("media => [media.playbackRate, media.preservesPitch]") == [3, True]
    for _ in range(11):
        page.keyboard.press("[")
    assert media.evaluate("media => media.playbackRate") == 0.5
    page.locator(".rate").click()
    expect(page.locator("canvas.wave")).to_be_visible()
    box = page.locator("canvas.wave").bounding_box()
    page.locator("canvas.wave").click(position={"x": box["width"] / 2, "y": 10})
    half_s = float(media.evaluate("media => media.duration")) / 2
    assert now() == pytest.approx(half_s, rel=0.05)
    page.reload()
    expect(page.locator(".word").first).to_be_visible()
    expect(page.locator(".time")).not_to_contain_text(re.compile("^0:00 "))
    address = page.url
    page.goto(f"{address}&t=0.0")
    until(lambda: media.evaluate("media => media.readyState") >= HAVE_CURRENT_DATA, 60, "the sound")
    assert now() < 1, "a link to the very beginning leads there, wherever one stopped listening"
    page.goto(address)
    expect(page.locator(".word").first).to_be_visible()


def test_silence_is_passed_over_if_wanted(page):
    page.locator(".tools .skip").click()
    expect(page.locator(".tools .skip")).to_have_attribute("aria-pressed", "true")
    page.locator(".word", has_text="everyone").click()
    expect(page.locator(".time")).to_contain_text(re.compile(r"^0:[2-9]\d "))
    page.keyboard.press("k")
    page.locator(".tools .skip").click()


def test_words_are_found_in_the_text_and_it_is_copied(page):
    page.locator(".text").press("Control+f")
    page.keyboard.type("of acme")
    expect(page.locator(".word.hit")).to_have_text(["of", "acme"])
    expect(page.locator(".finder output")).to_have_text("1 / 1")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(".word.hit")).to_have_count(0)

    page.get_by_role("button", name="Copy with times").click()
    expect(page.locator(".note")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "\n\n".join(
        f"[0:{n * 20:02}] {line}" for n, line in enumerate(LINES)
    )
    page.get_by_role("button", name="Copy the text").click()
    page.emulate_media(media="print")
    expect(page.locator(".bar")).to_be_hidden()
    page.emulate_media(media="screen")


def found(page: Page, question: str) -> Locator:
    """Moments that the page of the search shows for a question, asked by words."""
    visit(page, f"search?mode=words&q={quote(question)}")
    return page.locator("[class*=st-key-hit-group-]")


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("client", 2),
        ("client -director", 1),
        ('"client is glad"', 1),
        ('"glad client"', 0),
        ("acme tag:sales", 1),
        ("acme before:2020-01-01", 0),
        ("acme after:2020", 2),
        ("acme lang:en shorter:60", 2),
    ],
    ids=range(8),
)
def test_operators_of_a_question_work_and_hits_are_counted(page, question, count):
    hits = found(page, question)
    expect(hits).to_have_count(count)
    if count:
        expect(page.get_by_text(re.compile(rf"^{count} moments?\b")).first).to_be_visible()


def test_moments_are_kept_from_a_search_ordered_and_exported(page):
    for word in ("budget", "thank"):
        hits = found(page, word)
        expect(hits).to_have_count(1)
        hits.get_by_role("button", name="Keep this moment").click()
        expect(page.get_by_text(re.compile("^Kept: ")).first).to_be_visible()
    visit(page, "moments")
    cards = page.locator("[class*=st-key-moment-]:not([class*=form])")
    expect(page.get_by_text("2 moments", exact=True)).to_be_visible()
    for n in range(2):
        page.get_by_role("button", name="Collect").nth(n).click()
        if not n:
            page.get_by_label("Or a new one").fill("Best of")
        page.get_by_test_id("stPopoverBody").get_by_role("button", name="Add", exact=True).click()
        settle(page)
        visit(page, "moments")
    page.get_by_role("combobox", name="Collection").click()
    page.get_by_role("option", name="Best of (2)").click()
    settle(page)
    before = cards.locator("blockquote").all_inner_texts()
    assert len(before) == 2
    page.get_by_role("button", name="Down", exact=True).first.click()
    expect(cards.locator("blockquote")).to_have_text(before[::-1])
    page.get_by_role("button", name="Export").click()
    for name, ending, magic in (
        ("Word document", "docx", b"PK"),
        ("One reel (M4A)", "m4a", b"ftyp"),
        ("Clips (ZIP)", "zip", b"PK"),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert download.value.suggested_filename == f"Best of.{ending}"
        assert magic in Path(download.value.path()).read_bytes()[:12]


def test_words_are_replaced_in_all_recordings_and_put_back(page, home):
    _, talk, _ = home
    visit(page, "words")
    page.get_by_label("What is written").fill("acme")
    page.get_by_label("What it should be").fill("Acme Ltd")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.get_by_text("Places found: 2")).to_be_visible()
    places = page.locator("[class*=st-key-place-]")
    places.first.locator("label").click()
    expect(page.get_by_role("button", name="Replace in 1 places")).to_be_visible()
    places.first.locator("label").click()
    page.get_by_role("button", name="Replace in 2 places").click()
    expect(page.get_by_text("Replaced in 2 places of 2 recordings.")).to_be_visible()
    visit(page, f"recording?id={talk}")
    see(page, LINES[0], "the budget of Acme Ltd is ready", LINES[2])
    visit(page, "words")
    page.get_by_label("What is written").fill("Acme Ltd")
    page.get_by_label("What it should be").fill("acme")
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("button", name="Replace in 2 places").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Places found: 2")).to_be_visible()
    page.get_by_role("button", name="Replace in 2 places").click()
    expect(page.get_by_text("Replaced in 2 places")).to_be_visible()


def test_the_glossary_proposes_what_it_knows_and_corrects_it(page, home):
    _, talk, _ = home
    visit(page, "words")
    page.get_by_role("tab", name="Glossary").click()
    page.get_by_label("Right form").fill("ACME")
    page.get_by_label("Misheard as, split by commas").fill("acme, akme")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("ACME ← acme, akme")).to_be_visible()
    visit(page, f"recording?id={talk}")
    expect(page.get_by_text("acme → ACME × 1")).to_be_visible()
    page.get_by_role("button", name="Correct them").click()
    see(page, LINES[0], "the budget of ACME is ready", LINES[2])
    page.keyboard.press("Control+z")
    see(page, *LINES)


def test_several_recordings_are_tagged_taken_along_and_deleted_at_once(page, home, tmp_path):
    visit(page, "library?view=table")
    grid = page.locator("[class*=st-key-library-table]")
    grid.locator(".dvn-scroller").click(position={"x": 18, "y": 18})  # the box of the head: every row
    page.get_by_role("button", name="Several at once").click()
    expect(page.get_by_text("2 recordings", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as ZIP").click()
    download.value.save_as(tmp_path / "several.zip")
    assert len(zipfile.ZipFile(tmp_path / "several.zip").namelist()) == 2

    tags = page.get_by_role("combobox", name="Tags")
    tags.click()
    tags.press_sequentially("together")  # the box forgets what is filled in within 10 ms of the focus
    expect(page.get_by_role("option", name="together")).to_be_visible()  # before it, Enter chooses nothing
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Add the tags").click()
    expect(page.get_by_role("link", name="together (2)")).to_be_visible()

    settle(page)
    grid.locator(".dvn-scroller").click(position={"x": 18, "y": 18})
    expect(page.get_by_text("2 recordings", exact=True)).to_have_count(0)
    grid.locator(".dvn-scroller").click(position={"x": 18, "y": 53})
    page.get_by_role("button", name="Several at once").click()
    expect(page.get_by_text("1 recording", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("link", name="together (1)")).to_be_visible()
    page.get_by_role("button", name="Several at once").click()
    expect(page.get_by_text("1 recording", exact=True)).to_have_count(
        0
    )  # the next row is not chosen in its place
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("link", name="together (2)")).to_be_visible()
