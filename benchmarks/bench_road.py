"""The whole tool as a person meets it: starts, first answers, memory at rest, stop.

python -m benchmarks.bench_road

A start is set beside `import app` alone, which is the least any start could take.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import DATA
from tests.tool import ROOT, Tool

REST_S = 10.0
"""After so long at rest nothing is warming up any more."""


def seconds(what: Callable[[], object]) -> float:
    """How long it took."""
    began = time.monotonic()
    what()
    return time.monotonic() - began


def import_alone() -> None:
    """Read the libraries of the web server, and do nothing else."""
    subprocess.run([sys.executable, "-c", "import app"], cwd=ROOT, check=True, capture_output=True)


def memory(tool: Tool) -> None:
    """Each process by its share of what it keeps (PSS), MiB."""
    shares = {
        " ".join(process.cmdline()[-3:])[-48:]: process.memory_full_info().pss >> 20
        for process in tool.family()
    }
    for name, mib in shares.items():
        print(f"  {mib:5} MiB  {name}")
    print(f"  {sum(shares.values()):5} MiB  in all, at rest")


def transcribed(tool: Tool, name: str, language: str) -> None:
    """Send a sample; print when it was accepted and when its text was there."""
    began = time.monotonic()
    task = tool.upload(DATA / name, language=language)
    accepted_s = time.monotonic() - began
    ended = tool.ended(task["task_id"], 300)
    print(f"{name}: accepted in {accepted_s:.2f} s, {ended['status']} in {time.monotonic() - began:.1f} s")


def main() -> None:
    """Print all of it."""
    import_alone()  # reads the files into the page cache
    alone_s = seconds(import_alone)
    print(f"import app alone: {alone_s:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        tool = Tool(Path(folder) / "home", API_REQUESTS_PER_MIN="100000")
        for name in ("first start", "second start"):
            started_s = seconds(tool.start)
            print(f"{name}: {started_s:.1f} s, {started_s / alone_s:.1f} × the import")
            time.sleep(REST_S)
            if name == "first start":
                memory(tool)
                transcribed(tool, "ru_meeting.opus", "ru")
                transcribed(tool, "call_stereo.opus", "ru")
                time.sleep(REST_S)
            print(f"stop, idle: {tool.stop():.1f} s")


if __name__ == "__main__":
    main()
