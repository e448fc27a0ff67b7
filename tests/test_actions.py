"""What people may do to work by hand, and what is written down of it."""

from __future__ import annotations

import inspect
import time
from operator import attrgetter
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from core.application import Application
from core.database.tables import Batch, Job, Worker
from core.errors import GEMINI, AdminsOnly, BadRequest, Code, NotFound, ProviderRefused
from core.library.recordings import TranscriptionOptions
from core.monitor import failures, job_list
from core.monitor.actions import Actions, waiting_in
from core.monitor.job_list import Filter
from core.principal import EVERYONE, PAGES, Principal
from core.queue import workers
from tests import drive
from tests.conftest import DATA
from tests.installation import cut

ONLOOKER = Principal(PAGES)


def bring(app: Application, path: Path = DATA / "en_meeting.opus", **options: object) -> str:
    """The task of a recording."""
    with path.open("rb") as file:
        return app.intake.accept(EVERYONE, file, path.name, TranscriptionOptions(language="en", **options)).id


@pytest.fixture
def act(app):
    return Actions(app, EVERYONE)


# The rules, without processes


def test_others_than_admins_may_look_and_not_act(app):
    task = bring(app)
    onlooker = Actions(app, ONLOOKER)

    for step in (
        lambda: onlooker.cancel([task]),
        lambda: onlooker.retry([task]),
        lambda: onlooker.retry_group("", "prepare"),
        lambda: onlooker.prioritise([task], 1),
        lambda: onlooker.delete([task]),
        lambda: onlooker.purge("cpu"),
        lambda: onlooker.pause("cpu"),
        lambda: onlooker.resume("cpu"),
        lambda: onlooker.request_action("w", "drain"),
        lambda: onlooker.run_now("index"),
        lambda: onlooker.cancel_batch("b"),
        onlooker.send_batch,
    ):
        with pytest.raises(AdminsOnly):
            step()
    assert app.recordings.task(EVERYONE, task).status == "queued"
    assert onlooker.log() == []
    assert len(job_list.find(app.database, ONLOOKER, Filter()).lines) == 1


ADMIN_METHODS = (
    "tariffs.set_price",
    "tariffs.take_back_price",
    "tariffs.set_limit",
    "tariffs.take_back_limit",
    "tariffs.set_figure",
    "tariffs.take_back_figure",
    "tariffs.set_cap",
    "proof.set_cap",
    "holds.take",
    "estimates.samples.count",
    "estimates.samples.drop",
    "active_embedder.switch",
    "model_downloads.ask",
    "model_downloads.stop",
    "keys.make",
    "keys.rotate",
    "keys.revoke",
    "voices.turn",
    "notifications.set",
    "notifications.test",
    "notifications.signing_secret",
    "destinations.add",
)
"""What concerns all: the gate is in core, whichever door it is called by."""


