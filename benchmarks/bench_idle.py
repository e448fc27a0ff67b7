"""What the tool takes while nobody asks for anything: processor time and memory of every process.

    python -m benchmarks.bench_idle [--seconds 60] [--home FOLDER]

Processor time is what the kernel has counted for a process over these seconds, in percent of one core, and
does not depend on what else the machine does. Memory is the share of each process (PSS). Without `--home`
the installation is empty; one with recordings keeps the embedder in memory for the first question.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil

from tests.tool import Tool

REST_S = 20.0
"""After so long at rest nothing is warming up any more."""


def name(process: psutil.Process) -> str:
    """What a process is, by its command."""
    command = process.cmdline()
    if "jobs.worker" in command:
        return f"worker {command[-1]}"
    parts = {"jobs.runner": "runner", "app.py": "web", "unixsocket": "broker"}
    return next((called for part, called in parts.items() if part in " ".join(command)), command[-1][-30:])


def used_s(process: psutil.Process) -> float:
    """Processor time so far, of all cores; children that ended counted."""
    return sum(process.cpu_times()[:4])


def main() -> None:
    """Start it, leave it alone, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--home", type=Path, help="an installation that is there; nothing is changed in it")
    arguments = parser.parse_args()
    seconds = arguments.seconds
    with tempfile.TemporaryDirectory() as folder, Tool(arguments.home or Path(folder) / "home") as tool:
        time.sleep(REST_S)
        before = {process: used_s(process) for process in tool.family()}
        time.sleep(seconds)
        total, memory = 0.0, 0
        for process in tool.family():
            share = 100 * (used_s(process) - before.get(process, 0.0)) / seconds
            mib = process.memory_full_info().pss >> 20
            total, memory = total + share, memory + mib
            print(f"{name(process):20} {share:5.2f} % {mib:5} MiB {process.num_threads():4} threads")
        print(f"{'all':20} {total:5.2f} % {memory:5} MiB")


if __name__ == "__main__":
    main()
