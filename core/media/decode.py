"""Any audio or video → 16 kHz mono int16 samples in a file.

Media come from strangers and decoders are C code, so files are opened in a child process only
(`core/media/sandbox.py`): with limits, without secrets, and with nothing to open but the one file that it
is handed. The child answers in JSON lines, [word, fact]: ready, progress, refused, done.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import Code, NoSound, NotFound, StenogramError, TooLarge, Unavailable, UnreadableMedia
from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import ROOT
from core.storage.blobs import no_space

REASONS = {
    "not_media": "it is neither sound nor video",
    "broken": "it is damaged",
    "silent": "nothing in it can be decoded",
    "refers": "it points to other files",
    "streams": "it has more than 32 tracks",
    "channels": "it has more than 8 channels",
    "rate": "its sampling rate is not between 4 and 192 kHz",
    "memory": "reading it takes too much memory",
    "slow": "reading it takes too long",
    "crash": "it breaks the decoder",
}
"""Every reason with which a file is called unreadable."""

_FILES_A_CHILD = 1000
_TWO_DAYS_S = 2 * 24 * 3600.0
_OUTPUTS = ("mono.pcm", "left.pcm", "right.pcm")
_STALL_S = 60.0
_LONGEST_LINE_BYTES = 1_000_000
_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",  # threads reserve address space, which is limited
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


@dataclass(frozen=True)
class Media:
    """What a file says about itself; only decoding tells the true duration."""

    format: str
    duration_s: float | None
    """None where the file does not say."""
    channels: int
    sample_rate: int
    estimated: bool
    """The duration is worked out from size and bit rate, or unknown."""


def probe(path: Path) -> Media:
    """What a file is, in a fraction of a second: opened, and its first sound decoded.

    Raises UnreadableMedia with a reason, NoSound, NotFound, or Unavailable if no child can be had.
    """
    return Media(**_ask(path, Path("/"), {"task": "probe", "max_s": 0}, _ignore))


def probe_all(paths: Iterable[Path]) -> Iterator[Media | StenogramError]:
    """What each file is, or why it is nothing, in order; milliseconds a file, as one child reads many.

    A file that breaks the child is judged by a child of its own.
    """
    child: _Child | None = None
    try:
        for n, path in enumerate(paths):
            if child is None or n % _FILES_A_CHILD == 0:
                child = _renewed(child)
            found = _next_header(child, path)
            if found is None:
                child = _renewed(child)
                found = _verdict(path)
            yield found
    finally:
        if child is not None:
            child.end()


def decode(
    path: Path,
    folder: Path,
    *,
    split_channels: bool = False,
    max_s: float = _TWO_DAYS_S,
    on_progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """All sound of a file as raw 16 kHz int16 in `folder`: mono.pcm, or left.pcm and right.pcm.

    Channels are kept apart only if asked and if there are exactly two. Gaps that the file's own
    timestamps show become silence, so times match a player's. A broken file gives what decodes.
    `on_progress` hears the seconds decoded, about twice a second; if it raises, decoding stops.
    Raises as `probe` does; TooLarge beyond `max_s`; NoSpace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = {"task": "decode", "split_channels": split_channels, "max_s": max_s}
    try:
        names = _ask(path, folder, order, on_progress or _ignore)
        return [(folder / f"{name}.tmp").replace(folder / name) for name in names if name in _OUTPUTS]
    finally:
        for name in _OUTPUTS:
            (folder / f"{name}.tmp").unlink(missing_ok=True)


def _renewed(child: _Child | None) -> _Child:
    if child is not None:
        child.end()
    return _Child()


def _verdict(path: Path) -> Media | StenogramError:
    try:
        return probe(path)
    except StenogramError as error:
        return error


def _next_header(child: _Child, path: Path) -> Media | StenogramError | None:
    """What a child that has perhaps read others says of this file; None if it died over it."""
    try:
        with _opened(path) as blob:
            child.order({"task": "headers", "max_s": 0}, Path("/"), blob)
            for word, fact in _words(child.process):
                if word != "ready":
                    return Media(**fact) if word == "done" else _refusal(str(fact), Path("/"), 0)
    except NotFound as error:
        return error
    except UnreadableMedia:  # it fell silent
        return None
    return None


