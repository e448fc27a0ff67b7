"""Milliseconds of each list of the library and of tasks, full beside empty, in SQLite and PostgreSQL.

    python -m benchmarks.bench_library [--recordings 100000] [--tasks 10] [--postgres] [--only NAME]

A list should take at most twice as long as of an empty library, and 20 ms. Times are the 95th percentile of
some runs; the mean processor time, of PostgreSQL's processes, too, stands beside: other work on the machine
changes that less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pgserver
import psutil
from sqlalchemy import case, func, insert, literal, select, text

from core.database.database import Database
from core.database.tables import Diarization, Recording, Task, Transcript, indexed, new_id
from core.library import views
from core.library.listing import ORDERS
from core.library.recordings import Recordings
from core.principal import EVERYONE, Principal
from core.queue.jobs import JobQueue

RUNS = 12
BATCH = 5_000
ALLOWED_MS = 20.0
SOMEBODY = Principal("somebody", admin=False)
"""A program that has a tenth of it."""
PERSON = Principal("person-anna", groups=("sales",))
"""Who sees what is everybody's: nine tenths."""


FOUND = {"speakers": "auto", "turns": [], "voices": [[n, 9.0, "A" * 1024] for n in range(2)]}
"""Two speakers whom nobody has named."""


def recording_rows(count: int) -> Iterator[list[dict[str, object]]]:
    """So many recordings, in batches."""
    now = time.time()
    for start in range(0, count, BATCH):
        yield [
            {
                "id": new_id(),
                "owner": "somebody" if n % 10 == 0 else "pages",
                "sha256": f"{n:064x}",
                "filename": f"call {n}.mp3",
                "title": f"Созвон № {n}",
                **indexed(f"Созвон № {n}", f"call {n}.mp3", [f"tag {n % 20}", "calls"]),
                "tags": [f"tag {n % 20}", "calls"],
                "language": "ru",
                "size_bytes": 1_000_000 + n,
                "duration_s": 60.0 + n % 3600,
                "created_at": now - n,
                "transcript_id": f"t{n}",
                "engine": "whisper",
            }
            for n in range(start, min(count, start + BATCH))
        ]


def fill(database: Database, count: int, tasks: int) -> None:
    """Recordings with a transcript, two tags and so many tasks each; one of fifty failed each time.

    One of fifty has a warning, one of twenty speakers without names.
    """
    with database.write() as session:
        for rows in recording_rows(count):
            session.execute(insert(Recording), rows)
            found = [{"recording_id": row["id"], **FOUND} for row in rows[::20]]
            session.execute(insert(Diarization), found)
            heard = {"engine": "whisper", "engine_version": "1", "language": "ru", "complete": True}
            texts = [{"id": row["transcript_id"], "key": row["id"], "sha256": row["sha256"]} for row in rows]
            for one in texts[::50]:
                one["warnings"] = [{"code": "noise"}]
            texts = [{"warnings": []} | one for one in texts]
            session.execute(insert(Transcript), [{**one, **heard} for one in texts])
    for n in range(tasks):  # made by the database itself
        failed = case((Recording.size_bytes % 50 == n, "failed"), else_="completed")
        made = {
            Task.id: func.substr(Recording.id, 1, 30) + literal(f"{n:02}"),
            Task.recording_id: Recording.id,
            Task.transcript_id: Recording.transcript_id,
            Task.owner: Recording.owner,
            Task.engine: literal("whisper"),
            Task.language: Recording.language,
            Task.status: failed,
            Task.created_at: Recording.created_at - n / 100,
            Task.is_newest: literal(n == 0),
            Task.completed_at: Recording.created_at,
        }
        with database.write() as session:
            session.execute(insert(Task).from_select([each.key for each in made], select(*made.values())))
    if not database.has_local_clock:  # PostgreSQL, which does so by itself, soon
        with database.write() as session:
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"}).execute(
                text("VACUUM ANALYZE")
            )


