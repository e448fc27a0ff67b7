"""The child process that goes to addresses which somebody gave. `core/sources/fetching.py` starts it.

It limits itself before it asks anybody: memory, time, the size of files, and by an audit hook where it may
connect to (public addresses only, whatever a name or a redirect says, and no program but the one it was
told of). It ends with its parent, and once the folder that it fetches into is gone.

`python -m core.sources.child` with an order (JSON) as the first line of standard input; it answers with
one line of JSON: {"done": …} or {"error": [code, facts]}.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.addresses import is_public
from core.errors import Code, Rejected, StenogramError, Unavailable
from core.sources import feeds, sites

_MEMORY_BYTES = 2 * 1024**3
_FILES = 96
_LOOK_S = 0.5
_STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"}
_met_private = threading.Event()
"""Set once somebody led us to an address that is not public."""


def main() -> None:
    """Do what is ordered, and say how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone decides what Ctrl-C means
    order = json.loads(sys.stdin.readline())
    folder = Path(order["folder"]) if order.get("folder") else None
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = _only_one(folder) if folder else None
    _limit(order)
    _guard(anywhere=order["anywhere"], program=order.get("program", ""))
    answer = json.dumps(_answer(order))
    if folder:
        part = folder / "result.part"
        part.write_text(answer)
        part.replace(folder / "result.json")
        os.close(lock or 0)
    sys.stdout.write(answer + "\n")
    sys.stdout.flush()
    os._exit(0)


def _answer(order: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"done": _done(order)}
    except StenogramError as refusal:
        error = Rejected(Code.LINK_PRIVATE) if _met_private.is_set() else refusal
        return {"error": [error.code.value, dict(error.facts)], "later": isinstance(error, Unavailable)}


def _done(order: Mapping[str, Any]) -> object:
    match order["task"]:
        case "feed":
            feed = feeds.read(order["url"])
            return {"title": feed.title, "episodes": [each.as_json() for each in feed.episodes]}
        case "look":
            return sites.look(order["url"])
        case _:
            return sites.fetch(order["url"], Path(order["folder"]), order["most_bytes"])


def _only_one(folder: Path) -> int:
    """The lock of a folder that is fetched into; ends this process where another one has it."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os._exit(0)
    threading.Thread(target=_end_with_folder, args=(folder,), daemon=True).start()
    return lock


def _end_with_parent() -> None:
    """Its end of the pipe closes when it dies."""
    sys.stdin.read()
    os._exit(1)


def _end_with_folder(folder: Path) -> None:
    """Nobody wants it any more: whoever cancels takes the folder away."""
    while folder.exists():
        time.sleep(_LOOK_S)
    os._exit(1)


def _limit(order: Mapping[str, Any]) -> None:
    """Bounds on what a hostile site can take from the machine; the alarm ends this process."""
    signal.alarm(int(order["limit_s"]))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails then
    limits = {
        resource.RLIMIT_FSIZE: int(order["most_bytes"]) + 1024**2,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux" and not order.get("program"):  # a JavaScript engine reserves much more
        limits[resource.RLIMIT_AS] = _MEMORY_BYTES
    for limit_kind, most in limits.items():
        resource.setrlimit(limit_kind, (most, most))


def _guard(*, anywhere: bool, program: str) -> None:
    """Look at every connection at the moment it is made: by then a name has been looked up for good."""

    def audit(event: str, facts: tuple[Any, ...]) -> None:
        if event == "socket.connect" and not anywhere and not _is_allowed(facts[1]):
            _met_private.set()
            raise ConnectionRefusedError("a private address")
        if event in _STARTS and not (program and str(facts[0]) == program):
            raise PermissionError("no other programs")

    sys.addaudithook(audit)


def _is_allowed(address: object) -> bool:
    """Whether a socket may be connected to this: an IP address of the public internet and a port."""
    if not isinstance(address, tuple):
        return False
    try:
        return is_public(str(address[0]))
    except ValueError:
        return False


if __name__ == "__main__":
    main()
