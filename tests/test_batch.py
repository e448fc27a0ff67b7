"""Batches: half the price, each vector under its own text, nothing that waits in a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from core.application import Application
from core.database.tables import BoughtVector, Job, Recording, Task
from core.embedding.embedder import text_hash
from core.errors import BadRequest, Code, OutcomeUnknown, Unavailable
from core.library.recordings import TranscriptionOptions
from core.orders.batch_view import STATES
from core.principal import EVERYONE
from core.search import embedding_jobs
from core.settings import Settings
from core.storage.blobs import Blob
from tests import batching, drive
from tools.gemini_emulator import GeminiEmulator


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(processing_s=60) as emulator:
        yield emulator


@pytest.fixture
def app(tmp_path: Path, emulator: GeminiEmulator) -> Application:
    return batching.installation(tmp_path / "home", emulator.url)


def test_russian_speech_is_found_by_meaning_after_a_batch(app, emulator):
    recording_id = batching.recording(app, batching.sentences(20))

    batching.run(app, emulator)

    assert batching.states(app) == ["complete"]
    assert app.recordings.get(EVERYONE, recording_id).embedding_status == "done"
    assert len(emulator.ledger().billed) == 20
    assert emulator.ledger().paid_twice == {}
    matches = app.searcher.search(EVERYONE, "ремонтировать крыши складов", mode="meaning")
    assert "крыши" in matches.matches[0].row.text


def test_a_text_that_has_a_vector_is_never_sent_again(app, emulator):
    """Neither for another recording, nor for a new transcript of the same one."""
    batching.recording(app, batching.sentences(6), title="first")
    batching.run(app, emulator)

    batching.recording(app, batching.sentences(7), title="second")
    batching.run(app, emulator)

    assert len(emulator.ledger().texts) == 7
    assert set(batching.meanings(app)) == {"done"}


def test_equal_texts_go_out_once_and_serve_all(app, emulator):
    batching.recording(app, [*batching.sentences(3), *batching.sentences(3)], title="twice")

    batching.run(app, emulator)

    assert len(emulator.ledger().texts) == 3
    assert batching.meanings(app) == ["done"] * 6


def test_empty_passages_are_never_sent(app, emulator):
    batching.recording(app, ["", "   ", *batching.sentences(2)])

    batching.run(app, emulator)

    assert [text.text for text in emulator.ledger().texts if not text.text.strip()] == []
    assert sorted(batching.meanings(app)) == ["done", "done", "off", "off"]


def test_few_texts_wait_for_company_but_not_for_ever(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_min_size=100, batch_max_wait_s=300)
    batching.recording(app, batching.sentences(3))

    app.batches.tick()
    assert batching.states(app) == []
    batching.set_clock(app, 301)
    app.batches.tick()

    assert batching.states(app) == ["submitted"]


def test_flush_sends_what_waits(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_min_size=100, batch_max_wait_s=300)
    batching.recording(app, batching.sentences(3))
    app.batches.tick()

    app.batches.flush()
    app.batches.tick()

    assert batching.states(app) == ["submitted"]


def test_many_texts_are_split_by_number(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_max_requests=4)
    batching.recording(app, batching.sentences(10))

    batching.run(app, emulator)

    assert sorted(batch.texts for batch in batching.batches(app)) == [2, 4, 4]
    assert emulator.ledger().paid_twice == {}


def test_many_texts_are_split_by_size(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_max_bytes=1000)
    batching.recording(app, batching.sentences(8))

    batching.run(app, emulator)

    files = [call for call in emulator.ledger().calls if call.call == "upload_chunk"]
    assert len(files) == len(batching.batches(app)) > 1


def test_the_enqueued_token_limit_lets_the_next_batch_go_when_the_first_has_ended(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_enqueued_tokens=200, batch_min_size=2)
    emulator.settings(enqueued_tokens=200)
    batching.recording(app, batching.sentences(12))

    app.batches.tick()
    assert sum(batch.tokens for batch in batching.batches(app)) <= 200
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert all(call.status == 200 for call in emulator.ledger().calls if call.call == "create")


def test_a_smaller_limit_than_expected_is_found_out(tmp_path, emulator):
    """The provider refuses for size without saying how much it would take."""
    app = batching.installation(tmp_path, emulator.url)
    emulator.settings(enqueued_tokens=100)
    batching.recording(app, batching.sentences(12))

    batching.run(app, emulator, rounds=200)

    assert set(batching.meanings(app)) == {"done"}
    assert emulator.ledger().paid_twice == {}


def test_no_more_jobs_than_allowed_are_under_way(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_max_requests=2, batch_max_jobs=2)
    batching.recording(app, batching.sentences(9))

    app.batches.tick()

    assert batching.states(app) == ["submitted"] * 2


def test_a_text_that_fails_three_times_is_left_to_a_person(app, emulator):
    emulator.fault("error_line", times=None, count=1, message="Too strange.")
    batching.recording(app, batching.sentences(4))

    batching.run(app, emulator)

    assert sorted(batching.meanings(app)) == ["done", "done", "done", "failed"]
    (text,) = batching.texts(app)
    assert (text.state, text.attempts, text.error) == ("failed", 3, "Too strange.")
    assert [batch.failed for batch in app.batches.view.list()] == [1, 0, 0]


def test_retry_sends_failed_texts_again(app, emulator):
    emulator.fault("error_line", times=3, count=1)
    batching.recording(app, batching.sentences(4))
    batching.run(app, emulator)
    last = app.batches.view.list()[0].id

    assert app.batches.retry_failed(last) == 1
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}


def test_failed_texts_can_be_embedded_now(app, emulator):
    emulator.fault("error_line", times=3, count=1)
    batching.recording(app, batching.sentences(4))
    batching.run(app, emulator)
    last = app.batches.view.list()[0].id

    assert app.batches.embed_failed_now(last) == 1
    batching.embed_now(app)

    assert set(batching.meanings(app)) == {"done"}
    assert batching.texts(app) == []


def test_a_late_batch_can_be_finished_now(app, emulator):
    emulator.fault("stuck")
    batching.recording(app, batching.sentences(4))
    app.batches.tick()
    (batch,) = app.batches.view.list()

    assert app.batches.finish_now(batch.id)
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert emulator.ledger().paid_twice == {}
    assert {text.batch for text in emulator.ledger().billed} == {None}


def test_finishing_now_keeps_what_the_batch_had_done(app, emulator):
    emulator.fault("stuck")
    emulator.fault("cancel_keeps", count=2)
    batching.recording(app, batching.sentences(4))
    app.batches.tick()

    app.batches.finish_now(app.batches.view.list()[0].id)
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert emulator.ledger().paid_twice == {}
    assert len([text for text in emulator.ledger().billed if text.batch]) == 2


def test_finishing_now_what_ends_by_itself_buys_nothing_twice(app, emulator):
    emulator.fault("cancel_late")
    batching.recording(app, batching.sentences(4))
    app.batches.tick()

    app.batches.finish_now(app.batches.view.list()[0].id)
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert all(text.batch for text in emulator.ledger().billed)


def test_a_batch_with_a_deadline_finishes_itself(app, emulator):
    emulator.fault("stuck")
    recording_id = batching.recording(app, batching.sentences(4))
    with app.database.write() as session:
        session.get_one(Recording, recording_id).vectors_by = app.batches.now() + 600

    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert batching.states(app) == ["cancelled"]


def test_cancelling_keeps_what_is_there_and_leaves_the_rest_to_a_person(app, emulator):
    emulator.fault("stuck")
    emulator.fault("cancel_keeps", count=1)
    batching.recording(app, batching.sentences(4))
    app.batches.tick()
    (batch,) = app.batches.view.list()

    assert app.batches.cancel(batch.id)
    batching.run(app, emulator)

    assert sorted(batching.meanings(app)) == ["done", "failed", "failed", "failed"]
    assert not app.batches.cancel(batch.id)
    assert app.batches.view.list()[0].failed == 3


def test_a_batch_that_ended_without_results_has_saved_nothing(app, emulator):
    emulator.fault("fail")
    batching.recording(app, batching.sentences(4))
    app.batches.tick()
    batching.run(app, emulator)

    by_state = {each.state: each for each in app.batches.view.list()}

    assert by_state["failed"].saved_usd == 0 < by_state["failed"].usd
    assert by_state["complete"].saved_usd == by_state["complete"].usd > 0


def test_the_lane_can_be_changed_while_nothing_was_sent(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_min_size=100, batch_max_wait_s=9999)
    recording_id = batching.recording(app, batching.sentences(3))
    app.batches.tick()

    app.batches.change_mode(EVERYONE, recording_id, "sync")
    batching.embed_now(app)
    app.batches.tick()

    assert set(batching.meanings(app)) == {"done"}
    assert batching.states(app) == []


def test_without_a_key_passages_wait_and_nothing_fails(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, gemini_api_key="")
    app.database.set_value("embedder", "gemini")
    batching.recording(app, batching.sentences(3))

    app.batches.tick()

    assert set(batching.meanings(app)) == {"waiting"}
    assert app.batches.view.queue().stopped["facts"]["setting"] == "GEMINI_API_KEY"
    again = batching.installation(tmp_path, emulator.url)
    batching.run(again, emulator)
    assert set(batching.meanings(app)) == {"done"}


def test_a_refused_key_pauses_the_provider_and_burns_no_try(app, emulator):
    emulator.fault("revoked_key", times=None, code=403)
    batching.recording(app, batching.sentences(3))
    for minute in range(10):
        batching.set_clock(app, 61 * minute)
        app.batches.tick()
    assert app.batches.view.queue().stopped["facts"]["setting"] == "GEMINI_API_KEY"
    assert len(emulator.ledger().calls) <= 10

    emulator.clear_faults()
    emulator.advance(61 * 10)
    batching.run(app, emulator, ahead_s=61 * 10)

    assert set(batching.meanings(app)) == {"done"}
    assert batching.states(app) == ["complete"]


def test_the_monthly_cap_holds_batches_back_and_lets_those_under_way_go_on(tmp_path, emulator):
    tight = {"monthly_cap_usd": "0.000012", "batch_max_requests": 3}
    app = batching.installation(tmp_path, emulator.url, **tight)
    batching.recording(app, batching.sentences(9))

    batching.run(app, emulator, done=lambda: "complete" in batching.states(app))

    assert app.ledger.month().spent <= app.ledger.month().cap
    assert 0 < batching.meanings(app).count("done") < 9
    assert app.batches.view.queue().stopped["facts"]["setting"] == "MONTHLY_CAP_USD"
    richer = batching.installation(tmp_path, emulator.url)
    batching.run(richer, emulator, ahead_s=6100)
    assert set(batching.meanings(app)) == {"done"}


def test_the_batch_lane_is_refused_while_vectors_are_made_here(tmp_path):
    local = Application(Settings(stenogram_home=tmp_path))

    with pytest.raises(BadRequest, match="on this machine"):
        local.intake.submit(
            EVERYONE, Blob("0" * 64, 1), "a.wav", TranscriptionOptions(embedding_mode="batch")
        )
    with pytest.raises(BadRequest, match="on this machine"):
        local.batches.change_mode(EVERYONE, "any", "batch")


def test_a_recording_deleted_under_way_loses_nothing_paid(app, emulator):
    recording_id = batching.recording(app, batching.sentences(4))
    app.batches.tick()
    with app.database.write() as session:
        session.delete(session.get_one(Recording, recording_id))
    app.index.remove(recording_id)

    batching.run(app, emulator, done=lambda: batching.states(app) == ["complete"])
    batching.recording(app, batching.sentences(4), title="again")
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert len(emulator.ledger().texts) == 4


def test_what_is_seen_of_a_batch(app, emulator):
    batching.recording(app, batching.sentences(4))
    app.batches.tick()

    (batch,) = app.batches.view.list()
    assert batch.says == STATES["submitted"]
    assert batch.name.startswith("batches/")
    assert (batch.texts, batch.waiting, batch.live, batch.late) == (4, 4, True, False)
    assert batch.saved_usd == batch.usd > 0
    assert (batch.expected.low_s, batch.expected.own) == (600, False)

    batching.run(app, emulator)
    (batch,) = app.batches.view.list()
    assert (batch.good, batch.failed, batch.waiting, batch.live) == (4, 0, 0, False)
    assert app.ledger.saved() == batch.saved_usd


def test_each_recording_knows_what_it_cost(app, emulator):
    first = batching.recording(app, batching.sentences(4), title="first")
    second = batching.recording(app, batching.sentences(2, start=10), mode="sync", title="second")
    with app.database.write() as session:
        embedding_jobs.embed_job(session, second)

    batching.run(app, emulator)

    cost = [app.ledger.of_recording(one) for one in (first, second)]
    assert min(cost) > 0
    assert sum(cost) == app.ledger.month().spent
    assert app.ledger.month().reserved == 0


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_both_models_ask_in_their_own_way_and_give_unit_vectors(tmp_path, emulator, model):
    app = batching.installation(tmp_path, emulator.url, embedding_model=model)
    batching.recording(app, batching.sentences(3))

    batching.run(app, emulator)

    texts = emulator.ledger().texts
    if model == "gemini-embedding-001":
        assert {text.task_type for text in texts} == {"RETRIEVAL_DOCUMENT"}
        assert not any(text.text.startswith("title:") for text in texts)
    else:
        assert {text.task_type for text in texts} == {None}
        assert all(text.text.startswith("title: none | text: ") for text in texts)
    hashes = [text_hash(app.active_embedder.embedder(), passage.text) for passage in batching.passages(app)]
    vectors = app.index.vectors_of(app.active_embedder.embedder(), hashes).values()
    assert [round(float(np.linalg.norm(vector)), 5) for vector in vectors] == [1.0] * 3


def test_another_model_is_offered_with_its_price_and_takes_over_when_complete(tmp_path, emulator):
    before = batching.installation(tmp_path, emulator.url)
    batching.recording(before, batching.sentences(6))
    batching.run(before, emulator)
    assert before.active_embedder.offer() is None

    app = batching.installation(tmp_path, emulator.url, embedding_dim=128)
    offer = app.active_embedder.offer()
    assert (offer.passages, len(emulator.ledger().texts)) == (6, 6)
    assert 0 < offer.usd["batch"] == offer.usd["sync"] / 2
    assert app.active_embedder.embedder().dim == 64, "nothing changes by itself"

    app.active_embedder.switch(EVERYONE, "batch")
    app.batches.tick()
    assert app.searcher.search(EVERYONE, "ремонт крыши", mode="meaning").matches, (
        "the old vectors still answer"
    )
    assert app.active_embedder.searched().dim == 64
    batching.run(app, emulator, ahead_s=6100)
    app.batches.tick()

    assert app.active_embedder.searched().dim == 128
    assert app.searcher.search(EVERYONE, "ремонт крыши", mode="meaning").matches
    assert app.index.count(app.active_embedder.embedder()) == 6


def test_a_batch_of_the_former_model_ends_among_its_own(tmp_path, emulator):
    before = batching.installation(tmp_path, emulator.url)
    batching.recording(before, batching.sentences(3))
    before.batches.tick()
    former = before.active_embedder.embedder()

    app = batching.installation(tmp_path, emulator.url, embedding_dim=128)
    app.active_embedder.switch(EVERYONE, "batch")
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    for embedder in (former, app.active_embedder.embedder()):
        hashes = [text_hash(embedder, passage.text) for passage in batching.passages(app)]
        assert len(app.index.vectors_of(embedder, hashes)) == 3


def test_a_broken_connection_never_sends_texts_twice(app, emulator):
    """With aiohttp installed the provider's client would do so by itself."""
    emulator.fault("drop", call="embed")

    with pytest.raises(OutcomeUnknown):
        app.ledger.buy(app.active_embedder.embedder(), "r", "pages", ["текст"])

    assert emulator.ledger().count("embed") == 1
    assert app.ledger.payments()[0].state == "disputed"


