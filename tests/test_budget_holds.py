"""Work that a cap holds may go a cheaper way, as the same task; transcripts at hand are not paid twice."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.application import Application
from core.billing.ledger import Call
from core.billing.tariffs import ALL
from core.database.tables import Job
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.queue.periodic import EVERY_S
from core.settings import Settings
from jobs import installation
from tests import drive, remotely
from tests.batching import meanings, recording, sentences
from tests.clock import Clock
from tests.conftest import DATA
from tests.test_pages import texts, visit
from tools.gemini_emulator.handle import GeminiEmulator
from tools.groq_emulator import GroqEmulator

KEY = remotely.CANARY
HEARD = [{"start": 0.0, "end": 2.0, "text": "добрый день", "words": []}]
GEMINI = {
    "gemini_api_key": "emulated",
    "embedding_dim": "64",
    "batch_min_size": "1",
    "batch_max_wait_s": "0",
}
RU = DATA / "ru_meeting.opus"


@pytest.fixture
def groq():
    with GroqEmulator(recognise=lambda _file, _language: HEARD, key=KEY) as emulator:
        yield emulator


@pytest.fixture
def buying_app(tmp_path, groq):
    """An installation that may buy transcripts, and has an engine of its own."""
    settings = {"groq_api_key": KEY, "groq_base_url": f"{groq.url}/openai/v1"}
    return remotely.journey(tmp_path / "home", **settings)


@pytest.fixture
def gemini(tmp_path):
    with GeminiEmulator(tmp_path / "emulator") as emulator:
        yield Application(
            Settings(stenogram_home=tmp_path / "home", gemini_base_url=emulator.url, **GEMINI), clock=Clock()
        )


@pytest.fixture
def pages(gemini, monkeypatch):
    """Pages of the same installation."""
    places = {name: str(getattr(gemini.settings, name)) for name in ("stenogram_home", "gemini_base_url")}
    for name, value in {**GEMINI, **places}.items():
        monkeypatch.setenv(name.upper(), value)
    installation.serve(None)
    yield
    installation.serve(None)


def embedding(app: Application, texts: int = 12) -> str:
    """A recording whose vectors are asked for now; its id."""
    id_ = recording(app, sentences(texts), "sync", f"of {texts}")
    [task] = app.recordings.tasks(EVERYONE, recording_id=id_)[1]
    with app.database.write() as session:
        session.add(Job(task_id=task.id, kind="embed", queue="io"))
    return id_


def test_the_cap_of_one_owner_does_not_hold_the_same_transcript_of_another(buying_app, groq):
    """Who may pay goes on; when they have, the transcript is there for both."""
    buying_app.proof.set_cap(EVERYONE, "anna", "0")
    options = TranscriptionOptions(language="ru", engine="groq")
    capped, free = [
        buying_app.intake.accept(Principal(who), RU.open("rb"), RU.name, options) for who in ("anna", "boris")
    ]

    drive.perform_all(buying_app)
    meanwhile = [remotely.now(buying_app, task).status for task in (capped, free)]
    paid = groq.count("transcribe")
    remotely.later(buying_app, 61)

    assert meanwhile == ["processing", "completed"]
    assert remotely.now(buying_app, capped).status == "completed"
    assert groq.count("transcribe") == paid > 0


def test_the_promise_of_a_paid_call_that_broke_off_is_booked_after_an_hour(buying_app):
    call = Call("groq", "whisper-large-v3-turbo", "sync", {("a recording", "anna"): 3600})
    with buying_app.database.write() as session:
        buying_app.ledger.reserve(session, call)  # and the process dies

    states = []
    for minutes in (50, 20):
        remotely.later(buying_app, minutes * 60)
        for periodic_task in EVERY_S:
            buying_app.periodic_runner.run(periodic_task, "here/1")
        states.append([payment.state for payment in buying_app.ledger.payments()])

    assert states == [["reserved"], ["disputed"]]


def test_a_paid_transcript_that_is_held_goes_on_here_as_the_same_task(buying_app, groq):
    buying_app.proof.set_cap(EVERYONE, ALL, "0")
    task = remotely.accept(buying_app, "groq")
    drive.perform_all(buying_app)

    [way] = buying_app.holds.ways()
    assert (way.engine, way.usd) == ("gigaam-v3_ctc", 0)
    assert way.before_usd == pytest.approx(Decimal("0.04") * Decimal("52.2275") / 3600, rel=Decimal("0.01"))
    assert buying_app.holds.take(EVERYONE, way) == 1
    drive.perform_all(buying_app)

    after = remotely.now(buying_app, task)
    assert (after.id, after.status, after.engine) == (task.id, "completed", "gigaam-v3_ctc")
    assert buying_app.recordings.get(EVERYONE, task.recording_id).transcript_id == after.transcript_id
    assert groq.count("transcribe") == buying_app.proof.held() == 0
    assert buying_app.holds.ways() == []


def test_a_way_taken_twice_begins_the_work_once(buying_app):
    buying_app.proof.set_cap(EVERYONE, ALL, "0")
    remotely.accept(buying_app, "groq")
    drive.perform_all(buying_app)

    [way] = buying_app.holds.ways()

    assert [buying_app.holds.take(EVERYONE, way), buying_app.holds.take(EVERYONE, way)] == [1, 0]
    assert len(drive.ready(buying_app)) == 1


def test_vectors_that_are_held_are_offered_by_batch_where_that_fits(gemini):
    id_ = embedding(gemini)
    gemini.proof.set_cap(EVERYONE, ALL, "0.00005")
    drive.perform_all(gemini)

    [way] = gemini.holds.ways()
    assert (way.embedding_mode, way.usd) == ("batch", way.before_usd / 2)
    assert gemini.holds.take(EVERYONE, way) == 1

    assert not drive.ready(gemini)
    assert gemini.proof.held() == 0
    gemini.batches.tick()
    assert set(meanings(gemini)) == {"waiting"}
    assert gemini.ledger.month().reserved == way.usd
    assert gemini.recordings.get(EVERYONE, id_).embedding_status == "waiting"


def test_nothing_is_offered_that_would_not_fit_either(gemini):
    embedding(gemini)
    gemini.proof.set_cap(EVERYONE, ALL, "0.00001")
    drive.perform_all(gemini)

    assert gemini.proof.held() == 1
    assert gemini.holds.ways() == []


def test_texts_of_a_batch_have_no_cheaper_way_and_pages_say_so(gemini, pages):
    recording(gemini, sentences(3))
    gemini.proof.set_cap(EVERYONE, ALL, "0.000001")
    gemini.batches.tick()

    for page, view in (("costs", "proof"), ("monitor", "batches")):
        at = visit(page, "en", view=view)
        assert "No way is cheaper than a batch" in texts(at)
        assert not [button for button in at.button if str(button.key).startswith(("cheaper", "send"))]
    [warning] = visit("costs", "ru", view="proof").warning
    assert warning.proto.title.startswith("3 текста ждут пакета: ")

    gemini.proof.set_cap(EVERYONE, ALL, None)
    assert not visit("costs", "en", view="proof").warning
    gemini.batches.tick()
    assert gemini.batches.view.queue().texts == 0


def test_the_cap_of_one_key_counts_for_its_work_alone(buying_app):
    buying_app.proof.set_cap(EVERYONE, "abcd1234", "0")
    with RU.open("rb") as file:
        buying_app.intake.accept(Principal("abcd1234"), file, "a.opus", TranscriptionOptions(engine="groq"))
    drive.perform_all(buying_app)

    [way] = buying_app.holds.ways()

    assert way.group.owner == "abcd1234"
    assert len(way.group.jobs) == 1


def test_a_paid_transcript_at_hand_is_saved_at_what_the_ledger_says_it_cost(buying_app, groq):
    first = remotely.accept(buying_app, "groq")
    drive.perform_all(buying_app)
    paid = buying_app.ledger.of_recording(first.recording_id)
    assert buying_app.proof.saved().by_not_paying_twice == 0

    for owner in ("abcd1234", "efgh5678"):
        with RU.open("rb") as file:
            buying_app.intake.accept(
                Principal(owner), file, "again.opus", TranscriptionOptions(language="ru", engine="groq")
            )
    drive.perform_all(buying_app)

    assert paid > 0
    assert buying_app.proof.saved().by_not_paying_twice == pytest.approx(2 * paid)
    assert groq.count("transcribe") == len(buying_app.ledger.payments())


def test_what_was_transcribed_anew_by_force_is_no_saving(buying_app):
    for force in (False, True):
        with RU.open("rb") as file:
            buying_app.intake.accept(
                EVERYONE, file, "a.opus", TranscriptionOptions(language="ru", engine="groq", force=force)
            )
        drive.perform_all(buying_app)

    assert len(buying_app.ledger.payments()) >= 2
    assert buying_app.proof.saved().by_not_paying_twice == 0


def test_a_transcript_of_this_machine_saves_nothing(app):
    for owner in ("abcd1234", "efgh5678"):
        with RU.open("rb") as file:
            app.intake.accept(Principal(owner), file, "a.opus", TranscriptionOptions(language="ru"))
    drive.perform_all(app)

    assert app.proof.saved().by_not_paying_twice == 0
