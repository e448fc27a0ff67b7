"""Two machines with workers under a plan of faults, and a checker that goes over what is left.

    python -m tools.chaos --seed 1 --minutes 10 --recordings 200      (make chaos SEED=1 MINUTES=10)

PostgreSQL, Redis, an S3 server and an embedder at a provider run beside them. Workers, whole machines and
servers are killed, paused, cut off and started anew as the seed says, and disks fill up; the same seed makes
the same plan. A machine's disk is a file system of its own (tmpfs) where we may mount one; elsewhere its
processes may not let files grow for as long as the disk is full.
Afterwards nothing may be lost, there twice, nobody's, or paid twice. What it found is printed; exit code 1
where something was wrong.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
import pgserver
import psutil
import sqlalchemy
from moto.server import ThreadedMotoServer
from sqlalchemy import func, select

from core.application import Application
from core.database.states import EmbeddingStatus, JobState, PaymentState, TaskStatus
from core.database.tables import Job, PassageRow, Payment, Recording, Segment, Task
from core.errors import StenogramError, Unavailable
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.queue import workers
from core.search.index import WORDS
from core.settings import Settings
from jobs import places
from jobs.broker import BrokerNotifier, make_broker
from tests.conftest import DATA
from tests.fleet import Broker, Machine, Proxy, running
from tests.tool import until
from tools.gemini_emulator.handle import GeminiEmulator
from tools.recognition import decode

LONGEST_S = 20.0
"""Of a pause or an outage: as long as a lease, so that some are outlived and some not."""
BETWEEN_S = (1.0, 6.0)
HEAL_S = 800.0
"""So long everything may take to end once all is well; less than `jobs.supervisor.SILENT_S`."""
MACHINES = {"one": ("cpu", "gpu", "io"), "two": ("cpu", "gpu", "io", "index")}
"""What each serves; `io` serves the index, too."""
MANY = 50
"""So many recordings no machine can have missed."""
SAMPLES = ("ru_meeting.opus", "ru_planning.opus")
RATE = 16_000
DATABASE = "chaos"
DISK_BYTES = 1 << 30
"""Of each machine: there must be 256 MiB free beside whatever is taken in."""
RUSSIAN = TranscriptionOptions(language="ru", engine="gigaam-v3_ctc")


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at a time after the beginning, and for how long."""

    at_s: float
    name: str
    machine: int
    lasts_s: float
    which: float
    """Between 0 and 1: which of several it is."""


class Disk:
    """What a machine writes to, which can be full."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "stenogram-chaos", str(folder)]
        self.is_own = os.geteuid() == 0 and not subprocess.run(mount, check=False).returncode

    @contextmanager
    def full(self, processes: Callable[[], list[psutil.Process]]) -> Iterator[None]:
        """Within the block nothing more fits on it, or none of these processes may let a file grow."""
        try:
            if self.is_own:
                self._shrink()
            else:
                _bound_files(processes(), 0)
            yield
        finally:
            if self.is_own:
                self._resize(DISK_BYTES)
            else:
                _bound_files(processes(), resource.RLIM_INFINITY)

    def close(self) -> None:
        """Unmount it."""
        if self.is_own:
            subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    def _shrink(self) -> None:
        """Leave no room beside what there is; somebody may write meanwhile, and then it is tried again."""
        while True:
            state = os.statvfs(self._folder)
            if self._resize((state.f_blocks - state.f_bfree) * state.f_frsize):
                return

    def _resize(self, size_bytes: int) -> bool:
        remount = ["mount", "-o", f"remount,size={size_bytes}", str(self._folder)]
        return not subprocess.run(remount, check=False, stderr=subprocess.DEVNULL).returncode


def _bound_files(processes: list[psutil.Process], size_bytes: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            _, hard = process.rlimit(resource.RLIMIT_FSIZE)
            process.rlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))


class Network:
    """How one machine reaches the servers: each by a proxy that is its own."""

    def __init__(self, postgres: Path, broker: int, bucket: int) -> None:
        self._to_postgres, self._to_broker, self._to_bucket = (
            Proxy(postgres),
            Proxy(broker),
            Proxy(bucket),
        )
        self.settings = {
            "database_url": f"postgresql+psycopg://postgres@127.0.0.1:{self._to_postgres.port}/{DATABASE}",
            "redis_url": f"redis://127.0.0.1:{self._to_broker.port}/0",
            "s3_endpoint_url": f"http://127.0.0.1:{self._to_bucket.port}",
        }

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Within the block nothing arrives on either side, and nobody is told; then connections break."""
        proxies = (self._to_postgres, self._to_broker, self._to_bucket)
        for proxy in proxies:
            proxy.flows.clear()
        try:
            yield
        finally:
            for proxy in proxies:
                proxy.cut()
                proxy.flows.set()


