"""The bin: what is deleted is nowhere at once, comes back whole, and goes for good after its days."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Select, select, text

from core.application import Application
from core.database.recycle_bin import WITH_BIN
from core.database.tables import PassageRow, Recording
from core.errors import NotFound
from core.library import moments, views
from core.library.recordings import TranscriptionOptions
from core.library.recycle_bin import DAY_S, Kept
from core.planning.plans import _known
from core.principal import EVERYONE, Principal
from core.settings import Settings
from tests import drive
from tests.clock import Clock
from tests.conftest import DATA
from tests.test_states_and_actions import assert_deleted, found_whole, sent

SPEECH, SAID = DATA / "ru_meeting.opus", "бюджет"


def match_count(app: Application) -> int:
    return moments.find(app.searcher, app.recordings, EVERYONE, SAID, mode="words", limit=5).total


SEEN: dict[str, Callable[[Application], object]] = {
    "lists": lambda app: views.cards(app.database, EVERYONE)[0],
    "lists of programs": lambda app: app.recordings.find(EVERYONE)[0],
    "tasks": lambda app: app.recordings.tasks(EVERYONE)[0],
    "figures": lambda app: views.totals(app.database, EVERYONE).recordings,
    "tags": lambda app: views.tags(app.database, EVERYONE),
    "news": lambda app: views.news(app.database, EVERYONE, 0.0).ready,
    "search": match_count,
    "index": lambda app: app.index.recordings(),
}


def places_that_show(app: Application) -> set[str]:
    return {place for place, probe in SEEN.items() if probe(app)}


def test_only_what_is_in_the_bin_is_looked_up_by_its_index(app):
    """SQLite would begin every join with all recordings outside it, and read all their passages."""
    ids = [f"{n:032x}" for n in range(50)]
    passages = select(PassageRow.text).join(Recording, Recording.id == PassageRow.recording_id)
    passages = passages.where(PassageRow.id.in_(ids), Recording.deleted_at.is_(None))

    def plan(statement: Select[tuple[str]]) -> str:
        with app.database.read() as session:
            sql = statement.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
            steps = session.execute(text(f"EXPLAIN QUERY PLAN {sql}")).all()
        return "; ".join(step[-1] for step in steps)

    assert plan(passages).startswith("SEARCH passages USING INDEX sqlite_autoindex_passages_1")
    assert "recordings_in_bin" in plan(select(Recording.id).where(Recording.deleted_at > 0))


def test_what_is_deleted_is_nowhere_at_once_and_whole_again_when_it_is_taken_back(app):
    id_ = sent(app, SPEECH, TranscriptionOptions(language="ru", tags=("важно",))).recording_id
    drive.perform_all(app)
    row = app.recordings.get(EVERYONE, id_)
    assert places_that_show(app) == SEEN.keys()

    assert app.recycle_bin.put(EVERYONE, id_)

    assert places_that_show(app) == set()
    with pytest.raises(NotFound):
        app.recordings.get(EVERYONE, id_)
    assert [each.id for each in app.recycle_bin.recordings(EVERYONE)] == [id_]
    assert app.recycle_bin.kept(EVERYONE) == Kept(1, row.size_bytes)
    assert _known(app.database) == {(row.size_bytes, row.sha256)}
    assert app.retention.sweep_store() == 0
    assert app.blobs.path(row.sha256).exists()
    with pytest.raises(NotFound):
        app.recycle_bin.restore(Principal("somebody"), id_)

    app.recycle_bin.restore(EVERYONE, id_)
    drive.perform_all(app)

    assert places_that_show(app) == SEEN.keys()
    found_whole(app, app.recordings.get(EVERYONE, id_))
    assert app.recycle_bin.kept(EVERYONE) == Kept(0, 0)


@pytest.mark.parametrize("how", ["sent again", "its days are over", "by hand", "all at once", "no days"])
def test_ways_out_of_the_bin(app, how):
    id_ = sent(app, SPEECH).recording_id
    drive.perform_all(app)
    app.recycle_bin.days = 0 if how == "no days" else 30
    assert app.recycle_bin.put(EVERYONE, id_) is (how != "no days")
    assert app.recycle_bin.sweep() == 0

    if how == "sent again":
        assert sent(app, SPEECH).recording_id == id_
        drive.perform_all(app)
        found_whole(app, app.recordings.get(EVERYONE, id_))
        return
    if how == "its days are over":
        app.clock.ahead_s += 30 * DAY_S
        assert app.recycle_bin.sweep() == 1
    elif how == "by hand":
        app.recycle_bin.delete(EVERYONE, id_)
    elif how == "all at once":
        assert app.recycle_bin.empty(EVERYONE) == 1

    assert_deleted(app)
    with app.database.read() as session:
        assert session.scalars(select(Recording.id).execution_options(**WITH_BIN)).all() == []


def test_retention_deletes_for_good_what_is_in_the_bin(app):
    who = Principal("program")
    with (app.settings.home / "empty.srt").open("w+b") as file:
        file.write("1\n00:00:01,000 --> 00:00:02,000\nслово\n".encode())
        file.seek(0)
        id_ = app.intake.accept(who, file, "a.srt", TranscriptionOptions()).recording_id
    drive.perform_all(app)
    app.recycle_bin.put(who, id_)
    app.clock.ahead_s += 25 * 3600

    assert app.retention.sweep() == 1

    assert app.recycle_bin.kept(EVERYONE) == Kept(0, 0)


ACTS: list[Callable[[Application, str], object]] = [
    lambda app, id_: app.recycle_bin.put(EVERYONE, id_),
    lambda app, id_: app.recycle_bin.restore(EVERYONE, id_),
    lambda app, _: drive.perform_all(app),
]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_whoever_deletes_takes_back_and_works_at_once_the_last_word_holds(database_url, tmp_path):
    app = Application(Settings(stenogram_home=tmp_path / "home", database_url=database_url), clock=Clock())
    id_ = sent(app, SPEECH).recording_id

    with ThreadPoolExecutor(6) as pool:
        for racing in [pool.submit(act, app, id_) for act in [*ACTS, *ACTS[:2], ACTS[0]]]:
            racing.result()
    app.recycle_bin.restore(EVERYONE, id_)
    drive.perform_all(app)
    found_whole(app, app.recordings.get(EVERYONE, id_))

    with ThreadPoolExecutor(4) as pool:
        deleting = [pool.submit(app.recycle_bin.put_all, EVERYONE, [id_]) for _ in range(2)]
        deleting += [pool.submit(app.recycle_bin.empty, EVERYONE) for _ in range(2)]
        for each in deleting:
            each.result()
    app.recycle_bin.empty(EVERYONE)

    assert_deleted(app)
    app.database.close()
