"""The monitor shows what is so: what runs and waits, what ended, who works."""

from __future__ import annotations

import json
import logging
import time

import pytest
from sqlalchemy import update

from core import logs
from core.database.tables import (
    Batch,
    Job,
    PeriodicTask,
    Recording,
    Run,
    Segment,
    Tally,
    Task,
    Transcript,
    Worker,
)
from core.errors import GEMINI, BadRequest, Code, ProviderRefused, code_of
from core.i18n.catalogue import translate_error
from core.library.recordings import TranscriptionOptions
from core.monitor import health, job_list, live, monitor
from core.monitor.actions import Actions
from core.monitor.eta import Forecasts
from core.monitor.live import Board
from core.principal import EVERYONE, PAGES, Principal
from core.queue import history, workers
from jobs import actors, gpu, installation
from pages.components import monitor_views
from tests import drive, test_pages
from tests.conftest import DATA
from tests.installation import generous
from tests.serve import serve


def bring(app, name="en_meeting.opus"):
    with (DATA / name).open("rb") as file:
        return app.intake.accept(EVERYONE, file, name, TranscriptionOptions(language="en")).id


def claim(app, worker="host/7"):
    return app.job_queue.claim(drive.ready(app)[0].id, worker)


def a_worker(app, queue="gpu", **columns):
    workers.note(
        app.database,
        [
            Worker(
                name=f"host/{queue}",
                queue=queue,
                host="host",
                pid=7,
                started_at=0,
                seen_at=time.time(),
                **columns,
            )
        ],
    )


# What ends is kept and summed


def test_every_attempt_is_kept_with_its_outcome(app):
    bring(app)
    app.job_queue.requeue(claim(app))
    app.job_queue.release("nobody")
    own_claim = claim(app, "dies")
    app.job_queue.release("dies")
    app.job_queue.fail(claim(app, "last"), BadRequest(Code.ENGINE_UNKNOWN, name="tea", names="coffee"))

    runs = history.attempts(app.database, own_claim.task_id)

    assert [(run.outcome, run.worker) for run in runs] == [
        ("stopped", "host/7"),
        ("died", "dies"),
        ("failed", "last"),
    ]
    assert code_of(runs[-1].error) is Code.ENGINE_UNKNOWN
    assert runs[-1].error["facts"] == {"name": "tea", "names": "coffee"}
    assert all(run.started_at <= run.ended_at and run.waited_s >= 0 for run in runs)


def test_what_was_cancelled_before_it_began_is_counted_and_was_no_attempt(app):
    task = bring(app)
    app.job_queue.cancel(task)

    assert history.attempts(app.database, task) == []
    (timing,) = history.past(app.database, "hour", time.time()).timings
    assert (timing.kind, timing.cancelled, timing.done) == ("prepare", 1, 0)


@pytest.mark.parametrize("period", list(history.PERIODS))
def test_the_past_is_the_same_however_far_one_looks_back(app, period):
    app.clock.stopped_at = time.time() + 10
    for _ in range(3):
        task = bring(app)
        for kind in ("prepare", "transcribe"):
            held_claim = claim(app)
            app.clock.stopped_at += 4.0
            with app.database.write() as session:
                app.job_queue.finish(
                    session, held_claim, *([("transcribe", "gpu")] if kind == "prepare" else [])
                )
        with app.database.write() as session:
            session.execute(update(Task).where(Task.id == task).values(status="completed"))

    past = history.past(app.database, period, app.clock.stopped_at)

    timings = {timing.kind: timing for timing in past.timings}
    assert timings["prepare"].done == timings["transcribe"].done == 3
    assert timings["transcribe"].run_p50_s == pytest.approx(4.0, rel=0.1)
    assert timings["transcribe"].run_p95_s == pytest.approx(4.0, rel=0.1)
    assert timings["transcribe"].speed > 1
    assert sum(slot.jobs for slot in past.slots) == 6
    assert past.audio_h_per_h > 0
    only = history.past(app.database, period, app.clock.stopped_at, kind="transcribe")
    assert [timing.kind for timing in only.timings] == ["transcribe"]


