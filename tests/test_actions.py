"""What people may do to work by hand, and what is written down of it; through real workers: test_by_hand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core.application import Journey
from core.database.tables import Batch, Job, Worker
from core.errors import AdminsOnly, BadRequest, NotFound, ProviderRefused
from core.library.recordings import Wish
from core.monitor import failures, job_list
from core.monitor.actions import Actions, waiting_in
from core.monitor.job_list import Filter
from core.principal import EVERYONE, PAGES, Principal
from core.queue import workers
from tests import drive
from tests.conftest import DATA
from tests.installation import cut

ONLOOKER = Principal(PAGES)


def bring(here: Journey, path: Path = DATA / "en_meeting.opus", **wish: object) -> str:
    """The task of a recording."""
    with path.open("rb") as file:
        return here.accept(EVERYONE, file, path.name, Wish(language="en", **wish)).id


@pytest.fixture
def act(here):
    return Actions(here, EVERYONE)


# The rules, without processes


def test_others_than_admins_may_look_and_not_act(here):
    task = bring(here)
    onlooker = Actions(here, ONLOOKER)

    for step in (
        lambda: onlooker.cancel([task]),
        lambda: onlooker.retry([task]),
        lambda: onlooker.retry_group("", "prepare"),
        lambda: onlooker.prioritise([task], 1),
        lambda: onlooker.delete([task]),
        lambda: onlooker.purge("cpu"),
        lambda: onlooker.pause("cpu"),
        lambda: onlooker.resume("cpu"),
        lambda: onlooker.tell("w", "drain"),
        lambda: onlooker.run_now("index"),
        lambda: onlooker.cancel_batch("b"),
        onlooker.send_batch,
    ):
        with pytest.raises(AdminsOnly):
            step()
    assert here.recordings.task(EVERYONE, task).status == "queued"
    assert onlooker.log() == []
    assert len(job_list.find(here.records, ONLOOKER, Filter()).lines) == 1


def test_who_did_what_and_when_is_kept(here, act):
    task = bring(here)
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


def test_every_action_is_written_down_also_where_it_changes_nothing(here, act):
    task = bring(here)
    worker = Worker(name="here/1", queue="io", host="here", pid=1, started_at=1.0, seen_at=time.time())
    workers.note(here.records, [worker])
    past = {"created_at": 1.0, "next_at": 1.0, "texts": 1, "tokens": 9, "usd": "0"}
    with here.records.write() as session:
        session.add(Batch(id="b", model="none", display_name="b", state="complete", **past))
    steps = {
        "prioritise": lambda: act.prioritise([task], 1),
        "pause": lambda: act.pause("cpu"),
        "resume": lambda: act.resume("cpu"),
        "cancel": lambda: act.cancel([task]),
        "retry": lambda: act.retry([task]),
        "purge": lambda: act.purge("cpu"),
        "retry_group": lambda: act.retry_group("No.", "prepare"),
        "delete": lambda: act.delete([task]),
        "tell": lambda: act.tell("here/1", "drain"),
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

    named = {"prioritise": "priority", "tell": "drain"}
    assert [action.what for action in reversed(act.log())] == [
        named.get(name, name.replace("_", " ")) for name in steps
    ]


def test_what_does_not_exist_cannot_be_acted_upon(act):
    for step in (
        lambda: act.pause("no such queue"),
        lambda: act.purge("no such queue"),
        lambda: act.run_now("no such routine"),
        lambda: act.tell("nobody/1", "drain"),
    ):
        with pytest.raises(NotFound):
            step()
    assert act.log() == []


def test_emptying_a_queue_keeps_what_was_in_it_listed(here, act, tmp_path):
    tasks = [bring(here, DATA / name) for name in ("en_meeting.opus", "call_stereo.opus")]
    assert waiting_in(here, "cpu") == tasks

    purged = act.purge("cpu")

    assert sorted(purged) == ["call_stereo.opus", "en_meeting.opus"]
    assert sorted(act.log()[0].about) == sorted(purged)
    assert {here.recordings.task(EVERYONE, task).status for task in tasks} == {"cancelled"}
    assert not waiting_in(here, "cpu")


def test_a_paused_queue_begins_nothing_and_a_resumed_one_does(here, act):
    task = bring(here)
    job = drive.ready(here)[0].id
    rung: list[str] = []
    here.work.bell = lambda _queue, _kind, job_id: rung.append(job_id)

    act.pause("cpu")
    assert here.work.claim(job, "w") is None
    act.resume("cpu")

    assert rung == [job]
    assert here.work.claim(job, "w") is not None
    assert here.recordings.task(EVERYONE, task).status == "processing"


def test_the_urgent_one_is_done_first_whoever_was_woken(here, act):
    first, urgent = bring(here), bring(here, DATA / "call_stereo.opus")
    jobs = {job.task_id: job.id for job in drive.ready(here)}
    act.prioritise([urgent], 1)
    rung: list[str] = []
    here.work.bell = lambda _queue, _kind, job_id: rung.append(job_id)

    claim = here.work.claim(jobs[first], "w")

    assert claim is not None
    assert claim.task_id == urgent
    assert rung == [jobs[first]]
    assert here.work.claim(jobs[urgent], "w") is None
    assert here.work.claim(jobs[first], "w") is not None


def test_priority_goes_on_with_the_task(here, act, tmp_path):
    task = bring(here, cut(tmp_path))
    act.prioritise([task], 1)
    drive.perform_all(here)

    with here.records.read() as session:
        assert {job.priority for job in session.query(Job).filter_by(task_id=task)} == {1}


def fail(here: Journey, error: Exception) -> None:
    """Whatever is ready fails for this reason."""
    for job in drive.ready(here):
        claim = here.work.claim(job.id, "w")
        here.work.fail(claim, error)


def test_failures_are_grouped_by_reason_and_the_usual_fix_is_named(here, act):
    for name in ("en_meeting.opus", "call_stereo.opus"):
        bring(here, DATA / name)
    fail(here, ProviderRefused("Gemini", "GEMINI_API_KEY"))

    (group,) = failures.groups(here.records, EVERYONE)

    assert (group.kind, group.jobs, set(group.titles)) == (
        "prepare",
        2,
        {"en_meeting.opus", "call_stereo.opus"},
    )
    assert group.fix is not None
    assert "{setting}" in group.fix["message"]
    assert group.fix["facts"]["setting"] == "GEMINI_API_KEY"


def test_a_whole_group_is_tried_again_and_other_groups_are_not(here, act):
    bring(here)
    fail(here, ProviderRefused("Gemini", "GEMINI_API_KEY"))
    other = bring(here, DATA / "call_stereo.opus")
    fail(here, BadRequest("No {thing}.", thing="tea"))

    assert act.retry_group(ProviderRefused.message, "prepare") == 1

    assert [job.state for job in drive.ready(here)] == ["ready"]
    assert here.recordings.task(EVERYONE, other).status == "failed"
    assert [group.message for group in failures.groups(here.records, EVERYONE)] == ["No {thing}."]


def test_what_is_put_off_is_among_the_failures_and_can_be_tried_at_once(here, act):
    task = bring(here)
    claim = here.work.claim(drive.ready(here)[0].id, "w")
    here.work.try_later(claim, ProviderRefused("Gemini", "GEMINI_API_KEY"))
    assert not drive.ready(here)

    assert [group.jobs for group in failures.groups(here.records, EVERYONE)] == [1]
    assert act.retry([task]) == 1
    assert drive.ready(here)


def test_what_was_asked_for_anew_is_no_failure_any_more(here):
    task = bring(here)
    fail(here, BadRequest("No."))
    here.again(EVERYONE, here.recordings.task(EVERYONE, task).recording_id, Wish(language="en", force=True))

    assert failures.groups(here.records, EVERYONE) == []


def test_deleting_forgets_the_task(here, act):
    task = bring(here)

    assert act.delete([task, "no such task"]) == 1
    with pytest.raises(NotFound):
        here.recordings.task(EVERYONE, task)


def test_jobs_are_found_by_what_they_are(here, tmp_path):
    bring(here, cut(tmp_path))
    drive.perform_all(here)
    bring(here, DATA / "call_stereo.opus")
    fail(here, BadRequest("No {thing}.", thing="tea"))
    engine = here.choose(Wish(language="en")).engine.name

    def found(**wanted: object) -> set[tuple[str, str]]:
        lines = job_list.find(here.records, EVERYONE, Filter(**wanted)).lines
        return {(line.recording.title, line.job.kind) for line in lines}

    assert ("meeting.wav", "transcribe") in found()
    assert found(state="failed") == {("call_stereo.opus", "prepare")}
    assert found(error="no …") == {("call_stereo.opus", "prepare")}
    assert found(recording="MEETING", kind="index") == {("meeting.wav", "index")}
    assert found(engine="no such engine") == set()
    assert found(engine=engine) == found()
    assert found(since=time.time() + 60) == set()


def test_an_action_meets_all_that_fit_a_filter_and_nothing_else(here, act):
    failed = [bring(here), bring(here, DATA / "call_stereo.opus")]
    fail(here, BadRequest("No {thing}.", thing="tea"))
    waits = bring(here, DATA / "ru_meeting.opus")

    fitting = job_list.tasks(here.records, EVERYONE, Filter(state="failed"))

    assert sorted(fitting) == sorted(failed)
    assert act.retry(fitting) == 2
    assert {job.task_id for job in drive.ready(here)} == {*failed, waits}
    assert job_list.tasks(here.records, Principal("somebody else"), Filter()) == []


def test_a_job_tells_its_story(here, tmp_path):
    bring(here, cut(tmp_path))
    first = drive.ready(here)[0].id
    claim = here.work.claim(first, "w1")
    here.work.put_back(claim)
    drive.perform_all(here)

    detail = job_list.detail(here, EVERYONE, first)

    assert [stage.job.kind for stage in detail.stages][:3] == ["prepare", "transcribe", "index"]
    assert [run.outcome for run in detail.stages[0].attempts] == ["stopped", "done"]
    assert detail.stages[0].attempts[0].worker == "w1"
    with pytest.raises(NotFound):
        job_list.detail(here, Principal("somebody else"), first)