class Cluster:
    """All servers and machines."""

    def __init__(self, folder: Path, postgres: pgserver.PostgresServer) -> None:
        self.folder = folder
        self.postgres = postgres
        self.postgres.psql(f"CREATE DATABASE {DATABASE}")
        self.broker = Broker(folder / "broker")
        self.bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.bucket.start()
        host, port = self.bucket.get_host_and_port()
        httpx.put(f"http://{host}:{port}/sounds").raise_for_status()
        self.to_bucket = Proxy(port)
        self.gemini = GeminiEmulator(folder / "gemini")
        self.gemini.start()
        self.shared = {
            "storage_url": "s3://sounds",
            "lancedb_uri": "s3://sounds/index",
            "s3_access_key": "me",
            "s3_secret_key": "secret",
            "gemini_api_key": "emulated",
            "gemini_base_url": self.gemini.url,
            "embedding_dim": "64",
        }
        self.networks = [self._network() for _ in MACHINES]
        self.disks = [Disk(folder / name) for name in MACHINES]
        self.machines = [
            Machine(folder / name, self.shared | network.settings, *MACHINES[name])
            for name, network in zip(MACHINES, self.networks, strict=True)
        ]

    def pages(self) -> Application:
        """What takes recordings in: a machine without workers."""
        shared = {**self.shared, **self._network().settings}
        settings = Settings(stenogram_home=self.folder / "pages", **shared)
        app = Application(settings, notifier=BrokerNotifier(lambda: make_broker(settings, patient=False)).job)
        app.object_store.put("test", b"")
        places.agree(app.database, settings, [], has_pages=True)
        return app

    def _network(self) -> Network:
        folder = self.postgres.get_postmaster_info().socket_dir
        return Network(Path(folder) / ".s.PGSQL.5432", self.broker.port, self.to_bucket.port)

    def close(self) -> None:
        """End the servers that are its own."""
        for disk in self.disks:
            disk.close()
        self.gemini.stop()
        self.bucket.stop()


def paused(processes: Callable[[], list[psutil.Process]], lasts_s: float) -> None:
    """They stand still for a while."""
    stopped = processes()
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if number == signal.SIGSTOP:
            time.sleep(lasts_s)


def kill_worker(world: Cluster, fault: Fault) -> None:
    """The power of one process."""
    if workers := world.machines[fault.machine].workers():
        workers[int(fault.which * len(workers))].kill()


def kill_machine(world: Cluster, fault: Fault) -> None:
    """The power of a machine, which comes back."""
    world.machines[fault.machine].kill()
    time.sleep(fault.lasts_s / 4)
    world.machines[fault.machine].start()


def pause_machine(world: Cluster, fault: Fault) -> None:
    """It hangs."""
    paused(world.machines[fault.machine].family, fault.lasts_s)


def pause_worker(world: Cluster, fault: Fault) -> None:
    """One process hangs, and its runner does not."""
    workers = world.machines[fault.machine].workers()
    paused(lambda: workers[: 1 + int(fault.which * len(workers))][-1:], fault.lasts_s)


def restart_broker(world: Cluster, fault: Fault) -> None:
    """Killed, and started with what it had written."""
    world.broker.process.kill()
    world.broker.process.wait()
    time.sleep(fault.lasts_s / 4)
    world.broker.start()


def empty_broker(world: Cluster, _fault: Fault) -> None:
    """It loses all that it was told."""
    world.broker.client.flushall()