def test_what_is_old_is_forgotten_and_days_stay(app):
    task = bring(app)
    app.job_queue.fail(claim(app), BadRequest(Code.LIMIT_UNKNOWN))
    later = time.time() + 100 * history.DAY

    history.forget(app.database, later)

    with app.database.read() as session:
        assert session.query(Run).count() == 0
        assert {tally.span_s for tally in session.query(Tally)} == {history.DAY}
    assert history.attempts(app.database, task) == []


# The board


def test_the_board_says_what_runs_waits_and_is_put_off(app):
    bring(app)
    bring(app, "call_stereo.opus")
    held_claim = claim(app)
    app.job_queue.report(held_claim, 12)
    board = live.draw(app, EVERYONE, "en")

    assert [(line["title"], line["progress"]) for line in board["running"]] == [("en_meeting.opus", 12)]
    assert "worker 7" in board["running"][0]["facts"]
    assert board["waiting"][0]["facts"].startswith("1 job\u00a0· ")

    app.job_queue.try_later(held_claim, BadRequest(Code.ENGINE_UNKNOWN, name="tea", names="coffee"))
    a_worker(app)
    board = live.draw(app, EVERYONE, "ru")
    assert board["running"] == []
    assert "Движка tea нет. Есть: coffee." in board["delayed"][0]["facts"]


def test_the_board_says_when_all_will_be_done_once_a_speed_was_measured(app):
    bring(app)
    assert monitor.now(app.database, EVERYONE).done_in_s is None
    drive.perform_all(app)
    bring(app, "call_stereo.opus")
    a_worker(app, app.intake.choose_engine(TranscriptionOptions(language="en")).engine.queue)

    left_s = monitor.now(app.database, EVERYONE).done_in_s

    assert left_s is not None
    assert left_s > 0


def test_all_is_not_said_to_be_done_before_what_runs(app):
    test_pages.send(app, "call_stereo.opus", TranscriptionOptions())
    drive.perform_all(app)
    test_pages.send(app, "ru_meeting.opus", TranscriptionOptions())
    actors.perform(app, drive.ready(app)[0].id)
    held_claim = claim(app)
    a_worker(app, app.intake.choose_engine(TranscriptionOptions()).engine.queue)
    with app.database.write() as session:
        transcript_id = session.get_one(Task, held_claim.task_id).transcript_id
        session.execute(
            update(Segment).where(Segment.transcript_id == transcript_id, Segment.n == 0).values(text="so")
        )
        session.get_one(Transcript, transcript_id).processing_s = 1e6

    now = monitor.now(app.database, EVERYONE)

    assert now.running[0].left_s > 1e5
    assert now.done_in_s == now.running[0].left_s


def test_what_is_postponed_is_counted_and_nothing_is_ready_before_its_next_try(app):
    bring(app)
    drive.perform_all(app)
    task_id = bring(app, "call_stereo.opus")
    a_worker(app, app.intake.choose_engine(TranscriptionOptions(language="en")).engine.queue)
    app.job_queue.wait(held := claim(app), 900.0)

    now = monitor.now(app.database, EVERYONE)

    assert (now.waiting, [one.jobs for one in now.postponed.values()]) == ([], [1])
    assert now.done_in_s == pytest.approx(900.0, abs=5)
    with app.database.read() as session:
        task, recording = session.get_one(Task, task_id), session.get_one(Recording, held.recording_id)
    assert Forecasts(app.database, time.time()).of(task, recording).seconds >= 895
    work = {part.name: part for part in health.check(app, lambda: None).parts}["work"]
    assert work.ok
    assert translate_error(work.says, "ru").startswith("отложено заданий: 1, следующая попытка через ")


