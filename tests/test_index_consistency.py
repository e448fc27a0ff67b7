"""Words, vectors and records say the same, whatever is done at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.application import Application
from core.database.tables import Job, Recording, Segment, Task, Transcript, new_id
from core.errors import Unavailable, Withdrawn
from core.principal import EVERYONE
from core.queue.jobs import Claim
from core.search import embedding_jobs, lance
from core.transcripts import chunking
from tests import batching, drive
from tests.tool import until
from tools.gemini_emulator import GeminiEmulator


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(processing_s=60) as emulator:
        yield emulator


@pytest.fixture
def former(tmp_path: Path, emulator: GeminiEmulator) -> Application:
    """An installation whose vectors are complete, before its settings ask for longer ones."""
    app = batching.installation(tmp_path, emulator.url)
    recording(app)
    drive.perform_all(app)
    assert app.index.count(app.active_embedder.embedder()) == 4
    return app


def later(app: Application, emulator: GeminiEmulator, **settings: object) -> Application:
    """The same installation when its settings ask for something else: longer vectors, if nothing is said."""
    return batching.installation(app.settings.home, emulator.url, **(settings or {"embedding_dim": 128}))


def recording(app: Application, start: int = 0) -> str:
    """A recording with four passages of its own, and a job that makes their vectors."""
    recording_id = batching.recording(app, batching.sentences(4, start), mode="sync", title=f"from {start}")
    embed_again(app, recording_id)
    return recording_id


def embed_again(app: Application, recording_id: str) -> str:
    """A job that makes the vectors of a recording; its id."""
    with app.database.write() as session:
        job = embedding_jobs.embed_job(session, recording_id)
        assert job is not None
        return job.id


@contextmanager
def stopped_at_the_index(app: Application, step: Callable[[], object], reached: Callable[[], object]):
    """The step, in a thread, goes on until it wants to write into the index; meanwhile others act."""
    thread = threading.Thread(target=step, daemon=True)
    with lance.locked(Path(app.settings.index)):
        thread.start()
        until(reached, 60, "the step to come to the index")
        yield
    thread.join(60)
    assert not thread.is_alive()


def found_by_meaning(app: Application) -> int:
    return len(app.searcher.search(EVERYONE, "ремонт крыши", mode="meaning").matches)


# Another embedder


def test_a_change_of_embedder_is_begun_as_a_whole_or_not_at_all(former, emulator):
    app = later(former, emulator)

    broken = "CREATE TRIGGER broken BEFORE UPDATE ON passages BEGIN SELECT RAISE(ABORT, 'broken'); END"
    with app.database.write() as session:
        session.execute(text(broken))

    with pytest.raises(IntegrityError):
        app.active_embedder.switch(EVERYONE)

    assert app.active_embedder.embedder().dim == app.active_embedder.searched().dim == 64
    assert app.active_embedder.offer() is not None
    assert found_by_meaning(app)


def test_vectors_of_the_former_embedder_that_come_late_are_not_taken_for_new_ones(former, emulator):
    request_count = emulator.ledger().count("embed")
    recording(former, 4)
    (job,) = drive.ready(former)
    claim = former.job_queue.claim(job.id, "w")
    app = later(former, emulator)

    with stopped_at_the_index(
        former,
        lambda: former.pipeline.stages["embed"].run(claim),
        lambda: emulator.ledger().count("embed") > request_count,
    ):
        app.active_embedder.switch(EVERYONE)
    drive.perform_all(app)
    app.active_embedder.tick()

    assert app.active_embedder.change() is None
    assert app.active_embedder.searched().dim == 128
    assert app.index.count(app.active_embedder.embedder()) == 8


def test_passages_cut_for_the_former_embedder_are_cut_again(former, emulator):
    """What the new one understands may be another language."""
    row = batching.passages(former)[0]
    embed_again(former, row.recording_id)
    (job,) = drive.ready(former)
    claim = former.job_queue.claim(job.id, "w")
    embedder = former.active_embedder.embedder()
    later(former, emulator).active_embedder.switch(EVERYONE)

    with pytest.raises(Unavailable):
        former.passages.replace(claim, row.recording_id, "t", [], embedder)
    assert batching.meanings(former) == ["waiting"] * 4


def test_an_embedder_that_fails_everywhere_does_not_take_over(former, emulator):
    app = later(former, emulator, embedding_model="gemini-embedding-9")
    app.tariffs.set_price(EVERYONE, "gemini", "gemini-embedding-9", "sync", "0.0000001")

    app.active_embedder.switch(EVERYONE)
    drive.perform_all(app)
    app.active_embedder.tick()

    assert batching.meanings(app) == ["failed"] * 4
    assert app.active_embedder.change().done == 0
    assert found_by_meaning(app)


def test_every_kind_of_database_changes_to_another_embedder(tmp_path, database_url, emulator):
    before = batching.installation(tmp_path, emulator.url, database_url=database_url)
    recording(before)
    drive.perform_all(before)

    app = later(before, emulator, embedding_dim=128, database_url=database_url)
    app.active_embedder.switch(EVERYONE)
    drive.perform_all(app)
    app.active_embedder.tick()

    assert app.active_embedder.searched().dim == 128
    assert app.index.count(app.active_embedder.embedder()) == 4
    before.database.close()
    app.database.close()


def test_where_nothing_was_transcribed_the_settings_are_followed_at_once(tmp_path, emulator):
    before = batching.installation(tmp_path, emulator.url)
    before.active_embedder.tick()
    assert before.active_embedder.embedder().dim == 64

    app = later(before, emulator)
    app.active_embedder.tick()

    assert app.active_embedder.embedder().dim == app.active_embedder.searched().dim == 128
    assert app.active_embedder.change() is None


# Words and vectors


def transcribe_again(app: Application, recording_id: str, texts: Sequence[str]) -> Claim:
    """Another task has heard this recording otherwise; a worker begins to index what it heard."""
    with app.database.write() as session:
        recording = session.get_one(Recording, recording_id)
        fields = {"sha256": recording.sha256, "engine": "none", "engine_version": "1", "language": "ru"}
        transcript = Transcript(key=new_id(), planned=True, complete=True, **fields)
        session.add(transcript)
        session.flush()
        ids = {"recording_id": recording_id, "transcript_id": transcript.id, "owner": recording.owner}
        task = Task(engine="none", language="ru", **ids)
        parts = [
            Segment(
                transcript_id=transcript.id, n=n, start_s=60.0 * n, end_s=60.0 * n + 50, text=text, words=[]
            )
            for n, text in enumerate(texts)
        ]
        session.add_all([task, *parts])
        session.flush()
        job = Job(task_id=task.id, kind="index", queue="io")
        session.add(job)
        session.flush()
    claim = app.job_queue.claim(job.id, "w")
    assert claim is not None
    return claim


def begin_to_index(app: Application, claim: Claim, mode: str = "sync") -> None:
    """What an index job does before it comes to the index."""
    task = app.recordings.task(EVERYONE, claim.task_id)
    pieces = chunking.passages(app.transcripts.utterances(task.transcript_id))
    app.passages.replace(
        claim, task.recording_id, task.transcript_id, pieces, app.active_embedder.embedder(), mode
    )


def words(app: Application) -> set[str]:
    return {row.text for row, _ in app.index.words("пункт решили перенести", limit=100, how="any")}


def done(app: Application) -> set[str]:
    return {passage.id for passage in batching.passages(app) if passage.embedding_status == "done"}


def have_vectors(app: Application) -> set[str]:
    question = app.active_embedder.embedder().embed_query("ремонт крыши")
    return {key for key, _ in app.index.nearest(app.active_embedder.embedder(), question, limit=100)}


def passage_texts(app: Application) -> set[str]:
    return {passage.text for passage in batching.passages(app)}


@pytest.fixture
def app(tmp_path: Path, emulator: GeminiEmulator) -> Application:
    return batching.installation(tmp_path, emulator.url)


def test_vectors_come_after_the_words_of_their_passages(app):
    recording_id = recording(app)
    index = transcribe_again(app, recording_id, batching.sentences(4, 4))
    begin_to_index(app, index)

    drive.perform_all(app)
    assert done(app) <= have_vectors(app)
    app.pipeline.run(index)
    app.clock.ahead_s = 60
    drive.perform_all(app)

    assert batching.meanings(app) == ["done"] * 4
    assert done(app) == have_vectors(app)


def test_vectors_by_batch_come_after_the_words_of_their_passages(app, emulator):
    texts = batching.sentences(4)
    recording_id = recording(app)
    drive.perform_all(app)
    index = transcribe_again(app, recording_id, texts)
    begin_to_index(app, index, mode="batch")

    app.batches.tick()
    assert done(app) <= have_vectors(app)
    app.pipeline.run(index)
    batching.run(app, emulator)

    assert batching.meanings(app) == ["done"] * 4
    assert done(app) == have_vectors(app)


def test_words_that_were_lost_are_there_again_with_the_vectors(app):
    recording_id = recording(app)
    app.index.remove(recording_id)

    drive.perform_all(app)

    assert batching.meanings(app) == ["done"] * 4
    assert app.index.count(app.active_embedder.embedder()) == 4
    assert words(app) == passage_texts(app)


def test_transcripts_of_one_recording_are_indexed_one_after_the_other(app):
    recording_id = recording(app)
    first = transcribe_again(app, recording_id, batching.sentences(4, 4))
    second = transcribe_again(app, recording_id, batching.sentences(4, 8))

    app.pipeline.run(second)
    assert passage_texts(app) == set(batching.sentences(4)), "the first one is still at it"
    app.pipeline.run(first)
    app.clock.ahead_s = 60
    drive.perform_all(app)

    assert words(app) == passage_texts(app)
    assert (
        app.recordings.get(EVERYONE, recording_id).transcript_id
        == app.recordings.task(EVERYONE, second.task_id).transcript_id
    )


def test_a_worker_that_comes_late_to_the_index_writes_what_holds_now(app):
    recording_id = recording(app)
    late = transcribe_again(app, recording_id, batching.sentences(4, 4))

    with stopped_at_the_index(
        app, lambda: app.pipeline.run(late), lambda: "4 число" not in str(passage_texts(app))
    ):
        begin_to_index(app, transcribe_again(app, recording_id, batching.sentences(4, 8)))
        now = passage_texts(app)

    assert words(app) == passage_texts(app) == now


def test_what_is_deleted_while_it_is_indexed_leaves_no_words(app):
    recording_id = recording(app)
    claim = transcribe_again(app, recording_id, batching.sentences(4, 4))
    before = passage_texts(app)

    def index() -> None:
        with pytest.raises(Withdrawn):
            app.pipeline.stages["index"].run(claim)

    with stopped_at_the_index(app, index, lambda: passage_texts(app) != before):
        app.recordings.delete(EVERYONE, recording_id)

    assert app.index.count() == 0


def test_what_a_deletion_left_in_the_index_is_swept_away(app):
    recording_id, other = recording(app), recording(app, 4)
    drive.perform_all(app)
    app.recordings.delete(EVERYONE, recording_id)  # and its process died here

    app.periodic_runner.run("index", "w")

    assert words(app) == passage_texts(app) == set(batching.sentences(4, 4))
    assert app.index.count() == app.index.count(app.active_embedder.embedder()) == 4
    assert app.recordings.get(EVERYONE, other).embedding_status == "done"


# Forgotten tasks


def forget_all_tasks(app: Application, recording_id: str) -> None:
    for task in app.recordings.tasks(EVERYONE, recording_id=recording_id)[1]:
        app.deletion.delete_task(EVERYONE, task.id)


def test_a_recording_without_tasks_takes_part_in_a_change_of_embedder(former, emulator):
    (recording_id,) = {passage.recording_id for passage in batching.passages(former)}
    forget_all_tasks(former, recording_id)
    app = later(former, emulator)

    app.active_embedder.switch(EVERYONE)
    drive.perform_all(app)
    app.active_embedder.tick()

    assert app.active_embedder.change() is None
    assert app.index.count(app.active_embedder.embedder()) == 4
    (task,) = app.recordings.tasks(EVERYONE, recording_id=recording_id)[1]
    assert (task.status, task.progress) == ("completed", 100)


@pytest.mark.parametrize("others", [0, 1])
def test_vectors_under_way_come_though_their_task_was_forgotten(app, others):
    recording_id = recording(app)
    newest = app.recordings.tasks(EVERYONE, recording_id=recording_id)[1][0]
    if others:
        with app.database.write() as session:
            ids = {"recording_id": recording_id, "transcript_id": newest.transcript_id, "owner": newest.owner}
            session.add(Task(engine="none", language="ru", status="completed", created_at=1.0, **ids))

    app.deletion.delete_task(EVERYONE, newest.id)
    drive.perform_all(app)

    assert batching.meanings(app) == ["done"] * 4
    assert app.recordings.get(EVERYONE, recording_id).embedding_status == "done"


def test_a_forgotten_task_whose_vectors_are_there_leaves_no_work(former):
    (recording_id,) = {passage.recording_id for passage in batching.passages(former)}

    forget_all_tasks(former, recording_id)

    assert drive.ready(former) == []
    assert former.recordings.tasks(EVERYONE, recording_id=recording_id)[1] == []