def pause_broker(world: Cluster, fault: Fault) -> None:
    """It takes connections and answers nothing."""
    paused(lambda: [psutil.Process(world.broker.process.pid)], fault.lasts_s / 2)


def restart_postgres(world: Cluster, fault: Fault) -> None:
    """Stopped as at a loss of power, then recovered from its log."""
    os.kill(world.postgres.get_pid() or 0, signal.SIGQUIT)
    time.sleep(1 + fault.lasts_s / 4)
    world.postgres.ensure_postgres_running()


def cut_postgres(world: Cluster, _fault: Fault) -> None:
    """All of its connections break."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    world.postgres.psql(f"{others} AND datname = '{DATABASE}'")


def cut_bucket(world: Cluster, _fault: Fault) -> None:
    """All connections to the object store break."""
    world.to_bucket.cut()


def refuse_bucket(world: Cluster, fault: Fault) -> None:
    """Nobody reaches the object store."""
    world.to_bucket.refuses = True
    world.to_bucket.cut()
    time.sleep(fault.lasts_s)
    world.to_bucket.refuses = False


def cut_machine_off(world: Cluster, fault: Fault) -> None:
    """It reaches no server, and goes on by itself."""
    with world.networks[fault.machine].silent():
        time.sleep(fault.lasts_s)


def fill_disk(world: Cluster, fault: Fault) -> None:
    """Its disk is full."""
    with world.disks[fault.machine].full(world.machines[fault.machine].family):
        time.sleep(fault.lasts_s)


FAULTS: dict[str, tuple[int, float, Callable[[Cluster, Fault], None]]] = {
    "kill a worker": (5, 0.0, kill_worker),
    "kill a machine": (2, 0.25, kill_machine),
    "pause a machine": (2, 1.0, pause_machine),
    "pause a worker": (2, 1.0, pause_worker),
    "restart the broker": (1, 0.25, restart_broker),
    "empty the broker": (1, 0.0, empty_broker),
    "pause the broker": (1, 0.5, pause_broker),
    "restart PostgreSQL": (1, 0.25, restart_postgres),
    "cut PostgreSQL": (1, 0.0, cut_postgres),
    "cut the object store": (2, 0.0, cut_bucket),
    "refuse the object store": (1, 1.0, refuse_bucket),
    "cut a machine off": (2, 1.0, cut_machine_off),
    "fill a disk": (2, 1.0, fill_disk),
}
"""By name, how often each comes among all, which share of `lasts_s` it takes, and what it does."""


def plan(seed: int, minutes: float) -> Iterator[Fault]:
    """The faults of a run, in order."""
    dice, at_s = random.Random(seed), 3.0
    names, weights = list(FAULTS), [weight for weight, _, _ in FAULTS.values()]
    while (at_s := at_s + dice.uniform(*BETWEEN_S)) < 60 * minutes:
        (name,) = dice.choices(names, weights)
        fault = Fault(at_s, name, dice.randrange(2), dice.uniform(2, LONGEST_S), dice.random())
        yield fault
        at_s += FAULTS[name][1] * fault.lasts_s


def one_of_each(seed: int, lasts_s: float, pause_s: float) -> Iterator[Fault]:
    """A short plan in which everything goes wrong once, in an order that the seed makes."""
    dice, at_s = random.Random(seed), pause_s
    for n, name in enumerate(dice.sample(list(FAULTS), len(FAULTS))):
        yield Fault(at_s, name, n % 2, lasts_s, dice.random())
        at_s += pause_s + FAULTS[name][1] * lasts_s


def recordings(number: int) -> Iterator[bytes]:
    """So many different pieces of speech, as WAV files."""
    sounds = [decode((DATA / name).read_bytes()) for name in SAMPLES]
    for n in range(number):
        sound = sounds[n % len(sounds)]
        length = RATE * (5 + n % 4)
        start = (n * RATE * 7 // 10) % (len(sound) - length)
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            out.writeframes(sound[start : start + length].tobytes())
        yield file.getvalue()


def submit_until_accepted(app: Application, content: bytes, name: str) -> Task:
    """As a person would: again, until it is accepted. What was accepted once is not there twice."""
    while True:
        try:
            return app.intake.accept(EVERYONE, io.BytesIO(content), name, RUSSIAN)
        except (StenogramError, sqlalchemy.exc.SQLAlchemyError):
            time.sleep(0.5)


def run(world: Cluster, app: Application, faults: list[Fault], sounds: list[bytes], lasts_s: float) -> None:
    """Bring recordings while the plan is carried out; both come evenly over the time."""
    began = time.monotonic()
    step_s = lasts_s * 0.8 / max(1, len(sounds))
    waiting: list[tuple[float, object]] = [(fault.at_s, fault) for fault in faults]
    waiting += [(n * step_s, (n, content)) for n, content in enumerate(sounds)]
    for at_s, what in sorted(waiting, key=lambda one: one[0]):
        time.sleep(max(0.0, began + at_s - time.monotonic()))
        if isinstance(what, Fault):
            print(f"{time.monotonic() - began:6.1f} s  {what.name}, {what.machine}, {what.lasts_s:.1f} s")
            FAULTS[what.name][2](world, what)
        else:
            n, content = what  # type: ignore[misc]
            submit_until_accepted(app, content, f"{n}.wav")
        for machine in world.machines:
            machine.restart_if_ended()
        with suppress(Unavailable, sqlalchemy.exc.SQLAlchemyError):
            app.upload_sharing.run()  # as the supervisor of the pages' machine does


def settle(app: Application, machines: list[Machine]) -> float:
    """Wait until nothing is left to do; the seconds that took."""
    began = time.monotonic()
    while time.monotonic() < began + HEAL_S:
        time.sleep(1)
        app.upload_sharing.run()
        for machine in machines:
            machine.restart_if_ended()
        retry_set_aside(app)
        with app.database.read() as session:
            unfinished = select(func.count()).where(Job.state.in_((JobState.READY, JobState.RUNNING)))
            waits = select(func.count()).where(PassageRow.embedding_status == EmbeddingStatus.WAITING)
            if not session.scalar(unfinished) and not session.scalar(waits):
                break
    return time.monotonic() - began


def retry_set_aside(app: Application) -> None:
    """As a person would: a job whose workers were killed three times is set aside until somebody says so."""
    with app.database.read() as session:
        tasks = list(session.scalars(select(Job.task_id).where(Job.state == JobState.QUARANTINED)))
    for task_id in tasks:
        print(f"a job of task {task_id} was set aside, and is tried again")
        app.tasks.retry(EVERYONE, task_id)


def check(app: Application, world: Cluster, sounds: list[bytes]) -> Iterator[str]:
    """Everything that is wrong with what is left."""
    with app.database.read() as session:
        tasks = list(session.scalars(select(Task)))
        rows = {row.id: row for row in session.scalars(select(Recording))}
        segments = list(session.scalars(select(Segment)))
        passages = list(session.scalars(select(PassageRow)))
        jobs = Counter(session.scalars(select(Job.state)))
        payments = Counter(session.scalars(select(Payment.state)))
    if len(rows) != len(set(sounds)):
        yield f"{len(rows)} recordings of {len(set(sounds))}"
    for task in tasks:
        if task.status != TaskStatus.COMPLETED:
            yield f"task {task.id} is {task.status}: {task.error}"
    if left := {state: n for state, n in jobs.items() if state != JobState.DONE}:
        yield f"jobs that are not done: {left}"
    if twice := [key for key, n in Counter((s.transcript_id, s.n) for s in segments).items() if n > 1]:
        yield f"segments twice: {twice}"
    if unheard := [segment.id for segment in segments if segment.text is None]:
        yield f"segments that nobody heard: {unheard}"
    yield from _check_machines(world, len(tasks))
    yield from _check_bytes(app, rows)
    yield from _check_index(app, passages)
    yield from _check_money(world, passages, payments)


def _check_machines(world: Cluster, tasks: int) -> Iterator[str]:
    """Of much work each has done a part; it keeps nothing for itself."""
    for name in MACHINES:
        logs = [path.read_text() for path in (world.folder / name / "run").glob("*-0.log")]
        if tasks >= MANY and not any(" is over" in log for log in logs):
            yield f"machine {name} has done nothing"
        if (world.folder / name / "lancedb").exists():
            yield f"machine {name} has an index of its own"


def _check_bytes(app: Application, rows: dict[str, Recording]) -> Iterator[str]:
    there = {name.rpartition("/")[2] for name, _ in app.object_store.list("media/")}
    wanted = {row.sha256 for row in rows.values()}
    if there != wanted:
        yield f"in the object store {len(wanted - there)} are missing and {len(there - wanted)} nobody's"
    for sha256 in wanted & there:
        app.blobs.remove(sha256)
        try:
            app.blobs.path(sha256)
        except StenogramError as error:
            yield f"bytes of {sha256[:8]} do not come back: {error}"


def _check_index(app: Application, passages: list[PassageRow]) -> Iterator[str]:
    embedder = app.active_embedder.embedder()
    wanted, done = {row.id for row in passages}, EmbeddingStatus.DONE
    found = app.index._open(WORDS).search().select(["id"]).limit(10_000_000).to_arrow()["id"].to_pylist()
    if len(found) != len(set(found)) or set(found) != wanted:
        yield f"the index has {len(found)} passages, {len(set(found))} different ones, of {len(wanted)}"
    vectors = app.index.count(embedder)
    if vectors != len(wanted) or any(row.embedding_status != done for row in passages):
        yield f"{vectors} vectors of {len(wanted)}: {Counter(row.embedding_status for row in passages)}"


def _check_money(world: Cluster, passages: list[PassageRow], payments: Counter[str]) -> Iterator[str]:
    """A call whose answer was lost may have been billed and is made again: each stays booked as unknown."""
    twice = world.gemini.ledger().paid_twice
    texts = Counter(row.text for row in passages)
    lost = sum(payments[state] for state in (PaymentState.RESERVED, PaymentState.DISPUTED))
    if sum(n - 1 for n in twice.values()) > lost * max(1, len(passages)):
        yield f"paid twice: {len(twice)} texts, and only {lost} calls whose answer was lost"
    if twice and not lost and not any(n > 1 for n in texts.values()):
        yield f"paid twice: {list(twice)[:3]}"


def main() -> None:
    """Run one seed; print what went wrong, and leave with 1 if anything did."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--recordings", type=int, default=200)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="stenogram-chaos-") as folder:
        sys.exit(1 if _trial(Path(folder), asked) else 0)


