"""Lists that answer from indexes say what reading every recording says, to everybody, in both databases."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from core.database.recycle_bin import WITH_BIN
from core.database.states import Access, EmbeddingStatus, ShareKind, TaskStatus
from core.database.tables import Recording, Share, Task, Transcript
from core.database.tables.recordings import INDEXED_LETTERS
from core.library import listing, views
from core.library.recordings import Recordings
from core.library.views import Totals
from core.principal import EVERYONE, PAGES, Principal
from core.queue.jobs import JobQueue

PEOPLE = {
    "admin": EVERYONE,
    "person": Principal("person-anna", groups=("sales",)),
    "another": Principal("person-boris"),
    "program": Principal("0a1b2c3d"),
    "by a link": Principal("link-1", only="r007"),
}
NAMES = [
    "Созвон № 7",
    "ЁЛКА и ёж",
    "елка",
    "100 % сразу",
    "a_b",
    "a/b\\c",
    "кавычки ' и \" и «»",
    "👩‍👩‍👧 семья 🙂",
    "Straße",
    "я",
    "",
    "Ж" * INDEXED_LETTERS,
    "ж" * (INDEXED_LETTERS - 1) + " край",
    "Д" * 600 + " хвост 🙂",
]
TAGS = ["работа", "Работа", 'ра"бота', "a, b", "100%", "a_b", "🙂", "[x", "т" * 300]
LETTERS = "аёЁЖ abAB%_/\\'\"🙂ß7."


@pytest.fixture
def many(database):
    """Recordings of several owners, some shared, some in the bin; what they are, in plain Python."""
    chance = random.Random(7)
    with database.write() as session:
        number = itertools.count()
        for n in range(90):
            name = NAMES[n] if n < len(NAMES) else "".join(chance.choices(LETTERS, k=chance.randint(1, 30)))
            engine = chance.choice([None, "whisper", "gigaam"])
            row = Recording(
                id=f"r{n:03}",
                owner=chance.choice([PAGES, "person-anna", "person-boris", "0a1b2c3d"]),
                sha256=f"{n:064x}",
                filename=f"файл {n}.MP3",
                title=name,
                tags=chance.sample(TAGS, chance.randint(0, 3)),
                language=chance.choice(["ru", "en"]),
                size_bytes=chance.randint(1, 9),
                duration_s=chance.choice([None, 1.5, 60.0, 3600.25]),
                created_at=float(chance.randint(1, 40)),
                recorded_at=chance.choice([None, 5.0, 50.0]),
                transcript_id=engine and f"t{n}",
                engine=engine,
                embedding_status=chance.choice([EmbeddingStatus.OFF, EmbeddingStatus.DONE]),
                deleted_at=1.0 if n % 17 == 16 else None,
                everybody=chance.choice(list(Access)),
            )
            session.add(row)
            session.flush()
            for _ in range(chance.randint(0, 3)):
                session.add(
                    Task(
                        id=f"t{next(number):03}",
                        recording_id=row.id,
                        transcript_id="",
                        owner=row.owner,
                        engine="",
                        language="",
                        status=chance.choice([TaskStatus.COMPLETED, TaskStatus.FAILED]),
                        created_at=float(chance.randint(1, 60)),
                    )
                )
            if n % 5 == 0:
                who = chance.choice(
                    [
                        (ShareKind.PERSON, "person-anna"),
                        (ShareKind.PERSON, "person-boris"),
                        (ShareKind.GROUP, "sales"),
                    ]
                )
                session.add(Share(recording_id=row.id, kind=who[0], who=who[1], access=Access.READ))
    return database


def seen(database, principal):
    """What this principal may see, by the rule in words."""
    with database.read() as session:
        rows = session.scalars(select(Recording)).all()
        shares = session.scalars(select(Share)).all()
    named = {
        share.recording_id
        for share in shares
        if (share.kind == ShareKind.PERSON and share.who == principal.owner)
        or (share.kind == ShareKind.GROUP and share.who in principal.groups)
    }
    if principal.admin:
        return rows
    if principal.only:
        return [row for row in rows if row.id == principal.only]
    if not principal.is_person:
        return [row for row in rows if row.owner == principal.owner]
    return [
        row for row in rows if row.owner == principal.owner or row.everybody != Access.NONE or row.id in named
    ]


KEYS = {
    "newest": lambda row: (-row.created_at, tuple(-ord(letter) for letter in row.id)),
    "oldest": lambda row: (row.created_at, row.id),
    "recorded": lambda row: (-row.dated_at, row.id),
    "title": lambda row: (f"{row.title}\n{row.filename}".casefold().encode(), row.id),
    "longest": lambda row: (-(row.duration_s or -1.0), row.id),
    "shortest": lambda row: (row.duration_s or float("inf"), row.id),
    "largest": lambda row: (-row.size_bytes, row.id),
}


@pytest.mark.parametrize("few", [0, 300], ids=["many", "few"])
def test_names_are_found_by_any_part_of_them(many, monkeypatch, few):
    monkeypatch.setattr(listing, "FEW", few)
    monkeypatch.setattr(listing, "TAG_SETS", few)
    everything = {name: seen(many, principal) for name, principal in PEOPLE.items()}
    parts = st.sampled_from(NAMES).flatmap(
        lambda name: st.tuples(st.integers(0, len(name)), st.integers(1, 9)).map(
            lambda at: name[at[0] : at[0] + at[1]]
        )
    )
    words = st.lists(parts | st.text(LETTERS, max_size=4), max_size=3).map(" ".join)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(words, st.sampled_from(["", *TAGS]), st.sampled_from(list(PEOPLE)), st.sampled_from(list(KEYS)))
    @example("ХВОСТ", "", "admin", "title")
    @example("ж", "", "admin", "title")
    @example("%", "", "admin", "newest")
    @example("_", "", "person", "newest")
    @example("ё", "", "another", "oldest")
    @example("🙂", "т" * 300, "admin", "recorded")
    def check(words, tag, who, sort):
        wanted = words.casefold().split()
        expected = sorted(
            (
                row
                for row in everything[who]
                if all(word in f"{row.title}\n{row.filename}".casefold() for word in wanted)
                and (not tag or tag in row.tags)
            ),
            key=KEYS[sort],
        )
        for offset in (0, 4, max(0, len(expected) - 3)):
            total, cards = views.cards(
                many, PEOPLE[who], words=words, tag=tag, sort=sort, limit=5, offset=offset
            )
            assert total == len(expected)
            assert [card.recording.id for card in cards] == [row.id for row in expected[offset : offset + 5]]

    check()


@pytest.mark.parametrize("who", PEOPLE)
def test_figures_are_of_what_somebody_sees(many, who):
    rows = seen(many, PEOPLE[who])
    assert rows
    seconds = {
        "all": rows,
        "words": [row for row in rows if row.transcript_id],
        "meaning": [row for row in rows if row.embedding_status == EmbeddingStatus.DONE],
    }
    seconds = {name: sum(row.duration_s or 0.0 for row in some) for name, some in seconds.items()}

    assert views.totals(many, PEOPLE[who]) == Totals(
        len(rows), seconds["all"], seconds["words"], seconds["meaning"]
    )
    assert views.tags(many, PEOPLE[who]) == dict(
        sorted(Counter(tag for row in rows for tag in row.tags).items())
    )
    for asked, name in ((views.languages, "language"), (views.engines, "engine")):
        counts = Counter(getattr(row, name) for row in rows if row.transcript_id)
        most_first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        assert list(asked(many, PEOPLE[who]).items()) == most_first


@pytest.mark.parametrize("who", PEOPLE)
def test_tasks_are_those_of_what_somebody_sees(many, who):
    ids = {row.id for row in seen(many, PEOPLE[who])}
    with many.read() as session:
        every = [task for task in session.scalars(select(Task)) if task.recording_id in ids]
    every.sort(key=lambda task: (task.created_at, task.id), reverse=True)
    assert every or PEOPLE[who].only
    service = Recordings(many, JobQueue(many), share_results=True)

    for status in ("", "failed"):
        rows = [task.id for task in every if status in ("", task.status)]
        for offset in (0, 5, max(0, len(rows) - 3)):
            total, page = service.tasks(PEOPLE[who], status=status, limit=5, offset=offset)
            assert (total, [task.id for task in page]) == (len(rows), rows[offset : offset + 5])


def task_counts(database):
    """What stands with each recording, and what is true."""
    with database.read() as session:
        kept = session.execute(select(Recording.id, Recording.task_count).execution_options(**WITH_BIN))
        true = Counter(session.scalars(select(Task.recording_id)))
        return {id_: count for id_, count in kept if count}, dict(true)


def test_tasks_are_counted_whatever_happens_to_them(many):
    kept, true = task_counts(many)
    assert kept == true

    with many.write() as session:
        session.execute(delete(Task).where(Task.status == TaskStatus.FAILED))
        session.delete(session.get_one(Recording, "r001"))
    with suppress(ZeroDivisionError), many.write() as session:
        session.execute(delete(Task))
        raise ZeroDivisionError

    kept, true = task_counts(many)
    assert kept == true != {}


def test_tasks_that_many_add_at_once_are_all_counted(many):
    def add(n):
        with many.write() as session:
            session.add(
                Task(
                    id=f"at once {n}", recording_id="r003", transcript_id="", owner="", engine="", language=""
                )
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))

    kept, true = task_counts(many)
    assert kept == true
    assert true["r003"] >= 24


def test_the_engine_follows_the_text_whoever_changes_that(many):
    for id_, engine in (("made by toy", "toy"), ("gone", ""), (None, None)):
        with many.write() as session:
            if engine:
                made = {"engine": engine, "engine_version": "1", "language": "ru"}
                session.add(Transcript(id=id_, key=id_, sha256="", **made))
                session.flush()
            session.get_one(Recording, "r003").transcript_id = id_
        with many.read() as session:
            assert session.get_one(Recording, "r003").engine == engine


def test_what_is_renamed_is_found_by_its_new_name_and_tags_alone(many):
    for title, tags in [("Ц" * 700, ["щ" * 400]), ("Короткое", ["мало"])]:
        with many.write() as session:
            row = session.get_one(Recording, "r003")
            row.title, row.tags = title, tags
        assert views.cards(many, EVERYONE, words=title, tag=tags[0])[0] == 1
    assert views.cards(many, EVERYONE, words="ццц")[0] == views.cards(many, EVERYONE, tag="щ" * 400)[0] == 0