def test_the_board_names_the_batches_under_way(app):
    assert live.draw(app, EVERYONE, "en")["batches"] == ""
    with app.database.write() as session:
        session.add_all(
            Batch(
                display_name=state,
                model="m",
                state=state,
                texts=1,
                tokens=1,
                usd="0",
                created_at=0,
                next_at=0,
            )
            for state in ("submitted", "planned", "complete")
        )

    assert live.draw(app, EVERYONE, "ru")["batches"].startswith("2 пакета в работе")


def test_others_see_only_what_is_theirs(app):
    bring(app)

    assert live.draw(app, EVERYONE, "en")["waiting"]
    assert not live.draw(app, Principal("somebody else"), "en")["waiting"]


def test_however_many_look_the_board_is_made_once_a_second(app):
    app.clock.stopped_at = 0.0
    board = Board(app, app.clock)
    first = board.show(EVERYONE, "en")
    bring(app)

    assert board.show(EVERYONE, "en") is first
    assert board.show(EVERYONE, "ru") is not first
    app.clock.stopped_at += live.FRESH_S
    assert board.show(EVERYONE, "en")["waiting"]


def test_the_stamp_changes_when_work_begins_and_ends(app):
    stamps = [monitor.stamp(app.database)]
    bring(app)
    stamps.append(monitor.stamp(app.database))
    held_claim = claim(app)
    stamps.append(monitor.stamp(app.database))
    app.job_queue.fail(held_claim, BadRequest(Code.LIMIT_UNKNOWN))
    stamps.append(monitor.stamp(app.database))
    app.job_queue.pause("gpu")
    stamps.append(monitor.stamp(app.database))

    assert len(set(stamps)) == len(stamps)
    assert stamps[-1] == monitor.stamp(app.database)


def test_an_open_page_asks_with_its_ticket_and_is_told_when_nothing_changed(tmp_path):
    with serve(generous(tmp_path)) as served, served.client() as client:
        bring(served.app)
        ticket = served.app.keys.board_ticket(EVERYONE)
        first = client.get("/api/live?language=ru", headers={"X-Ticket": ticket})
        assert first.json()["waiting"][0]["title"] == "Чтение файлов"
        again = client.get(
            "/api/live?language=ru", headers={"X-Ticket": ticket, "If-None-Match": first.headers["ETag"]}
        )
        assert again.status_code in (200, 304)  # the age of what waits may have changed
        assert client.get("/api/live").status_code == 401
        stale = {"X-Ticket": ticket.replace("-", "-0", 1)}
        assert client.get("/api/live", headers=stale).status_code == 401
        their_ticket = served.app.keys.board_ticket(Principal(PAGES))
        assert client.get("/api/live", headers={"X-Ticket": their_ticket}).status_code == 200


def test_health_says_what_share_of_the_hours_is_found_and_what_waits(app):
    assert health.coverage(app.database, EVERYONE).share == 0.0
    bring(app)
    bring(app, "call_stereo.opus")
    with app.database.write() as session:
        transcribed, _ = session.query(Recording).order_by(Recording.filename.desc())
        transcribed.transcript_id, transcribed.embedding_status = "t", "waiting"
        lengths_s = [row.duration_s for row in session.query(Recording)]
        waits_s = transcribed.duration_s

    coverage = health.coverage(app.database, EVERYONE)

    assert coverage.share == pytest.approx(waits_s / sum(lengths_s))
    assert (coverage.waiting_s, coverage.meaning_s) == (pytest.approx(waits_s), 0.0)
    assert health.coverage(app.database, Principal("somebody else")).total_s == 0.0


# For programs