def _end(*_: object) -> None:
    """Told to end: what was started ends, too, however often we are told."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def _trial(folder: Path, asked: argparse.Namespace) -> int:
    postgres = pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    world, faults = Cluster(folder, postgres), list(plan(asked.seed, asked.minutes))
    sounds = list(recordings(asked.recordings))
    disks = "file systems of their own" if world.disks[0].is_own else "a bound on files"
    print(f"disks: {disks}")
    try:
        settled_s, wrong = trial(world, faults, sounds, 60 * asked.minutes)
    finally:
        world.close()
        postgres.cleanup()
    print(f"seed {asked.seed}: {len(faults)} faults, {len(sounds)} recordings, settled in {settled_s:.0f} s")
    print("\n".join(wrong) or "nothing lost, nothing twice, nothing of nobody, nothing paid twice")
    return len(wrong)


def trial(
    world: Cluster, faults: list[Fault], sounds: list[bytes], lasts_s: float
) -> tuple[float, list[str]]:
    """Carry a plan out; how long all took to end after it, and what is wrong with what is left."""
    with running(world.broker, *world.machines):
        app = world.pages()
        until(
            lambda: len(workers.alive(app.database)) == sum(map(len, MACHINES.values())),
            120,
            "the workers of both",
        )
        run(world, app, faults, sounds, lasts_s)
        settled_s = settle(app, world.machines)
        wrong = list(check(app, world, sounds))
    if wrong:
        for machine in MACHINES:
            print((world.folder / machine / "out").read_text()[-3000:])
    return settled_s, wrong


if __name__ == "__main__":
    main()
