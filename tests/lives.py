"""One life of a process that ticks batches, in a real process that can really be killed."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

from tests import batching
from tests.processes import PROCESSES
from tools.gemini_emulator import Control

STEP_S = 61.0
PATIENT_ROUNDS = 50
HOUR_S = 3600.0
"""Steps after the patient rounds, so that batches that hang expire."""
ROUNDS = 120
KILLED = -9


def offset_s(control: Control) -> float:
    """How far the emulator's clock is ahead of ours."""
    return float(control._ask("POST", "clock", {"advance_s": 0})["now"]) - time.time()


def live(home: Path, url: str, failpoint: str, settings: dict) -> None:
    """Tick until nothing is left to do, minutes, later hours, between ticks; 1 if that never is."""
    os.environ |= {"STENOGRAM_TEST": "1", "STENOGRAM_FAILPOINT": failpoint, "OMP_NUM_THREADS": "1"}
    control = Control(url)
    app = batching.installation(home, url, offset_s(control), **settings)
    for n in range(ROUNDS):
        batching.set_clock(app, offset_s(control))
        app.batches.tick()
        batching.embed_now(app)
        if batching.idle(app):
            os._exit(0)
        control.advance(STEP_S if n < PATIENT_ROUNDS else HOUR_S)
    os._exit(1)


def begin(home: Path, url: str, failpoint: str = "", **settings: object) -> multiprocessing.Process:
    """Start a life and let it run."""
    process = PROCESSES.Process(target=live, args=(home, url, failpoint, settings))
    process.start()
    return process


def spend(home: Path, url: str, failpoint: str = "", timeout_s: float = 60, **settings: object) -> int:
    """Live once, dying at the failpoint if it is reached; the exit code."""
    process = begin(home, url, failpoint, **settings)
    process.join(timeout_s)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError("a life that does not end")
    return process.exitcode or 0
