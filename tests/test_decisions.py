"""Orders that may have been bought already wait for a person, who decides about them on the monitor."""

from __future__ import annotations

import json

import pytest

from core.application import Application
from core.database.tables import Batch
from core.errors import AdminsOnly, Code, code_of
from core.library.recordings import TranscriptionOptions
from core.monitor import decisions, failures, live
from core.monitor.actions import Actions
from core.principal import EVERYONE, PAGES, Principal
from core.settings import Settings
from jobs import installation
from tests import remotely
from tests.clock import Clock
from tests.drive import perform_all, ready
from tests.installation import generous
from tests.remotely import CANARY
from tests.serve import serve
from tests.test_pages import texts, visit
from tools.runpod_emulator import RunPodEmulator

HEARD = [{"start": 0.1, "end": 0.9, "text": "раз два три", "words": []}]
DEAR_S = 10_000
"""Of a GPU for each part: more than a dollar's worth."""


@pytest.fixture
def runpod():
    with RunPodEmulator(recognise=lambda _file, _language: HEARD, key=CANARY, run_s=30) as emulator:
        yield emulator


@pytest.fixture
def app(tmp_path, monkeypatch, runpod):
    """The installation that pages see; its orders are dear, and cannot be found when they got lost."""
    settings = {
        "STENOGRAM_HOME": str(tmp_path / "home"),
        "RUNPOD_API_KEY": CANARY,
        "RUNPOD_URL": runpod.endpoint,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    installation.serve(None)
    app = Application(Settings(), clock=Clock())
    installation.serve(app)
    yield make_expensive(app)
    installation.serve(None)


def make_expensive(app):
    app.engines["runpod"].price = lambda _duration_s: ("24 GB L4", "sync", DEAR_S)
    return app


def order_held(app, runpod, longest_s=None, lost=1):
    """A task whose first orders were lost and wait for a person."""
    if longest_s:
        app.engines["runpod"].max_segment_s = longest_s
    runpod.fault("drop", lost, call="run")
    task = remotely.accept_short(app, "runpod")
    (job,) = ready(app)
    app.pipeline.run(app.job_queue.claim(job.id, "w"))
    perform_all(app)
    assert len(app.remote_transcription.orders.held()) == lost
    return task


def press(name, task):
    at = visit("monitor")
    at.button(key=f"{name}-{task.transcript_id}").click().run()
    assert not at.exception
    return at


def calls(app):
    return sorted((call.state, call.usd_estimated) for call in app.ledger.payments())


def test_the_card_says_what_happened_and_what_it_costs_once_more(app, runpod):
    order_held(app, runpod)
    (question,) = decisions.waiting(app.database, EVERYONE)

    page_texts = texts(visit("monitor", "en"))
    assert "Waiting for your decision" in page_texts
    assert "RunPod may have been paid for a part already" in page_texts
    assert f"once more for ${question.usd:.2f}" in page_texts
    assert question.usd > 1
    russian = texts(visit("monitor", "ru"))
    assert "Ждёт вашего решения" in russian
    assert "(соединение оборвалось: RemoteProtocolError)" in russian


def test_bought_again_it_is_finished_and_the_book_has_both(app, runpod):
    task = order_held(app, runpod)
    (question,) = decisions.waiting(app.database, EVERYONE)
    at = visit("monitor")
    assert f"RunPod is paid ${question.usd:.2f}. The first order may be billed as well." in texts(at)

    after = press("buy", task)
    assert "Waiting for your decision" not in texts(after)
    (order,) = app.remote_transcription.orders.of(task.transcript_id)
    assert code_of(order.error) is Code.ORDERED_AGAIN
    assert remotely.done(app, task, runpod).status == "completed"

    assert len(runpod.jobs) == 2, "the provider was asked for both"
    assert calls(app) == [("disputed", str(question.usd)), ("settled", str(question.usd))]
    assert app.ledger.month().spent == 2 * question.usd
    (action, *_) = Actions(app, EVERYONE).log()
    assert (action.what, action.who, action.about, action.count) == ("buy again", PAGES, ["a.wav"], 1)


def test_the_page_of_the_recording_asks_too(app, runpod):
    task = order_held(app, runpod)
    at = visit("recording", id=task.recording_id)
    assert "RunPod may have been paid for a part already" in texts(at)

    at.button(key=f"give-up-{task.transcript_id}").click().run()

    assert not at.exception
    perform_all(app)
    assert "was not ordered again" in texts(visit("recording", id=task.recording_id))


def test_given_up_the_task_says_so_and_the_money_stays_unclear(app, runpod):
    task = order_held(app, runpod)
    (question,) = decisions.waiting(app.database, EVERYONE)

    press("give-up", task)
    failed = remotely.done(app, task, runpod)

    assert failed.status == "failed"
    assert code_of(failed.error) is Code.ORDER_GIVEN_UP
    assert "RunPod may have been paid for it (" in texts(visit("recording", id=task.recording_id))
    assert len(runpod.jobs) == 1
    assert calls(app) == [("disputed", str(question.usd))]
    tables = visit("costs", view="proof").dataframe
    assert "unclear, counted as promised" in " ".join(table.value.to_string() for table in tables)
    assert Actions(app, EVERYONE).log()[0].what == "give up"


def test_what_was_given_up_may_be_tried_again(app, runpod):
    task = order_held(app, runpod)
    press("give-up", task)
    remotely.done(app, task, runpod)

    assert app.tasks.retry(EVERYONE, task.id)
    assert remotely.done(app, task, runpod).status == "completed"


def test_parts_of_one_recording_are_one_question_and_later_ones_another(app, runpod):
    task = order_held(app, runpod, longest_s=5, lost=2)
    (question,) = decisions.waiting(app.database, EVERYONE)
    assert "2 parts" in texts(visit("monitor"))
    act = Actions(app, EVERYONE)

    assert act.buy_again(question.order_ids[:1]) == 1
    (left,) = decisions.waiting(app.database, EVERYONE)
    assert left.order_ids == question.order_ids[1:]
    assert act.buy_again(question.order_ids) == 1, "what was decided is not bought a third time"
    assert remotely.done(app, task, runpod).status == "completed"


def test_nobody_is_asked_about_what_nobody_waits_for(app, runpod):
    task = order_held(app, runpod)
    app.tasks.cancel(EVERYONE, task.id)

    assert decisions.waiting(app.database, EVERYONE) == []
    assert "Waiting for your decision" not in texts(visit("monitor"))


def test_a_question_outlives_the_recording_that_was_ordered_first(app, runpod):
    first = order_held(app, runpod)
    sound = app.blobs.path(app.recordings.get(EVERYONE, first.recording_id).sha256)
    with sound.open("rb") as file:
        options = TranscriptionOptions(language="ru", engine="runpod")
        second = app.intake.accept(Principal("other"), file, "b.wav", options)
    (both,) = decisions.waiting(app.database, EVERYONE)
    assert (both.recording.id, len(both.orders)) == (first.recording_id, 1), "asked once for both"

    app.deletion.delete_recording(EVERYONE, first.recording_id)
    perform_all(app)

    (question,) = decisions.waiting(app.database, Principal("other"))
    assert question.recording.id == second.recording_id
    assert Actions(app, EVERYONE).buy_again(question.order_ids) == 1
    assert remotely.done(app, second, runpod).status == "completed"


def test_whoever_may_only_look_sees_the_question_and_cannot_answer(app, runpod, monkeypatch):
    task = order_held(app, runpod)
    monkeypatch.setenv("PAGES_READ_ONLY", "true")
    installation.serve(None)

    at = visit("monitor")
    assert "RunPod may have been paid" in texts(at)
    assert not at.button
    onlooker = Actions(app, Principal(PAGES))
    for step in (onlooker.buy_again, onlooker.give_up):
        with pytest.raises(AdminsOnly):
            step([app.remote_transcription.orders.of(task.transcript_id)[0].id])
    assert decisions.waiting(app.database, Principal("somebody else")) == []


def test_the_open_board_notices_and_does_not_promise_another_try(app, runpod):
    before = live.draw(app, EVERYONE, "en")
    task = order_held(app, runpod)
    app.clock.stopped_at = 0.0
    after = live.draw(app, EVERYONE, "en")

    assert before["decisions"] == ""
    assert after["decisions"]
    assert [(line["facts"], line["task"]) for line in after["delayed"]] == [("waits for a decision", "")]
    (group,) = failures.groups(app.database, EVERYONE)
    assert "Right now" in group.fix["message"]
    Actions(app, EVERYONE).give_up([one.id for one in app.remote_transcription.orders.of(task.transcript_id)])
    assert live.draw(app, EVERYONE, "en")["decisions"] == ""


def test_programs_are_told_that_a_person_must_decide(tmp_path, runpod):
    settings = {"runpod_api_key": CANARY, "runpod_url": runpod.endpoint}
    with serve(make_expensive(generous(tmp_path / "home", **settings))) as served:
        app = served.app
        task = order_held(app, runpod)
        admin = served.client(app.keys.make(EVERYONE, "admin", admin=True))
        with admin:
            task_answer = admin.get(f"/api/v1/tasks/{task.id}").json()
            facts = admin.get("/api/v1/monitor").json()
            metrics = admin.get("/metrics").text

    assert task_answer["status"] == "processing"
    assert task_answer["eta_seconds"] is None
    assert task_answer["message"].startswith(
        "Waits until an admin decides on the monitor. RunPod may have been paid"
    )
    (decision,) = facts["decisions"]
    assert (decision["title"], decision["provider"], decision["parts"]) == ("a.wav", "RunPod", 1)
    assert float(decision["cost_usd"]) > 1
    assert "stenogram_orders_held 1.0" in metrics
    assert CANARY not in json.dumps(facts)


def test_a_batch_that_a_person_must_look_at_stands_there_too(app):
    with app.database.write() as session:
        row = Batch(model="gemini-embedding-2@64", display_name="gam-1", texts=3, tokens=30, usd="0.01")
        row.created_at = row.next_at = app.job_queue.now()
        session.add(row)
    app.batches.store.hold(row, Code.BATCH_UNKNOWN)

    at = visit("monitor")
    assert "The provider does not know this batch any more." in texts(at)
    at.button(key=f"again-{row.id}").click().run()
    assert not at.exception
    assert "Waiting for your decision" not in texts(at)
    assert app.batches.store.get(row.id).state == "failed"
