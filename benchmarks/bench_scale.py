"""What the machinery of work costs, and whether more worker sets do more: 1, 2 and 4 of them.

    python -m benchmarks.bench_scale [--sets 1 2 4] [--recordings 60] [--wait-ms 250] [--engine NAME]

A set is a runner with a worker each for cpu, gpu and io, on a home of its own; PostgreSQL and Redis run
beside. Stages only wait, so that what is measured is claiming, waking, reporting and leases: processor
time a job does not depend on what else the machine does, jobs a second do. With `--engine` recordings are
really decoded, heard, indexed and embedded.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pgserver
import psutil
from sqlalchemy import func, select

from core.application import Application
from core.database.states import JobKind, JobState
from core.database.tables import Job, Recording, Task
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.queue import workers
from core.queue.jobs import Claim, JobQueue
from core.settings import ROOT, Settings, load
from jobs import installation, worker
from jobs.broker import BrokerNotifier, make_broker
from jobs.runner import Runner
from tests import remotely
from tests.fleet import Broker
from tests.tool import until
from tools.chaos import recordings

REST_S = 5.0
"""After so long at rest nothing is warming up any more."""
QUEUES = ("cpu", "gpu", "io")
NEXT = {
    JobKind.PREPARE: (JobKind.TRANSCRIBE, "gpu"),
    JobKind.TRANSCRIBE: (JobKind.INDEX, "index"),
    JobKind.INDEX: (JobKind.EMBED, "io"),
}
WAIT = "BENCH_WAIT_S"
"""In the environment of workers: how long their stages wait; unset: they work."""


@dataclass(frozen=True)
class WaitingStage:
    """Takes as long as it is told, and hands on."""

    job_queue: JobQueue
    wait_s: float

    def run(self, claim: Claim) -> None:
        """Wait."""
        time.sleep(self.wait_s)
        self.job_queue.complete(claim, *([NEXT[claim.kind]] if claim.kind in NEXT else []))


def work(queue: str) -> None:
    """A worker, as `python -m jobs.worker` is one."""
    if wait_s := os.environ.get(WAIT):
        app = installation.application()
        app.pipeline.stages = {kind: WaitingStage(app.job_queue, float(wait_s)) for kind in JobKind}
    worker.main([queue])


def serve() -> None:
    """A runner of such workers."""
    runner = Runner(load(), dict.fromkeys(QUEUES, 1), web=False)
    for child in runner.workers:
        child.command = [sys.executable, "-m", "benchmarks.bench_scale", "--work", child.command[-1]]
    signal.signal(signal.SIGTERM, lambda *_: runner.stopping.set())
    signal.signal(signal.SIGCHLD, lambda *_: runner.stopping.wake())
    runner.run()


@contextmanager
def sets(folder: Path, number: int, settings: dict[str, str]) -> Iterator[list[psutil.Process]]:
    """So many worker sets; their runners."""
    started = []
    try:
        for n in range(number):
            environment = {**os.environ, **settings, "STENOGRAM_HOME": str(folder / f"set-{n}")}
            command = [sys.executable, "-m", "benchmarks.bench_scale", "--serve"]
            started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
        yield [psutil.Process(each.pid) for each in started]
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait(60)


def bring_rows(app: Application, number: int) -> int:
    """Recordings without any sound, each with a task and its first job; workers are woken. How many jobs."""
    now = app.job_queue.now()
    made = [
        Recording(owner="pages", sha256=f"{n}", filename="", title="", language="ru", size_bytes=1)
        for n in range(number)
    ]
    with app.database.write() as session:
        session.add_all(made)
        session.flush()
        tasks = [
            Task(recording_id=row.id, transcript_id="", owner="pages", engine="", language="ru")
            for row in made
        ]
        session.add_all(tasks)
        session.flush()
        jobs = [
            Job(
                task_id=task.id,
                kind=JobKind.PREPARE,
                queue="cpu",
                run_at=now,
                notified_at=now,
                created_at=now,
            )
            for task in tasks
        ]
        session.add_all(jobs)
    for job in jobs:
        app.job_queue.notify(job)
    return number * (1 + len(NEXT))


def bring_sound(app: Application, number: int, engine: str) -> int:
    """Speech for a real engine."""
    for n, sound in enumerate(recordings(number)):
        options = TranscriptionOptions(language="ru", engine=engine)
        app.intake.accept(EVERYONE, io.BytesIO(sound), f"{n}.wav", options)
    return number * (1 + len(NEXT))


def used_s(processes: list[psutil.Process]) -> float:
    """Processor time of these and all below them, children that ended included."""
    family = {each for process in processes for each in [process, *process.children(recursive=True)]}
    return sum(sum(each.cpu_times()[:4]) for each in family)


def ended(app: Application, jobs: int) -> bool:
    """Whether so many jobs are done."""
    with app.database.read() as session:
        return (session.scalar(select(func.count()).where(Job.state == JobState.DONE)) or 0) >= jobs


@contextmanager
def servers(folder: Path, engine: str) -> Iterator[tuple[dict[str, str], list[psutil.Process]]]:
    """PostgreSQL, Redis and, for a real engine, an object store: what reaches them, and their processes."""
    postgres = pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    broker = Broker(folder / "broker")
    broker.start()
    try:
        with remotely.bucket() as bucket:
            settings = {
                "DATABASE_URL": postgres.get_uri().replace("postgresql://", "postgresql+psycopg://", 1),
                "REDIS_URL": broker.url,
            }
            if engine:
                stored = {**bucket, "lancedb_uri": "s3://sounds/index"}
                settings |= {name.upper(): value for name, value in stored.items()}
            yield settings, [psutil.Process(postgres.get_pid() or 0), psutil.Process(broker.process.pid)]
    finally:
        broker.stop()
        postgres.cleanup()


def measured(number: int, count: int, engine: str, wait_ms: float) -> tuple[float, float, float]:
    """Jobs a second, and milliseconds of processor time a job: of sets, of servers."""
    with tempfile.TemporaryDirectory() as name, servers(Path(name), engine) as (settings, beside):
        shared = settings if engine else settings | {WAIT: f"{wait_ms / 1000}"}
        known = Settings(stenogram_home=Path(name) / "pages", **{k.lower(): v for k, v in settings.items()})
        app = Application(known, notifier=BrokerNotifier(lambda: make_broker(known, patient=False)).job)
        with sets(Path(name), number, shared) as runners:
            until(lambda: len(workers.alive(app.database)) == number * len(QUEUES), 180, "the workers")
            time.sleep(REST_S)
            before, began = (used_s(runners), used_s(beside)), time.monotonic()
            jobs = bring_sound(app, count, engine) if engine else bring_rows(app, count)
            until(lambda: ended(app, jobs), 3600, "all jobs")
            took_s, after = time.monotonic() - began, (used_s(runners), used_s(beside))
        app.database.close()
    own_ms, others_ms = (1000 * (end - start) / jobs for start, end in zip(before, after, strict=True))
    return jobs / took_s, own_ms, others_ms


def main() -> None:
    """A row for each number of sets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--sets", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--recordings", type=int, default=60, help="of each set")
    parser.add_argument("--wait-ms", type=float, default=250.0)
    parser.add_argument("--engine", default="", help="a real one, by name")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve or asked.work:
        serve() if asked.serve else work(asked.work)
        return
    print("| sets | jobs/s | to one, a set | ms of sets a job | ms of servers a job |\n|---|---|---|---|---|")
    one = 0.0
    for number in asked.sets:
        rate, own_ms, others_ms = measured(number, number * asked.recordings, asked.engine, asked.wait_ms)
        one = one or rate / number
        print(
            f"| {number} | {rate:.1f} | {rate / number / one:.2f} | {own_ms:.1f} | {others_ms:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