def test_vectors_are_paid_once_though_the_index_fails_and_the_process_dies(app, emulator, monkeypatch):
    recording_id = batching.recording(app, batching.sentences(4), "sync")
    with app.database.write() as session:
        session.add(embedding_jobs.embed_job(session, recording_id))
    with monkeypatch.context() as failing:
        failing.setattr(app.index, "put_vectors", _unavailable)
        drive.perform_all(app)
    assert emulator.ledger().count("embed") == 1

    again = batching.installation(app.settings.stenogram_home, emulator.url, clock_offset_s=3600)
    drive.perform_all(again)

    assert emulator.ledger().count("embed") == 1
    assert set(batching.meanings(again)) == {"done"}
    assert again.index.count(again.active_embedder.embedder()) == len(batching.passages(again))
    with again.database.read() as session:
        assert session.scalars(select(BoughtVector)).all() == []


def _unavailable(*_arguments):
    raise Unavailable(Code.INDEX_SILENT)


def test_retrying_the_task_sends_failed_texts_again(app, emulator):
    emulator.fault("error_line", times=3, count=1)
    recording_id = batching.recording(app, batching.sentences(4))
    batching.run(app, emulator)
    [task] = app.recordings.tasks(EVERYONE, recording_id=recording_id)[1]

    assert app.tasks.retry(EVERYONE, task.id)
    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert not app.tasks.retry(EVERYONE, task.id)