@pytest.mark.parametrize("who", [Principal("pages"), Principal("pages", admin=True, read_only=True)])
def test_what_concerns_all_is_refused_in_core_to_others_than_admins(app, who):
    for path in ADMIN_METHODS:
        method = attrgetter(path)(app)
        anything = [
            name
            for name, parameter in list(inspect.signature(method).parameters.items())[1:]
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
        with pytest.raises(AdminsOnly):
            method(principal=who, **dict.fromkeys(anything, MagicMock()))
    assert app.tariffs.caps() == {}
    assert app.keys.all(EVERYONE) == []


def test_who_did_what_and_when_is_kept(app, act):
    task = bring(app)
    act.pause("gpu")
    act.cancel([task])

    cancelled, paused = act.log()

    assert (cancelled.what, cancelled.who, cancelled.about, cancelled.count) == (
        "cancel",
        PAGES,
        ["en_meeting.opus"],
        1,
    )
    assert (paused.what, paused.about) == ("pause", ["gpu"])
    assert paused.at <= cancelled.at <= time.time()


def test_every_action_is_written_down_also_where_it_changes_nothing(app, act):
    task = bring(app)
    worker = Worker(name="here/1", queue="io", host="here", pid=1, started_at=1.0, seen_at=time.time())
    workers.note(app.database, [worker])
    past = {"created_at": 1.0, "next_at": 1.0, "texts": 1, "tokens": 9, "usd": "0"}
    with app.database.write() as session:
        session.add(Batch(id="b", model="none", display_name="b", state="complete", **past))
    steps = {
        "prioritise": lambda: act.prioritise([task], 1),
        "pause": lambda: act.pause("cpu"),
        "resume": lambda: act.resume("cpu"),
        "cancel": lambda: act.cancel([task]),
        "retry": lambda: act.retry([task]),
        "purge": lambda: act.purge("cpu"),
        "retry_group": lambda: act.retry_group(Code.LIMIT_UNKNOWN, "prepare"),
        "delete": lambda: act.delete([task]),
        "request_action": lambda: act.request_action("here/1", "drain"),
        "run_now": lambda: act.run_now("index"),
        "cancel_batch": lambda: act.cancel_batch("b"),
        "finish_batch": lambda: act.finish_batch("b"),
        "retry_batch": lambda: act.retry_batch("b"),
        "send_batch": act.send_batch,
        "buy_again": lambda: act.buy_again(["o"]),
        "give_up": lambda: act.give_up(["o"]),
    }
    assert steps.keys() == {name for name in vars(Actions) if not name.startswith("_")} - {"allowed", "log"}

    for step in steps.values():
        step()

    named = {"prioritise": "priority", "request_action": "drain"}
    assert [action.what for action in reversed(act.log())] == [
        named.get(name, name.replace("_", " ")) for name in steps
    ]


def test_what_does_not_exist_cannot_be_acted_upon(act):
    for step in (
        lambda: act.pause("no such queue"),
        lambda: act.purge("no such queue"),
        lambda: act.run_now("no such routine"),
        lambda: act.request_action("nobody/1", "drain"),
    ):
        with pytest.raises(NotFound):
            step()
    assert act.log() == []


def test_emptying_a_queue_keeps_what_was_in_it_listed(app, act, tmp_path):
    tasks = [bring(app, DATA / name) for name in ("en_meeting.opus", "call_stereo.opus")]
    assert waiting_in(app.database, "cpu") == tasks

    purged = act.purge("cpu")

    assert sorted(purged) == ["call_stereo.opus", "en_meeting.opus"]
    assert sorted(act.log()[0].about) == sorted(purged)
    assert {app.recordings.task(EVERYONE, task).status for task in tasks} == {"cancelled"}
    assert not waiting_in(app.database, "cpu")


def test_a_paused_queue_begins_nothing_and_a_resumed_one_does(app, act):
    task = bring(app)
    job = drive.ready(app)[0].id
    rung: list[str] = []
    app.job_queue.notifier = lambda _queue, _kind, job_id: rung.append(job_id)

    act.pause("cpu")
    assert app.job_queue.claim(job, "w") is None
    act.resume("cpu")

    assert rung == [job]
    assert app.job_queue.claim(job, "w") is not None
    assert app.recordings.task(EVERYONE, task).status == "processing"


def test_the_urgent_one_is_done_first_whoever_was_woken(app, act):
    first, urgent = bring(app), bring(app, DATA / "call_stereo.opus")
    jobs = {job.task_id: job.id for job in drive.ready(app)}
    act.prioritise([urgent], 1)
    rung: list[str] = []
    app.job_queue.notifier = lambda _queue, _kind, job_id: rung.append(job_id)

    claim = app.job_queue.claim(jobs[first], "w")

    assert claim is not None
    assert claim.task_id == urgent
    assert rung == [jobs[first]]
    assert app.job_queue.claim(jobs[urgent], "w") is None
    assert app.job_queue.claim(jobs[first], "w") is not None


def test_priority_goes_on_with_the_task(app, act, tmp_path):
    task = bring(app, cut(tmp_path))
    act.prioritise([task], 1)
    drive.perform_all(app)

    with app.database.read() as session:
        assert {job.priority for job in session.query(Job).filter_by(task_id=task)} == {1}


def fail(app: Application, error: Exception) -> None:
    """Whatever is ready fails for this reason."""
    for job in drive.ready(app):
        claim = app.job_queue.claim(job.id, "w")
        app.job_queue.fail(claim, error)


def test_failures_are_grouped_by_reason_and_the_usual_fix_is_named(app, act):
    for name in ("en_meeting.opus", "call_stereo.opus"):
        bring(app, DATA / name)
    fail(app, ProviderRefused(GEMINI, "GEMINI_API_KEY"))

    (group,) = failures.groups(app.database, EVERYONE)

    assert (group.kind, group.jobs, set(group.titles)) == (
        "prepare",
        2,
        {"en_meeting.opus", "call_stereo.opus"},
    )
    assert group.fix is not None
    assert "{setting}" in group.fix["message"]
    assert group.fix["facts"]["setting"] == "GEMINI_API_KEY"


def test_a_whole_group_is_tried_again_and_other_groups_are_not(app, act):
    bring(app)
    fail(app, ProviderRefused(GEMINI, "GEMINI_API_KEY"))
    other = bring(app, DATA / "call_stereo.opus")
    fail(app, BadRequest(Code.ENGINE_UNKNOWN, name="tea", names="coffee"))

    assert act.retry_group(Code.PROVIDER_REFUSED, "prepare") == 1

    assert [job.state for job in drive.ready(app)] == ["ready"]
    assert app.recordings.task(EVERYONE, other).status == "failed"
    assert [group.code for group in failures.groups(app.database, EVERYONE)] == [Code.ENGINE_UNKNOWN]


def test_what_is_put_off_is_among_the_failures_and_can_be_tried_at_once(app, act):
    task = bring(app)
    claim = app.job_queue.claim(drive.ready(app)[0].id, "w")
    app.job_queue.try_later(claim, ProviderRefused(GEMINI, "GEMINI_API_KEY"))
    assert not drive.ready(app)

    assert [group.jobs for group in failures.groups(app.database, EVERYONE)] == [1]
    assert act.retry([task]) == 1
    assert drive.ready(app)


def test_what_was_asked_for_anew_is_no_failure_any_more(app):
    task = bring(app)
    fail(app, BadRequest(Code.LIMIT_UNKNOWN))
    app.intake.transcribe_again(
        EVERYONE,
        app.recordings.task(EVERYONE, task).recording_id,
        TranscriptionOptions(language="en", force=True),
    )

    assert failures.groups(app.database, EVERYONE) == []


def test_deleting_forgets_the_task(app, act):
    task = bring(app)

    assert act.delete([task, "no such task"]) == 1
    with pytest.raises(NotFound):
        app.recordings.task(EVERYONE, task)


def test_jobs_are_found_by_what_they_are(app, tmp_path):
    bring(app, cut(tmp_path))
    drive.perform_all(app)
    bring(app, DATA / "call_stereo.opus")
    fail(app, BadRequest(Code.ENGINE_UNKNOWN, name="tea", names="coffee"))
    engine = app.intake.choose_engine(TranscriptionOptions(language="en")).engine.name

    def found(**criteria: object) -> set[tuple[str, str]]:
        lines = job_list.find(app.database, EVERYONE, Filter(**criteria)).lines
        return {(line.recording.title, line.job.kind) for line in lines}

    assert ("meeting.wav", "transcribe") in found()
    assert found(state="failed") == {("call_stereo.opus", "prepare")}
    assert found(error="engine …") == {("call_stereo.opus", "prepare")}
    assert found(recording="MEETING", kind="index") == {("meeting.wav", "index")}
    assert found(engine="no such engine") == set()
    assert found(engine=engine) == found()
    assert found(since=time.time() + 60) == set()


def test_an_action_meets_all_that_fit_a_filter_and_nothing_else(app, act):
    failed = [bring(app), bring(app, DATA / "call_stereo.opus")]
    fail(app, BadRequest(Code.ENGINE_UNKNOWN, name="tea", names="coffee"))
    waits = bring(app, DATA / "ru_meeting.opus")

    fitting = job_list.tasks(app.database, EVERYONE, Filter(state="failed"))

    assert sorted(fitting) == sorted(failed)
    assert act.retry(fitting) == 2
    assert {job.task_id for job in drive.ready(app)} == {*failed, waits}
    assert job_list.tasks(app.database, Principal("somebody else"), Filter()) == []


def test_a_job_tells_its_story(app, tmp_path):
    bring(app, cut(tmp_path))
    first = drive.ready(app)[0].id
    claim = app.job_queue.claim(first, "w1")
    app.job_queue.requeue(claim)
    drive.perform_all(app)

    detail = job_list.detail(app, EVERYONE, first)

    assert [stage.job.kind for stage in detail.stages][:3] == ["prepare", "transcribe", "index"]
    assert [run.outcome for run in detail.stages[0].attempts] == ["stopped", "done"]
    assert detail.stages[0].attempts[0].worker == "w1"
    with pytest.raises(NotFound):
        job_list.detail(app, Principal("somebody else"), first)
