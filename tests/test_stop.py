"""A signal that asks a process to end ends it, at whatever moment it comes."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from core.settings import ROOT
from jobs.stop import StopRequest

STORM = """
import signal
from jobs.stop import StopRequest

stop = StopRequest()
signal.signal(signal.SIGALRM, lambda *_: stop.set())
for _ in range(20_000):
    stop.close()
    stop = StopRequest()
    signal.setitimer(signal.ITIMER_REAL, 2e-5)
    while not stop.wait(1e-6):
        pass
print("ended")
"""
"""A signal in each of the first steps of waiting, over and over. With an Event this hangs within a second."""


def test_a_signal_in_the_middle_of_waiting_is_heard():
    done = subprocess.run(
        [sys.executable, "-c", STORM], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )

    assert done.stdout == "ended\n"


@pytest.mark.parametrize("timeout_s", [None, 60])
def test_whoever_waits_wakes_when_it_is_asked_for(timeout_s):
    stop = StopRequest()
    assert not stop.wait(0)
    wakeups: list[bool] = []
    waiting = [threading.Thread(target=lambda: wakeups.append(stop.wait(timeout_s))) for _ in range(3)]
    for thread in waiting:
        thread.start()

    stop.set()
    stop.set()
    for thread in waiting:
        thread.join(30)

    assert wakeups == [True] * 3
    assert stop.wait(0)
    stop.close()