def test_vectors_that_failed_wait_again_only_with_the_job_that_makes_them(app):
    recording_id = batching.recording(app, batching.sentences(4), "sync")
    [first] = app.recordings.tasks(EVERYONE, recording_id=recording_id)[1]
    with app.database.write() as session:
        job = Job(task_id=first.id, kind="embed", queue="io")
        fields = {"owner": "pages", "engine": "none", "language": "ru", "status": "completed"}
        second = Task(recording_id=recording_id, transcript_id=first.transcript_id, **fields)
        session.add_all([job, second])
    app.pipeline.give_up(app.job_queue.claim(job.id, "test"), BadRequest(Code.LIMIT_UNKNOWN))
    assert set(batching.meanings(app)) == {"failed"}

    assert not app.tasks.retry(EVERYONE, second.id)
    assert set(batching.meanings(app)) == {"failed"}

    assert app.tasks.retry(EVERYONE, first.id)
    batching.embed_now(app)
    assert set(batching.meanings(app)) == {"done"}


def test_every_kind_of_database_carries_a_batch_and_its_failures(tmp_path, database_url, emulator):
    app = batching.installation(tmp_path / "home", emulator.url, database_url=database_url)
    emulator.fault("fail")
    emulator.fault("error_line", times=None, count=1)
    batching.recording(app, batching.sentences(6))

    batching.run(app, emulator)
    emulator.clear_faults()
    failed = [batch.id for batch in app.batches.view.list() if batch.failed]
    assert sum(app.batches.embed_failed_now(batch_id) for batch_id in failed) > 0
    batching.embed_now(app)

    assert set(batching.meanings(app)) == {"done"}
    assert emulator.ledger().paid_twice == {}
    assert app.ledger.month().reserved == 0
    app.database.close()
