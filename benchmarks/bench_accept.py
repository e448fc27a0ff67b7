"""From the last byte of an upload to its 202, beside a bare fsync and rename of the same bytes.

python -m benchmarks.bench_accept [--rounds 40] [--seconds 16]

A server in a process of its own; all of a recording is sent but the last byte, then the clock starts.
"New" bytes are opened in a decoder child before they are accepted, "known" ones need none.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn

from api import build
from core.application import Application
from core.principal import EVERYONE
from core.settings import Settings

RATE = 16_000
PAUSE_S = 0.5
"""Between two uploads; the next decoder child starts meanwhile, as it would for people."""


def recording(seconds: int, seed: int) -> bytes:
    """A noisy WAV that nobody has sent before."""
    sound = random.Random(seed).randbytes(seconds * RATE * 2)
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", len(sound))
    return b"RIFF" + struct.pack("<I", len(sound) + 36) + b"WAVE" + head + sound


def serve(home: str, connection: Connection) -> None:
    """An installation that refuses nobody for asking often; tells its port and a key."""
    limits = {"api_uploads_per_min": 10_000, "api_requests_per_min": 10_000}
    app = Application(Settings(stenogram_home=Path(home), **limits))
    app.warm_up()
    listening = socket.create_server(("127.0.0.1", 0))
    connection.send((listening.getsockname()[1], app.keys.make(EVERYONE, "bench")))
    uvicorn.Server(uvicorn.Config(build(lambda: app), log_level="error", lifespan="off")).run([listening])


def accepted_s(port: int, key: str, content: bytes) -> float:
    """Seconds from the last byte to the first one of the answer."""
    before = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    after = b"\r\n--b--\r\n"
    head = (
        f"POST /api/v1/transcribe HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nConnection: close\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(before) + len(content) + len(after)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(head.encode() + before + content + after[:-1])
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        line.sendall(after[-1:])
        answer = line.recv(64)
        took_s = time.perf_counter() - began
    assert b" 202 " in answer, answer
    return took_s


def bare_s(folder: Path, content: bytes) -> float:
    """Seconds to make written bytes durable under their final name: file, rename, folder."""
    path = folder / "incoming"
    with path.open("wb", buffering=0) as file:
        file.write(content)
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        os.fsync(file.fileno())
    path.replace(folder / "kept")
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - began


def report(name: str, one: Callable[[int], float], rounds: int) -> float:
    """Print and give the median of so many rounds, in ms."""
    times = sorted(one(n) * 1000 for n in range(rounds))
    p50, p95 = statistics.median(times), times[int(0.95 * (rounds - 1))]
    print(f"{name:28}{p50:9.1f}{p95:9.1f}", flush=True)
    return p50


def main() -> None:
    """One table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--seconds", type=int, default=16)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parent_end, child_end = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=serve, args=(f"{folder}/home", child_end), daemon=True)
        server.start()
        port, key = parent_end.recv()
        contents = [recording(args.seconds, seed) for seed in range(args.rounds)]
        print(f"{len(contents[0]) / 1e6:.1f} MB{'':22}{'p50 ms':>9}{'p95 ms':>9}")
        bare = report("bare fsync and rename", lambda n: bare_s(Path(folder), contents[n]), args.rounds)
        new = report("202, new bytes", lambda n: accepted_s(port, key, contents[n]), args.rounds)
        known_bytes = report("202, known bytes", lambda n: accepted_s(port, key, contents[n]), args.rounds)
        print(f"ratio to bare: {new / bare:.1f} new, {known_bytes / bare:.1f} known")
        server.kill()


if __name__ == "__main__":
    main()
