"""How fast one large file comes in over loopback: as a form, and resumable (tus), beside what bounds it.

    python -m benchmarks.bench_upload [--mb 1000]

The sender is a bare socket that sends a mapped file, so that it takes little of the machine. MB/s by the
clock, and by the processor time of the web server, which other work on the machine does not change. Beside
it stands the least there is to do: read the bytes, write them, hash them (SHA-256), bring them to disk.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
import tempfile
import time
import wave
from pathlib import Path

import psutil

from tests.tool import Tool

BOUNDARY = "benchmark"
PIECE = 1 << 20
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


def recording(path: Path, megabytes: int) -> None:
    """A WAV of noise: a decoder child opens whatever comes."""
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        for _ in range(megabytes):
            file.writeframesraw(os.urandom(1_000_000))


def least(path: Path, folder: Path) -> float:
    """Processor seconds of reading, writing, hashing and syncing."""
    began, digest = time.process_time(), hashlib.sha256()
    with path.open("rb") as source, (folder / "copy").open("wb", buffering=0) as copy:
        while piece := source.read(PIECE):
            copy.write(piece)
            digest.update(piece)
        os.fsync(copy.fileno())
    return time.process_time() - began


def sent(tool: Tool, method: str, target: str, headers: dict[str, str], parts: list[bytes | Path]) -> str:
    """One request; the head of its answer."""
    length = sum(part.stat().st_size if isinstance(part, Path) else len(part) for part in parts)
    known = {
        "Host": tool.url[7:],
        "X-API-Key": tool.key,
        "Content-Length": str(length),
        "Connection": "close",
    }
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in (known | headers).items()),
    ]
    with socket.create_connection(("127.0.0.1", tool.port), timeout=600) as line:
        line.sendall("\r\n".join([*lines, "", ""]).encode())
        for part in parts:
            if isinstance(part, Path):
                with part.open("rb") as file:
                    line.sendfile(file)
            else:
                line.sendall(part)
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    head = answer.decode(errors="replace")
    assert head.split()[1] in {"201", "202", "204"}, head
    return head


def as_form(tool: Tool, path: Path) -> None:
    """POST, as every client without further ado."""
    mark = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    before = f'{mark}"language"\r\n\r\nru\r\n{mark}"file"; filename="noise.wav"\r\n\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    sent(
        tool, "POST", "/api/v1/transcribe", kind, [before.encode(), path, f"\r\n--{BOUNDARY}--\r\n".encode()]
    )


def resumable(tool: Tool, path: Path) -> None:
    """Two requests, as the pages do."""
    announced = {"Tus-Resumable": "1.0.0", "Upload-Length": str(path.stat().st_size)}
    head = sent(tool, "POST", "/api/v1/uploads", announced, [])
    (place,) = [line[10:] for line in head.split("\r\n") if line.lower().startswith("location: ")]
    sent(tool, "PATCH", place, TUS, [path])


def main() -> None:
    """One row each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--mb", type=int, default=1000)
    megabytes = parser.parse_args().mb
    print("| way | MB/s | MB a processor second of the server |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        least_s = least_of(folder, megabytes)
        print(f"| nothing but read, write, hash, sync | – | {megabytes / least_s:.0f} |", flush=True)
        with Tool(folder / "home", API_REQUESTS_PER_MIN="100000") as tool:
            web: psutil.Process = tool.child("app.py")
            for way in (as_form, resumable):
                recording(folder / "noise.wav", megabytes)  # other bytes each time
                used_s, began = sum(web.cpu_times()[:2]), time.monotonic()
                way(tool, folder / "noise.wav")
                took_s, used_s = time.monotonic() - began, sum(web.cpu_times()[:2]) - used_s
                print(f"| {way.__name__} | {megabytes / took_s:.0f} | {megabytes / used_s:.0f} |", flush=True)


def least_of(folder: Path, megabytes: int) -> float:
    """`least` of such a file."""
    recording(folder / "noise.wav", megabytes)
    return least(folder / "noise.wav", folder)


if __name__ == "__main__":
    main()
