"""One key asks without a pause, far beyond its limit: what another key notices of it. Needs `wrk`.

python -m benchmarks.bench_flood [--seconds 10]
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import socket
import subprocess
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import psutil
import uvicorn

from api import build
from core.application import Application
from core.principal import EVERYONE
from core.settings import Settings

CONNECTIONS = 32
ASKS_A_KEY = 28
"""So many stay below the limit; then the next of the other keys asks."""
PAUSE_S = 0.02


def serve(home: str, connection: Connection) -> None:
    """An installation with the usual limits; tells its port and keys, the first one for the flood."""
    app = Application(Settings(stenogram_home=Path(home)))
    config = uvicorn.Config(build(lambda: app), log_level="error", lifespan="off")
    listening = socket.create_server(("127.0.0.1", 0))
    connection.send((listening.getsockname()[1], [app.keys.make(EVERYONE, f"{n}") for n in range(40)]))
    uvicorn.Server(config).run([listening])


def another(url: str, keys: list[str], seconds: float) -> tuple[list[float], Counter[int]]:
    """How long others wait for their tasks, sorted, in ms; and what they were answered."""
    waits, statuses, end = [], Counter[int](), time.monotonic() + seconds
    patient = itertools.chain.from_iterable(
        itertools.repeat(key, ASKS_A_KEY) for key in itertools.cycle(keys)
    )
    with httpx.Client(base_url=url, timeout=30) as client:
        while time.monotonic() < end:
            began = time.perf_counter()
            statuses[client.get("/api/v1/tasks", headers={"X-API-Key": next(patient)}).status_code] += 1
            waits.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_S)
    return sorted(waits), statuses


def flood(url: str, key: str, seconds: int) -> subprocess.Popen[str]:
    """wrk, started."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"X-API-Key: {key}"]
    return subprocess.Popen([*command, f"{url}/api/v1/tasks/nothing"], stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Flood, ask beside it, print both."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=10)
    seconds: int = options.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        parent_end, child_end = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=serve, args=(folder, child_end), daemon=True)
        server.start()
        port, (flooding, *others) = parent_end.recv()
        url = f"http://127.0.0.1:{port}"
        another(url, others[-1:], 0.5)
        process = psutil.Process(server.pid)
        rss, busy = process.memory_info().rss, sum(process.cpu_times()[:2])
        wrk = flood(url, flooding, seconds)
        waits, statuses = another(url, others, seconds - 0.5)
        output, _ = wrk.communicate()
        busy = sum(process.cpu_times()[:2]) - busy
        print("\n".join(line for line in output.splitlines() if "requests in" in line or "Non-2xx" in line))
        p50, p99 = waits[len(waits) // 2], waits[int(0.99 * (len(waits) - 1))]
        print(f"another key: {dict(statuses)}, p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {waits[-1]:.0f} ms")
        grown = (process.memory_info().rss - rss) / 1e6
        print(f"the server: {busy:.1f} s of processor time, {grown:+.1f} MB")
        server.kill()


if __name__ == "__main__":
    main()
