# ruff: noqa: E501 - rows are easier to read as they are
"""How fast the monitor is with 100,000 jobs behind it, beside an empty history.

    python -m benchmarks.bench_monitor [--jobs 100000] [--browser] [--pages 20]

Server time of a refresh: what the open page's request costs, and what each view's queries cost. With
`--browser`: the first paint in a real Chromium. With `--pages N`: the CPU of the web server while N
pages are open and work goes on.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from sqlalchemy import insert

from core.application import Application
from core.database.tables import Job, Recording, Row, Run, Tally, Task, Worker, new_id
from core.monitor import failures, job_list, live, metrics, monitor
from core.monitor.job_list import Filter
from core.principal import EVERYONE
from core.queue import history
from core.queue.history import DAY, HOUR, MINUTE, step
from core.settings import ROOT, Settings

KINDS = (("prepare", "cpu", 3.0), ("transcribe", "gpu", 40.0), ("index", "io", 0.5), ("embed", "io", 1.0))
REASONS = (
    {
        "message": "{provider} refused the key. Check {setting}.",
        "facts": {"provider": "Gemini", "setting": "GEMINI_API_KEY"},
    },
    {
        "message": "This file is not a recording we can read: {reason}.",
        "facts": {"reason": "no stream of sound"},
    },
    {"message": "{provider} is busy ({detail}).", "facts": {"provider": "Gemini", "detail": "HTTP 503"}},
)
DAYS = 30
FAIL, CANCEL = 0.02, 0.01
REPEATS = 7


def generate(app: Application, jobs: int, *, waiting: int = 200) -> None:
    """So many jobs of the last month, most of them done; and some that wait."""
    dice, now = random.Random(7), time.time()
    rows: dict[type[Row], list[dict[str, object]]] = {Recording: [], Task: [], Job: [], Run: []}
    sums: dict[tuple[object, ...], list[float]] = {}
    for n in range(jobs // len(KINDS)):
        at = now - DAYS * DAY * dice.random() ** 1.5
        _task(dice, n, at, rows, sums)
    for n in range(waiting):
        _waits(dice, n, now - n, rows)
    rows[Tally] = [
        dict(zip(("span_s", "measure", "at", "kind", "queue", "outcome", "step"), key, strict=True))
        | {"n": int(n), "total_s": total_s, "audio_s": audio_s}
        for key, (n, total_s, audio_s) in sums.items()
        if now - int(str(key[2])) < history.KEPT_S.get(int(str(key[0])), float("inf"))
    ]
    with app.database.write() as session:
        for table, values in rows.items():
            for start in range(0, len(values), 5000):
                session.execute(insert(table), values[start : start + 5000])


def _recording(dice: random.Random, n: int, at: float) -> dict[str, object]:
    name = f"Совещание {n}.opus"
    return {
        "id": new_id(), "owner": "pages", "sha256": new_id(), "filename": name, "title": name, "language": "ru",
        "size_bytes": 1, "duration_s": dice.lognormvariate(7, 1), "created_at": at, "tags": [], "channels": 1,
        "format": "ogg", "meaning": "done",
    }  # fmt: skip


def _task(dice: random.Random, n: int, at: float, rows: dict, sums: dict) -> None:
    recording = _recording(dice, n, at)
    rows[Recording].append(recording)
    task = {
        "id": new_id(), "recording_id": recording["id"], "transcript_id": "t", "owner": "pages", "status": "completed",
        "stage": "completed", "progress": 100, "engine": dice.choice(("gigaam", "whisper-base", "groq")),
        "language": "ru", "lane": "now", "created_at": at, "started_at": at, "completed_at": at, "filename": "",
        "error": None,
    }  # fmt: skip
    rows[Task].append(task)
    for kind, queue, usual_s in KINDS:
        waited_s, ran_s = dice.expovariate(1 / 20), usual_s * dice.lognormvariate(0, 0.8)
        outcome = dice.choices(("failed", "cancelled", "done"), (FAIL, CANCEL, 1))[0]
        ended = at + waited_s + ran_s
        error = dice.choice(REASONS) if outcome == "failed" else None
        job = {
            "id": new_id(), "task_id": task["id"], "kind": kind, "queue": queue, "state": outcome, "epoch": 1,
            "crash_count": 0, "tries": 0, "worker": "host/1", "lease_until": 0.0, "progressed_at": ended, "run_at": at,
            "notified_at": at, "priority": 0, "waited_s": waited_s, "created_at": at, "started_at": at + waited_s,
            "finished_at": ended, "error": error, "traceback": None,
        }  # fmt: skip
        rows[Job].append(job)
        rows[Run].append(
            {
                "id": new_id(),
                "job_id": job["id"],
                "task_id": task["id"],
                "recording_id": recording["id"],
                "kind": kind,
                "queue": queue,
                "outcome": outcome,
                "worker": "host/1",
                "waited_s": waited_s,
                "started_at": at + waited_s,
                "ended_at": ended,
                "error": error,
            }
        )
        measures = [("ended", 0, ran_s, float(str(recording["duration_s"])))]
        if outcome == "done":
            measures += [("run", step(ran_s), ran_s, 0.0), ("wait", step(waited_s), waited_s, 0.0)]
        for span_s in (MINUTE, HOUR, DAY):
            for measure, number, seconds, heard_s in measures:
                key = (span_s, measure, int(ended) // span_s * span_s, kind, queue, outcome, number)
                total = sums.setdefault(key, [0, 0.0, 0.0])
                total[0], total[1], total[2] = total[0] + 1, total[1] + seconds, total[2] + heard_s
        if outcome != "done":
            task["status"] = outcome
            return
        at = ended


def _waits(dice: random.Random, n: int, at: float, rows: dict) -> None:
    recording = _recording(dice, 10**6 + n, at)
    task = {
        "id": new_id(), "recording_id": recording["id"], "transcript_id": "t", "owner": "pages", "status": "queued",
        "stage": "queued", "progress": 0, "engine": "gigaam", "language": "ru", "lane": "now", "created_at": at,
        "started_at": None, "completed_at": None, "filename": "", "error": None,
    }  # fmt: skip
    job = {
        "id": new_id(), "task_id": task["id"], "kind": "prepare", "queue": "cpu", "state": "ready", "epoch": 0,
        "crash_count": 0, "tries": 0, "worker": "", "lease_until": 0.0, "progressed_at": 0.0, "run_at": at, "notified_at": 0.0,
        "priority": 0, "waited_s": 0.0, "created_at": at, "started_at": None, "finished_at": None, "error": None,
        "traceback": None,
    }  # fmt: skip
    for table, row in ((Recording, recording), (Task, task), (Job, job)):
        rows[table].append(row)


def refreshes(app: Application) -> dict[str, Cost]:
    """What each view asks for costs so much."""
    database = app.database
    queries: dict[str, Callable[[], object]] = {
        "now": lambda: live.draw(app, EVERYONE, "ru"),
        "history, hour": lambda: history.past(database, "hour", time.time()),
        "history, day": lambda: history.past(database, "day", time.time()),
        "history, week": lambda: history.past(database, "week", time.time()),
        "history, month": lambda: history.past(database, "month", time.time()),
        "jobs": lambda: job_list.find(database, EVERYONE, Filter()),
        "jobs, failed": lambda: job_list.find(database, EVERYONE, Filter(state="failed")),
        "jobs, by engine": lambda: job_list.find(database, EVERYONE, Filter(engine="groq")),
        "jobs, by title": lambda: job_list.find(database, EVERYONE, Filter(recording="щание 77")),
        "jobs, by error": lambda: job_list.find(database, EVERYONE, Filter(error="refused")),
        "failures": lambda: failures.groups(database, EVERYONE),
        "workers": lambda: (monitor.now(database, EVERYONE), app.periodic_tasks.all()),
        "metrics": lambda: metrics.text(app),
    }
    return {name: cost(ask) for name, ask in queries.items()}


@dataclass(frozen=True)
class Cost:
    """Median milliseconds: on the clock, and of the processor, which other work on the machine does not change."""

    wall_ms: float
    cpu_ms: float


def cost(ask: Callable[[], object]) -> Cost:
    ask()
    walls, cpus = [], []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        ask()
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    return Cost(statistics.median(walls), statistics.median(cpus))


class Web:
    """The web server alone, on a home that is there."""

    def __init__(self, home: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "STENOGRAM_HOME": str(home), "PORT": str(port)}
        command = [sys.executable, str(ROOT / "app.py")]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def __enter__(self) -> Web:
        while True:
            try:
                if httpx.get(f"{self.url}/_stcore/health", timeout=2).is_success:
                    return self
            except httpx.HTTPError:
                time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def cpu_s(self) -> float:
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)


def in_browser(folder: Path, port: int, pages: int) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is asked for

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        for n, name in enumerate(("empty", "full")):
            with Web(folder / name, port + n) as web:
                paints(browser, web, name)
                if pages:
                    print(
                        f"{pages} open pages, {name}: {100 * open_pages(browser, web, pages):.1f} % of a core"
                    )
        browser.close()


def paints(browser, web: Web, name: str) -> None:
    """Print how long a person waits, and what of that the server works."""
    for view, sign in (("now", ".board h2"), ("history", "[data-testid=stSelectbox]")):
        url = f"{web.url}/monitor?view={view}"
        with browser.new_context(locale="ru-RU") as visitor:
            paint(visitor, url, sign)
            before = web.cpu_s()
            painted, shown = zip(*(paint(visitor, url, sign) for _ in range(REPEATS)), strict=True)
            cpu_ms = 1000 * (web.cpu_s() - before) / REPEATS
        print(
            f"{view}, {name}: first paint {statistics.median(painted):.2f} s, facts shown after"
            f" {statistics.median(shown):.2f} s; the server worked {cpu_ms:.0f} ms"
        )


def paint(visitor, url: str, sign: str) -> tuple[float, float]:
    """Seconds until the browser painted anything, by its own clock, and until the facts were there."""
    page = visitor.new_page()
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(sign, timeout=60_000)
    shown = time.perf_counter() - began
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
    page.close()
    return float(painted), shown


def open_pages(browser, web: Web, number: int, seconds: float = 30.0) -> float:
    """The share of a core that the web server takes while so many pages look on."""
    contexts = [browser.new_context() for _ in range(number)]
    for context in contexts:
        page = context.new_page()
        page.goto(f"{web.url}/monitor")
        page.wait_for_selector(".board h2", timeout=60_000)
    time.sleep(5)
    before = web.cpu_s()
    time.sleep(seconds)
    return (web.cpu_s() - before) / seconds


def alive(app: Application) -> None:
    """A worker, as if one had been seen just now."""
    with app.database.write() as session:
        for queue in ("gpu", "cpu", "io"):
            session.merge(
                Worker(
                    name=f"host/{queue}", queue=queue, host="host", pid=1, started_at=0, seen_at=time.time()
                )
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--port", type=int, default=8877)
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--pages", type=int, default=0)
    args = parser.parse_args()
    folder = args.home or Path(tempfile.mkdtemp(prefix="bench-monitor-"))
    empty, full = (Application(Settings(stenogram_home=folder / name)) for name in ("empty", "full"))
    with full.database.read() as session:
        filled = session.query(Run).first() is not None
    if not filled:
        began = time.perf_counter()
        generate(full, args.jobs)
        print(f"{args.jobs} jobs generated in {time.perf_counter() - began:.0f} s")
    alive(full)
    alive(empty)
    few, many = refreshes(empty), refreshes(full)
    print(f"{'refresh: median ms':22}{'empty, cpu':>12}{'full, cpu':>12}{'ratio':>8}{'full, clock':>13}")
    for name, one in many.items():
        ratio = one.cpu_ms / few[name].cpu_ms
        print(f"{name:22}{few[name].cpu_ms:12.1f}{one.cpu_ms:12.1f}{ratio:8.1f}{one.wall_ms:13.1f}")
    if args.browser:
        in_browser(folder, args.port, args.pages)


if __name__ == "__main__":
    main()