def lists(database: Database, count: int, tasks: int) -> dict[str, Callable[[], object]]:
    """Every list that people and programs ask for, by name."""
    recordings = Recordings(database, JobQueue(database), share_results=True)
    last, last_task = max(0, count - 20), max(0, count * tasks - 50)
    asked: dict[str, Callable[[], object]] = {
        "first page": lambda: views.cards(database, EVERYONE),
        "of somebody": lambda: views.cards(database, SOMEBODY),
        "page in the middle": lambda: views.cards(database, EVERYONE, offset=last // 2),
        "last page": lambda: views.cards(database, EVERYONE, offset=last),
        "failed": lambda: views.cards(database, EVERYONE, status="failed"),
        "completed": lambda: views.cards(database, EVERYONE, status="completed"),
        "queued": lambda: views.cards(database, EVERYONE, status="queued"),
        "with warnings": lambda: views.cards(database, EVERYONE, status="doubtful"),
        "speakers unnamed": lambda: views.cards(database, EVERYONE, status="unnamed"),
        "by tag": lambda: views.cards(database, EVERYONE, tag="tag 7"),
        "by words": lambda: views.cards(database, EVERYONE, words="созвон 77"),
        "by rare words": lambda: views.cards(database, EVERYONE, words="31415.mp3"),
        "by words of nobody": lambda: views.cards(database, EVERYONE, words="жираф"),
        "tags": lambda: views.tags(database, EVERYONE),
        "totals": lambda: views.totals(database, EVERYONE),
        "news": lambda: views.news(database, EVERYONE, time.time() - 600),
        "attention": lambda: views.attention(database, EVERYONE),
        "languages": lambda: views.languages(database, EVERYONE),
        "engines": lambda: views.engines(database, EVERYONE),
        "table of recordings": lambda: views.listed(database, EVERYONE, limit=100),
        "api: recordings, last page": lambda: recordings.find(EVERYONE, offset=last),
        "api: tasks": lambda: recordings.tasks(EVERYONE),
        "api: tasks of somebody": lambda: recordings.tasks(SOMEBODY),
        "api: tasks, last page": lambda: recordings.tasks(EVERYONE, offset=last_task),
        "api: tasks that failed": lambda: recordings.tasks(EVERYONE, status="failed"),
        "api: tasks that wait": lambda: recordings.tasks(EVERYONE, status="queued"),
    }
    for name, how in {
        "first page": {},
        "completed": {"status": "completed"},
        "by tag": {"tag": "tag 7"},
        "by words": {"words": "созвон 77"},
        "by rare words": {"words": "31415.mp3"},
    }.items():
        asked[f"of a person, {name}"] = lambda how=how: views.cards(database, PERSON, **how)  # type: ignore[misc]
    asked["of a person, tags"] = lambda: views.tags(database, PERSON)
    asked["of a person, totals"] = lambda: views.totals(database, PERSON)
    asked["of a person, api: tasks"] = lambda: recordings.tasks(PERSON)
    for sort in ORDERS:
        asked[f"sorted, {sort}"] = lambda sort=sort: views.cards(database, EVERYONE, sort=sort)  # type: ignore[misc]
    return asked


def processor_s(server: int | None) -> float:
    """Seconds of a core that this process and the server's processes, gone ones, too, have used."""
    used = time.process_time()
    if server is None:
        return used
    postmaster = psutil.Process(server)
    times = postmaster.cpu_times()
    used += times.children_user + times.children_system
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            used += float(sum(child.cpu_times()[:2]))
    return float(used)


def took_ms(ask: Callable[[], object], server: int | None) -> tuple[float, float]:
    """The 95th percentile of some runs by the clock, and the processor time of a run in the mean."""
    ask()
    walls, used = [], processor_s(server)
    for _ in range(RUNS):
        wall = time.perf_counter()
        ask()
        walls.append((time.perf_counter() - wall) * 1000)
    return sorted(walls)[int(0.95 * (RUNS - 1))], (processor_s(server) - used) * 1000 / RUNS


@contextmanager
def databases(folder: Path, *, postgres: bool) -> Iterator[tuple[Database, Database, int | None]]:
    """An empty one and one to fill; the process of their server, if they have one."""
    if not postgres:
        yield (
            Database(f"sqlite:///{folder / 'empty.sqlite'}"),
            Database(f"sqlite:///{folder / 'full.sqlite'}"),
            None,
        )
        return
    server = pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    for name in ("few", "many"):
        server.psql(f"CREATE DATABASE {name}")
    address = f"postgresql+psycopg://postgres@/{{}}?host={server.get_postmaster_info().socket_dir}"
    few, many = (Database(address.format(name)) for name in ("few", "many"))
    yield few, many, server.get_postmaster_info().pid
    few.close()
    many.close()
    server.cleanup()


def main() -> None:
    """Print a line a list."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--recordings", type=int, default=100_000)
    parser.add_argument("--tasks", type=int, default=10, help="of each recording")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--only", default="", help="a part of the names of lists")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder), postgres=asked.postgres) as both:
        began = time.monotonic()
        fill(both[1], asked.recordings, asked.tasks)
        print(f"filled in {time.monotonic() - began:.0f} s")
        report(*both, asked)


def report(empty: Database, full: Database, server: int | None, asked: argparse.Namespace) -> None:
    """Print a line a list."""
    few, many = (lists(one, asked.recordings, asked.tasks) for one in (empty, full))
    print("| list | empty, ms | full, ms | empty, processor | full, processor | |\n|---|---|---|---|---|---|")
    for name in (name for name in many if asked.only in name):
        (empty_ms, empty_cpu), (full_ms, full_cpu) = (took_ms(some[name], server) for some in (few, many))
        over = [
            word
            for word, least, most in (("clock", empty_ms, full_ms), ("processor", empty_cpu, full_cpu))
            if most > 2 * least + ALLOWED_MS
        ]
        mark = f"over by {' and '.join(over)}" if over else ""
        print(
            f"| {name} | {empty_ms:.1f} | {full_ms:.1f} | {empty_cpu:.1f} | {full_cpu:.1f} | {mark} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
