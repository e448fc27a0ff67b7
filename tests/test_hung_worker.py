"""A worker that hangs is not alive because its process exists: it is no longer counted, and replaced."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from sqlalchemy import select

from core.database.states import JobKind
from core.database.tables import Job
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.queue import workers
from jobs import supervisor
from jobs.broker import BrokerNotifier
from jobs.runner import Child
from jobs.supervisor import Supervisor, worker_name
from tests.tool import free_port, until

LOOP = """
import os, time
from jobs.pulse import Pulse
pulse = Pulse()
while os.getppid() == {parent}:
    pulse.beat()
    time.sleep(0.02)
"""


@pytest.fixture
def child(tmp_path):
    """A process whose main loop gives signs of life as a worker's does."""
    command = [sys.executable, "-c", LOOP.format(parent=os.getpid())]
    child = Child("io-0", command, tmp_path / "io-0.log", has_pulse=True)
    child.start()
    yield child
    if child.process:
        child.process.kill()
        child.process.wait()


@pytest.fixture
def care(app, monkeypatch):
    monkeypatch.setattr(supervisor, "RENEW_S", 0.0)
    monkeypatch.setattr(Supervisor, "_tick", lambda _: None)
    return Supervisor(app, BrokerNotifier(lambda: None))


def first_beat(child):
    return until(lambda: child.last_beat_at, 60, "the first sign of life")


def test_a_worker_counts_as_alive_from_its_own_first_sign_of_life(app, care, child):
    silent = Child("cpu-0", child.command, child.log_file, has_pulse=True)
    silent.process, silent.started_at = child.process, child.started_at
    care.poll([silent])
    assert workers.alive(app.database) == []

    first_beat(child)
    care.poll([child])
    assert [worker.name for worker in workers.alive(app.database)] == [worker_name(child.pid)]


def test_a_stopped_worker_is_no_longer_alive_though_its_process_is(app, care, child, monkeypatch):
    first_beat(child)
    os.kill(child.pid, signal.SIGSTOP)
    monkeypatch.setattr(workers, "ALIVE_S", 0.3)

    def gone() -> bool:
        care.poll([child])
        return not workers.alive(app.database)

    until(gone, 30, "the stopped worker not to count any more")
    assert child.process.poll() is None


def test_a_stopped_worker_is_killed_its_job_given_back_and_a_fresh_one_started(
    app, care, child, monkeypatch, clip
):
    first_beat(child)
    with clip.open("rb") as file:
        app.intake.accept(EVERYONE, file, clip.name, TranscriptionOptions(language="en"))
    with app.database.read() as session:
        job_id = session.scalars(select(Job.id)).one()
    claim = app.job_queue.claim(job_id, worker_name(child.pid))
    assert claim.kind == JobKind.PREPARE
    hung = child.pid
    os.kill(hung, signal.SIGSTOP)
    monkeypatch.setattr(supervisor, "HUNG_S", 0.5)

    def died() -> int | None:
        care.poll([child])
        return child.watch()

    assert until(died, 30, "the hung worker to be killed") == hung
    care.reap(hung)
    assert app.job_queue.claim(job_id, "another/1") is not None
    until(lambda: child.watch() is None and child.process, 30, "a fresh one")
    assert child.pid != hung
    first_beat(child)


def test_a_worker_that_never_gives_a_sign_of_life_is_replaced_too(care, tmp_path, monkeypatch):
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    child = Child("io-0", command, tmp_path / "io-0.log", has_pulse=True)
    child.start()
    monkeypatch.setattr(supervisor, "START_S", 0.2)

    def died() -> int | None:
        care.poll([child])
        return child.watch()

    assert until(died, 30, "the silent worker to be killed")


def test_the_main_loop_of_a_real_worker_gives_signs_of_life(care, tmp_path, monkeypatch):
    command = [sys.executable, "-m", "jobs.worker", "cpu"]
    real = Child("cpu-0", command, tmp_path / "cpu-0.log", {"STENOGRAM_HOME": str(tmp_path)}, has_pulse=True)
    real.start()
    try:
        first = first_beat(real)
        until(lambda: (real.last_beat_at or 0.0) > first, 30, "the next sign of life")
        os.kill(real.pid, signal.SIGSTOP)
        monkeypatch.setattr(supervisor, "HUNG_S", 0.5)
        until(lambda: care.poll([real]) or real.watch(), 30, "the stopped worker to be killed")
    finally:
        if real.process:
            real.process.kill()
            real.process.wait()


def test_a_web_server_that_hangs_is_replaced_too(care, tmp_path, monkeypatch):
    """Its loop beats, not its process: a page that never ends, or a stopped process, answers nobody."""
    environment = {"STENOGRAM_HOME": str(tmp_path / "home"), "PORT": str(free_port())}
    web = Child("web", [sys.executable, "app.py"], tmp_path / "web.log", environment, has_pulse=True)
    web.start()
    try:
        first = first_beat(web)
        until(lambda: (web.last_beat_at or 0.0) > first, 30, "the next sign of life")
        os.kill(web.pid, signal.SIGSTOP)
        monkeypatch.setattr(supervisor, "HUNG_S", 3.0)
        until(lambda: care.poll([], [web]) or web.watch(), 30, "the stopped web server to be killed")
    finally:
        if web.process:
            web.process.kill()
            web.process.wait()


def test_one_that_lives_is_left_alone(care, child, monkeypatch):
    monkeypatch.setattr(supervisor, "HUNG_S", 5.0)
    first_beat(child)
    until_s = time.monotonic() + 1
    while time.monotonic() < until_s:
        care.poll([child])
    assert child.process.poll() is None
