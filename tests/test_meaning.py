"""Words, vectors and records say the same, whatever is done at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core import tables
from core.batch import texts
from core.errors import Unavailable
from core.journey import Journey
from core.keys import EVERYONE
from tests import batching, drive
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
        job = texts.embed_job(session, recording_id)
        assert job is not None
        return job.id


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


@contextmanager
def stopped_at_the_index(here: Journey, step: Callable[[], object], reached: Callable[[], object]):
    """The step, in a thread, goes on until it wants to write into the index; meanwhile others act."""
    thread = threading.Thread(target=step, daemon=True)
    with tables.locked(Path(here.settings.index)):
        thread.start()
        until(reached)
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
    here.active.settle()

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
    here.active.settle()

    assert batching.meanings(here) == ["failed"] * 4
    assert here.active.change().done == 0
    assert found_by_meaning(here)


def test_where_nothing_was_transcribed_the_settings_are_followed_at_once(tmp_path, emulator):
    before = batching.installation(tmp_path, emulator.url)
    before.active.settle()
    assert before.embedder().dim == 64

    here = later(before, emulator)
    here.active.settle()

    assert here.embedder().dim == here.active.searched().dim == 128
    assert here.active.change() is None
