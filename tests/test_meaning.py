"""Words, vectors and records say the same, whatever is done at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.application import Journey
from core.database.tables import Job, Recording, Segment, Task, Transcript, new_id
from core.errors import Unavailable, Withdrawn
from core.orders import embedding_requests
from core.pipeline.periodic import tend
from core.principal import EVERYONE
from core.queue.jobs import Claim
from core.search import lance
from core.transcripts import chunking
from tests import batching, drive
from tests.tool import until
from tools.gemini_emulator import GeminiEmulator


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(processing_s=60) as emulator:
        yield emulator


@pytest.fixture
def former(tmp_path: Path, emulator: GeminiEmulator) -> Journey:
    """An installation whose vectors are complete, before its settings ask for longer ones."""
    here = batching.installation(tmp_path, emulator.url)
    recording(here)
    drive.perform_all(here)
    assert here.index_store.count(here.embedder()) == 4
    return here


def later(here: Journey, emulator: GeminiEmulator, **settings: object) -> Journey:
    """The same installation when its settings ask for something else: longer vectors, if nothing is said."""
    return batching.installation(here.settings.home, emulator.url, **(settings or {"embedding_dim": 128}))


def recording(here: Journey, start: int = 0) -> str:
    """A recording with four passages of its own, and a job that makes their vectors."""
    made = batching.recording(here, batching.sentences(4, start), lane="now", title=f"from {start}")
    embed_again(here, made)
    return made


def embed_again(here: Journey, recording_id: str) -> str:
    """A job that makes the vectors of a recording; its id."""
    with here.records.write() as session:
        job = embedding_requests.embed_job(session, recording_id)
        assert job is not None
        return job.id


@contextmanager
def stopped_at_the_index(here: Journey, step: Callable[[], object], reached: Callable[[], object]):
    """The step, in a thread, goes on until it wants to write into the index; meanwhile others act."""
    thread = threading.Thread(target=step, daemon=True)
    with lance.locked(Path(here.settings.index)):
        thread.start()
        until(reached, 60, "the step to come to the index")
        yield
    thread.join(60)
    assert not thread.is_alive()


def found_by_meaning(here: Journey) -> int:
    return len(here.search(EVERYONE, "ремонт крыши", mode="meaning").matches)


# Another embedder


def test_a_change_of_embedder_is_begun_as_a_whole_or_not_at_all(former, emulator):
    here = later(former, emulator)

    broken = "CREATE TRIGGER broken BEFORE UPDATE ON passages BEGIN SELECT RAISE(ABORT, 'broken'); END"
    with here.records.write() as session:
        session.execute(text(broken))

    with pytest.raises(IntegrityError):
        here.active.switch()

    assert here.embedder().dim == here.active.searched().dim == 64
    assert here.active.offer() is not None
    assert found_by_meaning(here)


def test_vectors_of_the_former_embedder_that_come_late_are_not_taken_for_new_ones(former, emulator):
    asked = emulator.ledger().count("embed")
    recording(former, 4)
    (job,) = drive.ready(former)
    claim = former.work.claim(job.id, "w")
    here = later(former, emulator)

    with stopped_at_the_index(
        former, lambda: former.embed(claim), lambda: emulator.ledger().count("embed") > asked
    ):
        here.active.switch()
    drive.perform_all(here)
    here.active.tick()

    assert here.active.change() is None
    assert here.active.searched().dim == 128
    assert here.index_store.count(here.embedder()) == 8


def test_passages_cut_for_the_former_embedder_are_cut_again(former, emulator):
    """What the new one understands may be another language."""
    row = batching.passages(former)[0]
    embed_again(former, row.recording_id)
    (job,) = drive.ready(former)
    claim = former.work.claim(job.id, "w")
    embedder = former.embedder()
    later(former, emulator).active.switch()

    with pytest.raises(Unavailable):
        former.passages.replace(claim, row.recording_id, "t", [], embedder)
    assert batching.meanings(former) == ["waiting"] * 4


def test_an_embedder_that_fails_everywhere_does_not_take_over(former, emulator):
    here = later(former, emulator, embedding_model="gemini-embedding-9")

    here.active.switch()
    drive.perform_all(here)
    here.active.tick()

    assert batching.meanings(here) == ["failed"] * 4
    assert here.active.change().done == 0
    assert found_by_meaning(here)


def test_every_kind_of_database_changes_to_another_embedder(tmp_path, database, emulator):
    before = batching.installation(tmp_path, emulator.url, database_url=database)
    recording(before)
    drive.perform_all(before)

    here = later(before, emulator, embedding_dim=128, database_url=database)
    here.active.switch()
    drive.perform_all(here)
    here.active.tick()

    assert here.active.searched().dim == 128
    assert here.index_store.count(here.embedder()) == 4
    before.records.close()
    here.records.close()


def test_where_nothing_was_transcribed_the_settings_are_followed_at_once(tmp_path, emulator):
    before = batching.installation(tmp_path, emulator.url)
    before.active.tick()
    assert before.embedder().dim == 64

    here = later(before, emulator)
    here.active.tick()

    assert here.embedder().dim == here.active.searched().dim == 128
    assert here.active.change() is None


# Words and vectors


def heard_again(here: Journey, recording_id: str, said: Sequence[str]) -> Claim:
    """Another task has heard this recording otherwise; a worker begins to index what it heard."""
    with here.records.write() as session:
        recording = session.get_one(Recording, recording_id)
        made = {"sha256": recording.sha256, "engine": "none", "engine_version": "1", "language": "ru"}
        transcript = Transcript(key=new_id(), planned=True, complete=True, **made)
        session.add(transcript)
        session.flush()
        about = {"recording_id": recording_id, "transcript_id": transcript.id, "owner": recording.owner}
        task = Task(engine="none", language="ru", **about)
        parts = [
            Segment(
                transcript_id=transcript.id, n=n, start_s=60.0 * n, end_s=60.0 * n + 50, text=text, words=[]
            )
            for n, text in enumerate(said)
        ]
        session.add_all([task, *parts])
        session.flush()
        job = Job(task_id=task.id, kind="index", queue="io")
        session.add(job)
        session.flush()
    claim = here.work.claim(job.id, "w")
    assert claim is not None
    return claim


def begin_to_index(here: Journey, claim: Claim, lane: str = "now") -> None:
    """What an index job does before it comes to the index."""
    task = here.recordings.task(EVERYONE, claim.task_id)
    pieces = chunking.passages(here.transcripts.utterances(task.transcript_id))
    here.passages.replace(claim, task.recording_id, task.transcript_id, pieces, here.embedder(), lane)


def words(here: Journey) -> set[str]:
    return {row.text for row, _ in here.index_store.words("пункт решили перенести", limit=100, how="any")}


def done(here: Journey) -> set[str]:
    return {passage.id for passage in batching.passages(here) if passage.meaning == "done"}


def have_vectors(here: Journey) -> set[str]:
    question = here.embedder().embed_query("ремонт крыши")
    return {key for key, _ in here.index_store.nearest(here.embedder(), question, limit=100)}


def kept(here: Journey) -> set[str]:
    return {passage.text for passage in batching.passages(here)}


@pytest.fixture
def here(tmp_path: Path, emulator: GeminiEmulator) -> Journey:
    return batching.installation(tmp_path, emulator.url)


def test_vectors_come_after_the_words_of_their_passages(here):
    mine = recording(here)
    index = heard_again(here, mine, batching.sentences(4, 4))
    begin_to_index(here, index)

    drive.perform_all(here)
    assert done(here) <= have_vectors(here)
    here.index(index)
    here.work.now = lambda: time.time() + 60
    drive.perform_all(here)

    assert batching.meanings(here) == ["done"] * 4
    assert done(here) == have_vectors(here)


def test_vectors_by_batch_come_after_the_words_of_their_passages(here, emulator):
    said = batching.sentences(4)
    mine = recording(here)
    drive.perform_all(here)
    index = heard_again(here, mine, said)
    begin_to_index(here, index, lane="batch")

    here.batches.tick()
    assert done(here) <= have_vectors(here)
    here.index(index)
    batching.run(here, emulator)

    assert batching.meanings(here) == ["done"] * 4
    assert done(here) == have_vectors(here)


def test_words_that_were_lost_are_there_again_with_the_vectors(here):
    mine = recording(here)
    here.index_store.remove(mine)

    drive.perform_all(here)

    assert batching.meanings(here) == ["done"] * 4
    assert here.index_store.count(here.embedder()) == 4
    assert words(here) == kept(here)


def test_transcripts_of_one_recording_are_indexed_one_after_the_other(here):
    mine = recording(here)
    first = heard_again(here, mine, batching.sentences(4, 4))
    second = heard_again(here, mine, batching.sentences(4, 8))

    here.index(second)
    assert kept(here) == set(batching.sentences(4)), "the first one is still at it"
    here.index(first)
    here.work.now = lambda: time.time() + 60
    drive.perform_all(here)

    assert words(here) == kept(here)
    assert (
        here.recordings.get(EVERYONE, mine).transcript_id
        == here.recordings.task(EVERYONE, second.task_id).transcript_id
    )


def test_a_worker_that_comes_late_to_the_index_writes_what_holds_now(here):
    mine = recording(here)
    late = heard_again(here, mine, batching.sentences(4, 4))

    with stopped_at_the_index(here, lambda: here.index(late), lambda: "4 число" not in str(kept(here))):
        begin_to_index(here, heard_again(here, mine, batching.sentences(4, 8)))
        now = kept(here)

    assert words(here) == kept(here) == now


def test_what_is_deleted_while_it_is_indexed_leaves_no_words(here):
    mine = recording(here)
    claim = heard_again(here, mine, batching.sentences(4, 4))
    before = kept(here)

    def index() -> None:
        with pytest.raises(Withdrawn):
            here.index(claim)

    with stopped_at_the_index(here, index, lambda: kept(here) != before):
        here.recordings.delete(EVERYONE, mine)

    assert here.index_store.count() == 0


def test_what_a_deletion_left_in_the_index_is_swept_away(here):
    mine, other = recording(here), recording(here, 4)
    drive.perform_all(here)
    here.recordings.delete(EVERYONE, mine)  # and its process died here

    tend(here, "index", "w")

    assert words(here) == kept(here) == set(batching.sentences(4, 4))
    assert here.index_store.count() == here.index_store.count(here.embedder()) == 4
    assert here.recordings.get(EVERYONE, other).meaning == "done"


# Forgotten tasks


def forget_all_tasks(here: Journey, recording_id: str) -> None:
    for task in here.recordings.tasks(EVERYONE, recording_id=recording_id)[1]:
        here.forget(EVERYONE, task.id)


def test_a_recording_without_tasks_takes_part_in_a_change_of_embedder(former, emulator):
    (mine,) = {passage.recording_id for passage in batching.passages(former)}
    forget_all_tasks(former, mine)
    here = later(former, emulator)

    here.active.switch()
    drive.perform_all(here)
    here.active.tick()

    assert here.active.change() is None
    assert here.index_store.count(here.embedder()) == 4
    (task,) = here.recordings.tasks(EVERYONE, recording_id=mine)[1]
    assert (task.status, task.progress) == ("completed", 100)


@pytest.mark.parametrize("others", [0, 1])
def test_vectors_under_way_come_though_their_task_was_forgotten(here, others):
    mine = recording(here)
    newest = here.recordings.tasks(EVERYONE, recording_id=mine)[1][0]
    if others:
        with here.records.write() as session:
            about = {"recording_id": mine, "transcript_id": newest.transcript_id, "owner": newest.owner}
            session.add(Task(engine="none", language="ru", status="completed", created_at=1.0, **about))

    here.forget(EVERYONE, newest.id)
    drive.perform_all(here)

    assert batching.meanings(here) == ["done"] * 4
    assert here.recordings.get(EVERYONE, mine).meaning == "done"


def test_a_forgotten_task_whose_vectors_are_there_leaves_no_work(former):
    (mine,) = {passage.recording_id for passage in batching.passages(former)}

    forget_all_tasks(former, mine)

    assert drive.ready(former) == []
    assert former.recordings.tasks(EVERYONE, recording_id=mine)[1] == []