def waveform(pcm: Path) -> Waveform:
    """Samples of a file that `decode` made, mapped and not read: shape [samples], int16."""
    return np.memmap(pcm, dtype=np.int16, mode="r")


def _ignore(_seconds: float) -> None:
    """Progress that nobody asked for."""


def _ask(path: Path, folder: Path, order: dict[str, Any], on_progress: Callable[[float], None]) -> Any:
    """What the child answers to an order. Raises whatever it refused, or the way it died."""
    ready = False
    with _opened(path) as blob, _started(blob, folder, order) as child:
        for word, fact in _words(child):
            match word:
                case "ready":
                    ready = True
                case "progress":
                    on_progress(float(fact))
                case "done":
                    return fact
                case _:
                    raise _refusal(str(fact), folder, order["max_s"])
        raise _death(child.wait(), ready)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the file itself, never of what a link points to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ELOOP}:
            raise
        raise NotFound(Code.STORED_FILE_GONE) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Child:
    """A decoder in a process of its own: it starts, waits for one order, and ends with it or with us."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        command = [sys.executable, "-B", "-P", "-s", "-m", "core.media.sandbox"]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603
                command, stdin=theirs.fileno(), stdout=subprocess.PIPE, env=_ENVIRONMENT
            )

    def order(self, order: dict[str, Any], folder: Path, blob: int) -> None:
        """Hand over the work and the file. The child may be dead; then its silence tells."""
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.line, [json.dumps(order | {"folder": str(folder)}).encode()], [blob])

    def end(self) -> None:
        """Whatever it is doing."""
        self.process.kill()
        self.process.communicate()
        self.line.close()


class _Spare:
    """One child that has already started, because starting takes longer than most of their work.

    The next one starts only when the work is done: beside it, it would take half of its time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def ready(self) -> None:
        """See to it that there is one."""
        with self._lock:
            if self._child is None or self._child.process.poll() is not None:
                self._child = _Child()

    def take(self) -> _Child:
        """It, or a new one."""
        with self._lock:
            child, self._child = self._child, None
        return child if child is not None and child.process.poll() is None else _Child()

    def follow(self, child: _Child) -> None:
        """One has done its work: bury it and start the next, which nobody waits for."""
        child.end()
        self.ready()


_spare = _Spare()


def warm() -> None:
    """Have a child ready, so that the first probe answers as fast as the others."""
    _spare.ready()


@contextmanager
def _started(blob: int, folder: Path, order: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """The child at work in `folder`; it is dead when this is left, and writes no more."""
    folder.mkdir(parents=True, exist_ok=True)
    child = _spare.take()
    try:
        child.order(order, folder, blob)
        yield child.process
    finally:
        child.process.kill()
        if order["task"] == "decode":
            child.process.wait()
        threading.Thread(target=_spare.follow, args=(child,)).start()


def _words(child: subprocess.Popen[bytes]) -> Iterator[tuple[str, Any]]:
    """What the child says, line by line. Raises UnreadableMedia if it falls silent or babbles."""
    assert child.stdout
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while selector.select(_STALL_S):
            block = os.read(child.stdout.fileno(), 65536)
            if not block:
                return
            *lines, pending = (pending + block).split(b"\n")
            if len(pending) > _LONGEST_LINE_BYTES:
                raise UnreadableMedia(reason=REASONS["crash"])
            yield from map(json.loads, lines)
    raise UnreadableMedia(reason=REASONS["slow"])


def _refusal(key: str, folder: Path, max_s: float) -> StenogramError:
    """The child's refusal as one of our errors."""
    match key:
        case "no_sound":
            return NoSound()
        case "no_space":
            return no_space(folder, SAMPLE_RATE * 2 * 3600)
        case "too_long":
            return TooLarge(Code.RECORDING_TOO_LONG, limit=f"{max_s / 3600:.3g} h")
        case _:
            return UnreadableMedia(reason=REASONS.get(key, REASONS["crash"]))


def _death(code: int, ready: bool) -> StenogramError:
    """What it means that the child ended without an answer."""
    if code in {-signal.SIGKILL, -signal.SIGTERM}:
        return Unavailable(Code.DECODER_KILLED)
    if not ready:
        return Unavailable(Code.DECODER_DOES_NOT_START)
    return UnreadableMedia(reason=REASONS["slow" if code == -signal.SIGXCPU else "crash"])
