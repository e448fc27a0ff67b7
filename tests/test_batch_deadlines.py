"""Batches that come late: finished by themselves where a deadline was given, shown to a person where not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from core.application import Application
from core.database.tables import Recording
from core.library.recordings import TranscriptionOptions
from core.orders.batch_store import LIVE
from core.principal import EVERYONE
from tests import batching, drive, lives
from tests.conftest import DATA
from tests.installation import bring
from tests.serve import serve
from tests.test_pages import visit
from tools.gemini_emulator import GeminiEmulator

HOUR_S = 3600.0


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(processing_s=60) as emulator:
        yield emulator


@pytest.fixture
def app(tmp_path: Path, emulator: GeminiEmulator) -> Application:
    return batching.installation(tmp_path / "home", emulator.url)


def due_in(app: Application, recording_id: str, seconds: float) -> None:
    with app.database.write() as session:
        session.get_one(Recording, recording_id).vectors_by = time.time() + seconds


def lanes(emulator: GeminiEmulator) -> list[bool]:
    """Of each text that was billed, whether by batch."""
    return [text.batch is not None for text in emulator.ledger().billed]


def test_a_program_gives_a_deadline_and_a_late_batch_is_finished_by_itself(app, emulator):
    emulator.fault("stuck")
    options = {"language": "ru", "lane": "batch", "deadline_h": "2"}
    with serve(app) as served, served.client() as client, (DATA / "ru_meeting.opus").open("rb") as file:
        response = client.post("/api/v1/transcribe", files={"file": ("a.opus", file)}, data=options)
        assert response.status_code == 202, response.text
        drive.perform_all(app)
        address = f"/api/v1/tasks/{response.json()['task_id']}"

        batching.run(app, emulator, done=lambda: batching.states(app) == ["submitted"])
        batching.run(app, emulator, done=lambda: True, ahead_s=2 * HOUR_S - 60)
        assert (client.get(address).json()["meaning"], lanes(emulator)) == ("waiting", [])
        batching.run(app, emulator, ahead_s=2 * HOUR_S + 60)

        assert client.get(address).json()["meaning"] == "done"
    assert batching.states(app) == ["cancelled"]
    assert not any(lanes(emulator))
    assert emulator.ledger().paid_twice == {}


@pytest.mark.parametrize("wrong", ["0", "-1", "49", "soon", "nan"])
def test_a_deadline_that_makes_no_sense_is_refused(app, wrong):
    with serve(app) as served, served.client() as client:
        options = {"lane": "batch", "deadline_h": wrong}
        response = client.post("/api/v1/transcribe", files={"file": ("a.wav", b"x")}, data=options)

    assert response.status_code == 400, response.text


@pytest.fixture
def page(tmp_path, monkeypatch, emulator):
    monkeypatch.setenv("STENOGRAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GEMINI_API_KEY", "a-long-secret")
    monkeypatch.setenv("GEMINI_BASE_URL", emulator.url)
    from jobs import installation
    from jobs.installation import application

    installation.serve(None)
    yield application()
    installation.serve(None)


def test_the_upload_page_asks_for_a_deadline_only_by_batch(page):
    at = visit("upload")
    assert "deadline" not in {box.key for box in at.selectbox}

    at.radio(key="lane").set_value("batch").run()
    at.selectbox(key="deadline").select(3.0).run()
    bring(at, page, "разговор.opus", (DATA / "call_stereo.opus").read_bytes())
    at.run()
    at.button(key="transcribe").click().run()

    (recording,) = page.recordings.find(EVERYONE)[1]
    assert recording.vectors_by == pytest.approx(time.time() + 3 * HOUR_S, abs=300)


def test_a_deadline_given_later_leaves_a_batch_that_is_under_way_as_it_is(app, emulator, page):
    emulator.fault("stuck")
    first = batching.recording(app, batching.sentences(2))
    batching.run(app, emulator, done=lambda: batching.states(app) == ["submitted"])
    due_in(app, first, -60)

    app.batches.tick()

    assert [(batch.state, batch.requested_action) for batch in batching.batches(app)] == [("submitted", "")]
    at = visit("upload")
    at.radio(key="lane").set_value("batch").run()
    assert "Batches that are under way already are left" in at.selectbox(key="deadline").help


def test_only_what_is_due_leaves_a_late_batch_for_the_full_price(app, emulator):
    emulator.fault("stuck")
    urgent = batching.recording(app, batching.sentences(2), title="urgent")
    batching.recording(app, batching.sentences(3, start=2), title="patient")
    due_in(app, urgent, 600)

    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert sorted(lanes(emulator)) == [False] * 2 + [True] * 3
    assert emulator.ledger().paid_twice == {}


def test_what_was_never_sent_is_made_when_it_is_due(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url, batch_min_size=100, batch_max_wait_s=9 * HOUR_S)
    due_in(app, batching.recording(app, batching.sentences(3)), 600)

    batching.run(app, emulator)

    assert set(batching.meanings(app)) == {"done"}
    assert batching.states(app) == []
    assert lanes(emulator) == [False] * 3


def test_a_text_of_two_recordings_is_due_with_the_earlier(app, emulator):
    emulator.fault("stuck")
    first = batching.recording(app, batching.sentences(2), title="first")
    second = batching.recording(app, batching.sentences(2), title="second")
    due_in(app, second, 9 * HOUR_S)
    due_in(app, first, 600)

    app.batches.tick()

    assert batching.batches(app)[0].deadline_at == pytest.approx(time.time() + 600, abs=60)


def test_a_recording_that_is_here_goes_by_batch_with_a_deadline(app):
    with (DATA / "ru_meeting.opus").open("rb") as file:
        recording_id = app.intake.accept(EVERYONE, file, "a.opus", TranscriptionOptions()).recording_id
    with serve(app) as served, served.client(app.keys.make(EVERYONE, "admin", admin=True)) as client:
        options = {"use_batch_api": True, "deadline_h": 5}
        response = client.post(f"/api/v1/recordings/{recording_id}/transcribe", params=options)

    assert response.status_code == 202, response.text
    mode = app.recordings.get(EVERYONE, recording_id).vectors_by
    assert mode == pytest.approx(time.time() + 5 * HOUR_S, abs=300)


def test_an_old_deadline_does_not_make_a_later_wish_dear(app, emulator):
    """The same file again, by batch and without haste."""
    with serve(app) as served, served.client() as client:
        for options in ({"deadline_h": "1"}, {}):
            with (DATA / "ru_meeting.opus").open("rb") as file:
                data = {"language": "ru", "lane": "batch", **options}
                client.post("/api/v1/transcribe", files={"file": ("a.opus", file)}, data=data)
            (recording,) = app.recordings.find(EVERYONE)[1]
            mode = recording.vectors_by
            due_in(app, recording.id, -60)

    assert mode is None


HELD_UP = {
    "planned": lambda provider: provider.fault("error", times=None, call="upload_*"),
    "uploaded": lambda provider: provider.fault("busy", times=None, call="create", retry_after_s=17),
    "submitting": lambda provider: (
        provider.fault("drop", call="create"),
        provider.fault("error", times=None, call="batch_list", skip=1),
    ),
    "submitted": lambda provider: provider.fault("error", times=None, call="batch_get"),
    "ended": lambda provider: provider.fault("drop", times=None, call="download"),
}
"""What keeps a batch in each of its states."""


def alarms(app: Application) -> list[str]:
    alarms = [batch.alarm for batch in batching.batches(app)]
    return [alarm["message"].format(**alarm["facts"]) for alarm in alarms if alarm]


@pytest.mark.parametrize("state", HELD_UP)
def test_whatever_holds_a_batch_up_for_fifty_hours_a_person_is_told(app, emulator, state):
    HELD_UP[state](emulator)
    batching.recording(app, batching.sentences(3))
    for hour in (0, 1, 49):
        batching.set_clock(app, hour * HOUR_S)
        emulator.advance(HOUR_S / 2)
        app.batches.tick()
    assert (batching.states(app), alarms(app)) == ([state], [])

    batching.set_clock(app, 50 * HOUR_S + 60)
    app.batches.tick()

    assert (batching.states(app), alarms(app)) == ([state], ["This batch is older than 50 hours."])
    assert app.batches.view.list()[0].alarm


def test_a_refused_key_does_not_keep_the_alarm_from_a_person(app, emulator):
    batching.recording(app, batching.sentences(3))
    app.batches.tick()
    emulator.fault("revoked_key", times=None)
    for hour in (1, 50.02):
        batching.set_clock(app, hour * HOUR_S)
        app.batches.tick()

    assert alarms(app) == ["This batch is older than 50 hours."]


@pytest.mark.parametrize(
    ("point", "states"), [("before", ["submitted"]), ("after", ["failed", "planned", "planned"])]
)
def test_a_failed_batch_and_its_halves_are_one_step(tmp_path, emulator, point, states):
    """Killed just before or after it: never a batch that failed without halves, nor halves twice."""
    home = tmp_path / "home"
    app = batching.installation(home, emulator.url)
    batching.recording(app, batching.sentences(5))
    emulator.fault("fail")

    assert lives.spend(home, emulator.url, f"replan.{point}_commit") == lives.KILLED
    all_batches = batching.batches(app)
    assert [batch.state for batch in all_batches] == states
    assert sum(batch.texts for batch in all_batches if batch.state in LIVE) == 5
    assert {text.batch_id for text in batching.texts(app)} == {b.id for b in all_batches if b.state in LIVE}

    assert lives.spend(home, emulator.url) == 0
    assert [batch.texts for batch in batching.batches(app)] == [5, 3, 2]
    assert len(lanes(emulator)) == 5
    assert emulator.ledger().paid_twice == {}
    assert app.ledger.month().reserved == 0


def test_a_half_that_the_cap_forbids_waits_and_the_other_goes_out(tmp_path, emulator):
    """What failed stays booked, so there is room for one half more, not for both."""
    app = batching.installation(tmp_path, emulator.url)
    batching.recording(app, batching.sentences(4))
    emulator.fault("fail")
    app.batches.tick()
    cap = Decimal(batching.batches(app)[0].usd) * Decimal("1.7")
    app.database.close()
    app = batching.installation(tmp_path, emulator.url, monthly_cap_usd=str(cap))

    batching.run(app, emulator, done=lambda: "failed" in batching.states(app))

    assert [batch.texts for batch in batching.batches(app)] == [4, 2]
    assert sorted(text.state for text in batching.texts(app)) == ["sent"] * 2 + ["waiting"] * 2
