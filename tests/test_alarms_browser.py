"""What a person at night sees, in a real Chromium: the worst on top, its button, and what is late."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import delete

from core.application import Application
from core.database.tables import Batch, Worker
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.queue import workers
from core.queue.queues import QUEUES
from core.settings import Settings
from tests.conftest import DATA
from tests.test_browser import browser, visit  # noqa: F401 - a fixture
from tests.tool import Pages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Application:
    return Application(Settings(stenogram_home=tmp_path_factory.mktemp("alarms") / "home"))


@pytest.fixture(scope="module")
def tool(app: Application) -> Iterator[Pages]:
    with Pages(app.settings.home) as tool:
        yield tool


@pytest.fixture
def page(app: Application, tool: Pages, browser: Browser) -> Iterator[Page]:  # noqa: F811
    """All workers live for as long as a test lasts."""
    with app.database.write() as session:
        session.execute(delete(Batch))
        session.execute(delete(Worker))
    note_workers(app, time.time() + DAY_S, *QUEUES)
    with browser.new_context(base_url=tool.url, locale="en-GB", timezone_id="Europe/Moscow") as context:
        yield context.new_page()


def note_workers(app: Application, at: float, *queues: str) -> None:
    fields = {"host": "host", "pid": 7, "started_at": 0.0, "seen_at": at}
    workers.note(app.database, [Worker(name=f"host/{queue}", queue=queue, **fields) for queue in queues])


def order(app: Application, age_s: float) -> None:
    now = time.time()
    with app.database.write() as session:
        session.add(
            Batch(
                display_name="batches/1", state="submitted", model="gemini-embedding-2@768", texts=3,
                tokens=9, usd="0.5", created_at=now - age_s, submitted_at=now - age_s, next_at=now + 5,
            )
        )  # fmt: skip


def test_all_is_well_is_said_in_one_line(page):
    visit(page, "monitor")

    expect(page.get_by_text("All is well.")).to_be_visible()


def test_a_hung_worker_is_told_while_the_page_is_open_and_its_button_leads_there(app, page):
    visit(page, "monitor")
    expect(page.get_by_text("All is well.")).to_be_visible()

    note_workers(app, time.time() - 60, "gpu")

    alarm = page.get_by_role("status").filter(has_text="No worker is alive for this work")
    expect(alarm).to_contain_text("Speech recognition")
    expect(alarm).to_contain_text("Start the tool")
    alarm.get_by_role("button", name="Open").click()
    expect(page.get_by_text("No sign of life")).to_be_visible()
    page.wait_for_url("**view=workers**")


def test_a_late_batch_is_late_on_the_overview_the_monitor_and_in_its_list(app, page):
    order(app, 25 * 3600)

    visit(page, "")
    expect(page.get_by_text("1 batch is late.")).to_be_visible()
    page.get_by_role("button", name="Open").first.click()

    page.wait_for_url("**/monitor?view=batches")
    expect(page.get_by_text("Late", exact=True)).to_be_visible()
    expect(page.get_by_text("saved")).to_have_count(0)


def test_the_list_of_batches_goes_on_by_itself(app, page):
    order(app, 60)
    visit(page, "monitor?view=batches")
    line = page.get_by_text("next look in")
    before = line.inner_text()

    expect(line).not_to_have_text(before)


def test_nothing_is_said_to_be_idle_above_work_that_waits(app, page):
    visit(page, "monitor")
    expect(page.get_by_text("Nothing is running.")).to_be_visible()

    with (DATA / "en_meeting.opus").open("rb") as file:
        app.intake.accept(EVERYONE, file, "en_meeting.opus", TranscriptionOptions(language="en"))

    expect(page.get_by_role("heading", name="Waiting")).to_be_visible()
    expect(page.get_by_text("Nothing is running.")).to_have_count(0)
