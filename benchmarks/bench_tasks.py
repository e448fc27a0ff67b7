"""How long three people's tasks take, step by step, in a real browser.

    python -m benchmarks.bench_tasks

The team lead asks a fresh installation "500 hours a month: at once or by batch?". The analyst goes through
what a search found. The operator at night finds what is worst, and presses its button.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from sqlalchemy import update

from core.application import Application
from core.database.states import JobState
from core.database.tables import Job
from core.monitor import alarms
from core.monitor.actions import Actions
from core.principal import EVERYONE
from core.queue import workers
from core.settings import load
from tests.test_browser import ARGUMENTS, now_playing
from tests.tool import Pages, Tool, until
from tools import scenes

PATIENCE_MS = 120_000
QUESTION = "бюджет"
FILM = "Запись экрана"
"""A picture is another thing to wait for than a sentence."""
EARLY_S = 0.3


class Watch:
    """Prints a row of the table a step."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.total_s = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done within."""
        began = time.monotonic()
        yield
        took_s = time.monotonic() - began
        self.total_s += took_s
        print(f"| {self.who} | {name} | {took_s:.1f} |", flush=True)


def lead(page: Page, watch: Watch) -> None:
    """Read both bills and the advice."""
    with watch.step("both bills and the advice, from the address on"):
        page.goto("/costs?hours=500")
        expect(page.locator(".bill-batch .bill-mark, .bill-sync .bill-mark")).to_be_visible()
        expect(page.locator(".bill-price")).to_have_count(2)


def analyst(page: Page, watch: Watch) -> None:
    """Search, listen to two hits at their sentences, keep one."""
    hits = page.locator("[class*=st-key-group-]").filter(has_not_text=FILM).locator("[class*=st-key-hit-]")
    with watch.step("the search page"):
        page.goto("/search")
        box = page.get_by_role("textbox", name="Search")
        expect(box).to_be_editable()
    with watch.step("a word is typed, its moments are there"):
        box.fill(QUESTION)
        box.press("Enter")
        expect(hits.nth(1)).to_be_visible()
    with watch.step("a hit is heard at its sentence"):
        _play_hit(page, hits.first)
    with watch.step("Back to the same moments"):
        page.go_back()
        expect(hits.nth(1)).to_be_visible()
        expect(box).to_have_value(QUESTION)
    with watch.step("the next hit is heard"):
        _play_hit(page, hits.nth(1))
    with watch.step("Back, and the moment is kept"):
        page.go_back()
        hits.nth(1).get_by_role("button", name="Keep this moment").click()
        expect(page.get_by_test_id("stToast")).to_contain_text("Kept")


def _play_hit(page: Page, hit: Locator) -> None:
    """Click the time of a hit: the sound plays from there, and the word that is heard is marked."""
    hit.get_by_role("link").first.click()
    page.wait_for_url("**/recording?**")
    second = float(parse_qs(urlsplit(page.url).query)["t"][0])
    expect(page.locator(".play.playing")).to_have_count(1)
    expect(page.locator(".word.now")).to_have_count(1)
    assert now_playing(page) >= second - EARLY_S


def operator_of_failures(page: Page, watch: Watch) -> None:
    """A recording has failed: the overview says why, and it is tried again."""
    alarm = page.get_by_role("status")
    with watch.step("the overview says what is worst, and why"):
        page.goto("/")
        expect(alarm).to_contain_text("1 recording failed.")
    with watch.step("its button leads to the reason and what helps"):
        alarm.get_by_role("button", name="Open").click()
        again = page.get_by_role("button", name="Try all again")
        expect(again).to_be_visible()
    with watch.step("it is tried again; all is well"):
        again.click()
        expect(page.get_by_text("All is well.")).to_be_visible()


def operator_of_a_queue(page: Page, watch: Watch) -> None:
    """A queue stands, as its worker was drained and forgotten."""
    alarm = page.get_by_role("status")
    with watch.step("the overview says which queue hangs"):
        page.goto("/")
        expect(alarm).to_contain_text("nobody takes")
    with watch.step("its button leads to the workers"):
        alarm.get_by_role("button", name="Open").click()
        drained = page.locator("[class*=st-key-row-worker-]", has_text="takes nothing new")
        expect(drained).to_be_visible()
    with watch.step("the worker goes on; all is well"):
        drained.get_by_role("button", name="Actions").click()
        page.get_by_test_id("stPopoverBody").get_by_role("button", name="Go on").click()
        expect(page.get_by_text("All is well.")).to_be_visible()


def _asked(tool: Tool) -> bool:
    """Whether a question was answered: analysts are not the first to ask after a start."""
    with tool.api() as client:
        return client.get("/api/v1/search", params={"q": QUESTION}).is_success


def hang(tool: Tool) -> None:
    """Drain the worker that cuts recordings, and have one wait for it for ten minutes."""
    app = Application(load())
    (worker,) = workers.serving(workers.alive(app.database), "cpu")
    Actions(app, EVERYONE).request_action(worker.name, "drain")
    tool.upload(scenes.SAMPLES / "call_stereo.opus", language="ru")
    with app.database.write() as session:
        waits = (Job.queue == "cpu", Job.state == JobState.READY)
        session.execute(update(Job).where(*waits).values(run_at=Job.run_at - 5 * alarms.STALLED_S))
    app.database.close()


def timed(browser: Browser, tool: Tool, who: str, task: Callable[[Page, Watch], None]) -> None:
    """One task in a browser that knows nothing of the tool yet."""
    watch = Watch(who)
    with browser.new_context(base_url=tool.url, locale="en-GB") as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        task(page, watch)
    print(f"| {watch.who} | **all** | **{watch.total_s:.1f}** |", flush=True)


def main() -> None:
    """Print a table, a row a step."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        expect.set_options(timeout=PATIENCE_MS)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        print("| who | step | s |\n|---|---|---|")
        with Pages(Path(folder) / "fresh") as fresh:
            timed(browser, fresh, "lead", lead)
        with scenes.populated_tool() as tool:
            until(lambda: _asked(tool), PATIENCE_MS / 1000, "the index to be open")
            timed(browser, tool, "analyst", analyst)
            timed(browser, tool, "operator, a failure", operator_of_failures)
            hang(tool)
            timed(browser, tool, "operator, a hung queue", operator_of_a_queue)
        browser.close()


if __name__ == "__main__":
    main()