def test_programs_read_the_same_facts_as_the_page(tmp_path):
    with serve(generous(tmp_path)) as served:
        app = served.app
        bring(app)
        app.job_queue.fail(claim(app), ProviderRefused(GEMINI, "GEMINI_API_KEY"))
        bring(app, "call_stereo.opus")
        running = app.job_queue.claim(drive.ready(app)[0].id, "host/cpu")
        app.job_queue.report(running, 12)
        bring(app, "ru_meeting.opus")
        app.job_queue.wait(claim(app), 900.0)
        a_worker(app, "cpu", rss_bytes=5)
        app.job_queue.pause("gpu")
        admin = app.keys.make(EVERYONE, "admin", admin=True)
        with served.client(admin) as client:
            answer = client.get("/api/v1/monitor", headers={"Accept-Language": "ru"}).json()

    board = live.draw(app, EVERYONE, "ru")
    assert [(line["job_id"], line["title"], line["progress"]) for line in answer["running"]] == [
        (line["id"], line["title"], line["progress"]) for line in board["running"]
    ]
    (worker,) = answer["workers"]
    assert (worker["name"], worker["memory_bytes"], worker["job_ids"]) == ("host/cpu", 5, [running.job_id])
    assert {queue["queue"]: queue["paused"] for queue in answer["queues"]} == {
        "gpu": True,
        "cpu": False,
        "io": False,
        "index": False,
    }
    assert [queue["queue"] for queue in answer["queues"] if queue["postponed"]] == ["cpu"]
    (failure,) = answer["failures"]
    assert (failure["kind"], failure["jobs"], failure["titles"]) == ("prepare", 1, ["en_meeting.opus"])
    assert failure["error"].startswith("Gemini не принимает ключ")
    assert "GEMINI_API_KEY" in failure["fix"]
    assert {routine["name"] for routine in answer["routines"]} == {
        periodic_task.name for periodic_task in app.periodic_tasks.all()
    }
    assert {part["name"] for part in answer["parts"]} == set(monitor_views.PARTS)
    assert answer["past"]["period"] == "day"
    assert [(kind["kind"], kind["failed"]) for kind in answer["past"]["kinds"]] == [("prepare", 1)]
    assert answer["status"] == "degraded"


