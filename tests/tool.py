"""The whole tool as a person starts it: a process tree in a folder of its own, on a free port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
READY_S = 180.0  # a start takes seconds; on a machine that four files of tests share, a minute was not enough
T = TypeVar("T")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ask: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Ask until there is an answer; fail with what was waited for."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")


class Tool:
    """`python -m jobs.runner` on its own home; `with Tool(folder) as tool`."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment
        self.output = home.parent / f"{home.name}.log"
        self.key = ""

    def __enter__(self) -> Tool:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. The first start also learns the admin key."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "REDIS_URL"},
            "STENOGRAM_HOME": str(self.home),
            "PORT": str(self.port),
            **self.environment,
        }
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs.runner"], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        before = self.output.stat().st_size
        until(lambda: b"is ready" in self.output.read_bytes()[before:] or self._gone(), READY_S, "the start")
        if match := re.search(r"gam_\S+", self.output.read_text()):
            self.key = match[0]

    def _gone(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended at once:\n{self.output.read_text()}")
        return False

    def stop(self) -> float:
        """Ctrl-C; the seconds until all of it was gone."""
        family = self.family()
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        psutil.wait_procs(family, timeout=40)
        assert not [process for process in family if process.is_running()], "something stayed alive"
        return time.monotonic() - began

    def family(self) -> list[psutil.Process]:
        """The runner and all its descendants."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def child(self, part: str) -> psutil.Process:
        """The process whose command line holds this."""
        for process in self.family():
            try:
                if part in " ".join(process.cmdline()):
                    return process
            except psutil.Error:
                continue
        raise AssertionError(f"no process like {part}")

    def kill(self, part: str) -> None:
        """kill -9, without a word."""
        self.child(part).kill()

    def api(self) -> httpx.Client:
        """A client with the admin key."""
        return httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=30)

    def upload(self, path: Path, **fields: str) -> dict:
        """POST a file; the answer to its 202."""
        with path.open("rb") as file, self.api() as client:
            answer = client.post("/api/v1/transcribe", files={"file": (path.name, file)}, data=fields)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def task(self, task_id: str) -> dict:
        """The task as the API shows it; {} while nobody answers."""
        try:
            with self.api() as client:
                answer = client.get(f"/api/v1/tasks/{task_id}")
        except httpx.TransportError:
            return {}
        return answer.json() if answer.is_success else {}

    def ended(self, task_id: str, timeout_s: float) -> dict:
        """The task, once it has ended."""

        def probe() -> dict | None:
            task = self.task(task_id)
            return task if task.get("status") in {"completed", "failed", "cancelled"} else None

        return until(probe, timeout_s, f"task {task_id} to end: {self.task(task_id)}")


class Pages(Tool):
    """The pages and the API alone, on a home that a test has filled: ready in seconds, without workers."""

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {"STENOGRAM_HOME": str(self.home), "PORT": str(self.port), **self.environment}
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )
        until(lambda: self._answers() or self._gone(), READY_S, "the pages")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live").is_success
        except httpx.TransportError:
            return False
