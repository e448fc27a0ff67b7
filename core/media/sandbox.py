"""The child process in which media are opened. `core/media/decode.py` starts it.

av is imported here, in the modules that this one uses (`container` and below), and in `encode.py`.

`python -m core.media.sandbox` with a socket on standard input, over which the request (JSON) and the opened
file come. It limits itself before it reads a byte of it, and sends JSON lines: [event, payload].
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
from dataclasses import asdict
from typing import Any

import av
from av.container import InputContainer

from core.media import measuring
from core.media.clipping import clip
from core.media.container import RAW, Refused, dated, described, open_file, sounds
from core.media.decoding import decode
from core.media.reading import DamagedPlaces, Reader
from core.media.remuxing import remux
from core.media.waveform import SAMPLE_RATE

_CPU_S = {"probe": 15, "headers": 600, "decode": 3600, "copy": 3600, "clip": 1800}
_MEMORY_BYTES = 2 * 1024**3
_FILES = 96
"""Three for each of 32 tracks that are heard apart."""


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone decides what Ctrl-C means
    parent = socket.socket(fileno=0)
    message, descriptors, *_ = socket.recv_fds(parent, 65536, 1)
    if not descriptors:
        return
    request = json.loads(message)
    os.chdir(request["folder"])
    _set_limits(_CPU_S[request["task"]], int(request["max_s"] * SAMPLE_RATE * 2 * 2) + 1024**2)

    if request["task"] == "headers":
        _read_headers(parent, descriptors, request)
        return
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    _handle_request(descriptors[0], request)


def _read_headers(parent: socket.socket, descriptors: list[int], request: dict[str, Any]) -> None:
    """Probe one file after the other, until the line is cut."""
    while descriptors:
        _handle_request(descriptors[0], request)
        message, descriptors, *_ = socket.recv_fds(parent, 65536, 1)
        request = json.loads(message) if descriptors else {}


def _handle_request(descriptor: int, request: dict[str, Any]) -> None:
    """Do what is asked with one file, and send how it went."""
    _send("ready")
    try:
        with open_file(descriptor, request["hint"]) as container:
            _send("done", _run_task(container, descriptor, request))
    except Refused as refusal:
        _send("refused", str(refusal))
    except MemoryError:
        _send("refused", "memory")
    except (av.FFmpegError, ValueError, OverflowError):
        _send("refused", "broken")
    finally:
        os.close(descriptor)


def _run_task(container: InputContainer, descriptor: int, request: dict[str, Any]) -> object:
    match request["task"]:
        case "decode":
            return decode(container, descriptor, request, _send_progress)
        case "clip":
            return clip(container, descriptor, request)
        case "copy":
            return remux(container, descriptor, request, _send_progress)
        case _:
            return _probe(container, descriptor, request)


def _send_progress(seconds: float) -> None:
    _send("progress", seconds)


def _exit_with_parent(parent: socket.socket) -> None:
    """The line is cut when the parent dies."""
    parent.recv(1)
    os._exit(1)


def _set_limits(cpu_s: int, file_bytes: int) -> None:
    """Bounds on what a hostile file can take from the machine."""
    limits = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_AS] = _MEMORY_BYTES
    for limit_kind, most in limits.items():
        resource.setrlimit(limit_kind, (most, most))


def _send(event: str, payload: object = None) -> None:
    """One message to the parent, as a line of JSON."""
    sys.stdout.write(json.dumps([event, payload]) + "\n")
    sys.stdout.flush()


def _probe(container: InputContainer, descriptor: int, request: dict[str, Any]) -> dict[str, object]:
    """The fields of Media, once one frame of sound has been decoded."""
    streams = sounds(container)
    stated_s = measuring.stated_s(container, streams[0], descriptor)
    most = 1 if stated_s is not None else measuring.COUNTED_PACKETS[request["task"]]
    count = measuring.count(Reader(container, streams[:1], DamagedPlaces(), request["hint"]), most)
    guessed_s = measuring.guessed_s(container, count) if stated_s is None else None
    whole = stated_s is not None or count.whole
    name, hint = container.format.name.split(",")[0], RAW.get(request["hint"])
    return {
        "format": request["hint"] if hint and hint.demuxer == name else name,
        "duration_s": stated_s if stated_s is not None else guessed_s,
        "channels": streams[0].channels,
        "sample_rate": streams[0].rate,
        "estimated": not whole or name in measuring.GUESSED,
        "tracks": [asdict(track) for track, _ in described(container, streams)],
        "dates": dated(container, streams[0]),
        "plays": measuring.plays(container, streams, descriptor, count),
    }


if __name__ == "__main__":
    _main()