def test_only_admins_may_read_what_everybody_does(tmp_path):
    with serve(generous(tmp_path)) as served, served.client() as ordinary, served.client("") as stranger:
        assert ordinary.get("/api/v1/monitor").status_code == 403
        assert stranger.get("/api/v1/monitor").status_code == 401
        admin = served.client(served.app.keys.make(EVERYONE, "admin", admin=True))
        assert admin.get("/api/v1/monitor?period=century").status_code == 400
        described = admin.get("/openapi.json").json()
    answer = described["paths"]["/api/v1/monitor"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Facts")


# Workers


def test_a_wish_survives_what_the_runner_notes(app):
    a_worker(app)
    assert workers.request(app.database, "host/gpu", "drain")
    a_worker(app, rss_bytes=5)

    assert workers.requested_action(app.database, "host/gpu") == "drain"
    assert not workers.request(app.database, "nobody/1", "drain")


def test_a_drained_worker_leaves_the_job_to_others(app):
    bring(app)
    a_worker(app, "cpu")
    workers.request(app.database, "host/cpu", "drain")
    job = drive.ready(app)[0].id

    assert app.job_queue.claim(job, "host/cpu") is None
    assert app.job_queue.claim(job, "other") is not None


def test_what_the_driver_of_a_card_tells_is_read():
    assert gpu.processes("123, 2048\n123, 1\n 77 , [N/A]\n\n") == {123: 2049 * gpu.MIB}
    assert gpu.busiest("7\n93\n") == pytest.approx(0.93)
    assert gpu.busiest("[N/A]\n") is None


# Logs


def test_a_log_line_is_json_with_the_ids_it_is_about(tmp_path, capsys):
    line = logging.LogRecord("stenogram", logging.INFO, "", 0, "key %s", ("gam_12345678_secret-part",), None)
    with logs.concerning(job_id="j1", recording_id="r1"):
        entry = json.loads(logs.Lines().format(line))

    assert (entry["job_id"], entry["recording_id"], entry["level"]) == ("j1", "r1", "info")
    assert entry["message"] == "key gam_12345678_…"
    assert "job_id" not in json.loads(logs.Lines().format(line))


@pytest.mark.parametrize(
    "secret",
    ["AIzaSyA1234567890abcdefghijk", "gsk_1234567890abcdefghij", "sk-1234567890abcdefghij", "user:password"],
)
def test_no_key_reaches_a_log(secret):
    assert secret not in logs.masked(f"https://{secret}@host/path" if ":" in secret else f"it said {secret}.")


def test_the_lines_about_a_job_are_found_in_order_in_all_logs(tmp_path):
    lines = [
        ("b.log", {"time": "2", "level": "info", "message": "later", "job_id": "j1"}),
        ("a.log", {"time": "1", "level": "info", "message": "earlier", "job_id": "j1"}),
        ("a.log", {"time": "1", "level": "info", "message": "of another", "job_id": "j2"}),
    ]
    for name, line in lines:
        with (tmp_path / name).open("a") as file:
            file.write(json.dumps(line) + "\n")

    assert logs.about(tmp_path, "j1") == ["1 info earlier", "2 info later"]


# The page


@pytest.fixture
def monitored_app(tmp_path, monkeypatch):
    """The journey that pages see, with one job that failed and one that waits."""
    app = test_pages._open(tmp_path / "home", monkeypatch)
    bring(app)
    app.job_queue.fail(claim(app), BadRequest(Code.ENGINE_UNKNOWN, name="tea", names="coffee"))
    bring(app, "call_stereo.opus")
    a_worker(app)
    yield app
    installation.serve(None)


def test_every_view_opens_and_a_job_has_a_page(monitored_app):
    for view in monitor_views.VIEWS:
        assert test_pages.visit("monitor", "ru", view=view).title[0].value == "Ход работы"
    with monitored_app.database.read() as session:
        failed = session.query(Job).filter_by(state="failed").one()

    page = test_pages.visit("job", "en", id=failed.id)

    assert page.error[0].value.startswith("There is no engine tea")
    assert {button.label for button in page.button} >= {"Cancel", "Try again"}


def test_queues_say_what_is_postponed_and_routines_what_ended_them_in_words(monitored_app):
    monitored_app.job_queue.wait(claim(monitored_app), 900.0)
    with monitored_app.database.write() as session:
        session.execute(update(PeriodicTask).where(PeriodicTask.name == "batches").values(error="Shutdown"))

    for language, postponed, failed, needed in (
        ("en", "1 job is postponed", "failed: its worker was stopped", "while there is something to do"),
        ("ru", "отложено 1 задание", "сбой: исполнитель был остановлен", "пока есть что делать"),
    ):
        said = [each.value for each in test_pages.visit("monitor", language, view="workers").caption]
        assert any(postponed in each for each in said), said
        assert any(failed in each and needed in each for each in said), said
        assert not any("Shutdown" in each for each in said)


def test_views_with_ages_are_drawn_anew_though_nothing_happens(monkeypatch):
    drawn: list[float | None] = []

    def fragment(*, run_every):
        drawn.append(run_every)
        return lambda _draw: lambda: None

    monkeypatch.setattr(monitor_views.st, "fragment", fragment)
    for view in monitor_views.VIEWS:
        monitor_views.show(view)

    anew = {view for view, seconds in zip(monitor_views.VIEWS, drawn, strict=True) if seconds}
    assert anew == {"batches", "workers", "health"}


def test_what_is_done_with_all_that_fit_says_how_many_and_asks_first(monitored_app):
    page = test_pages.visit("monitor", "en", view="jobs", state="failed")
    page.button(key="all").click().run()
    assert page.markdown[-1].value == "1 task fits."
    assert page.button(key="all-yes").disabled

    page.selectbox(key="all-step").select("Try again").run()
    bring(monitored_app, "ru_meeting.opus")
    page.button(key="all-yes").click().run()

    assert Actions(monitored_app, EVERYONE).log()[0].what == "retry"
    assert not job_list.tasks(monitored_app.database, EVERYONE, job_list.Filter(state="failed"))


def test_whoever_may_only_look_finds_nothing_to_press(monitored_app, monkeypatch):
    monkeypatch.setenv("PAGES_READ_ONLY", "true")
    installation.serve(None)

    for view in ("failures", "workers"):
        assert not test_pages.visit("monitor", "en", view=view).button
