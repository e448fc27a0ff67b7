"""Any audio or video → 16 kHz mono int16 samples in a file.

Media come from strangers and decoders are C code, so files are opened in a child process only
(`core/media/sandbox.py`): with limits, without secrets, and with nothing to open but the one file that it
is handed. The child answers in JSON lines, [event, payload]: ready, progress, refused, done.
"""

from __future__ import annotations

import errno
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from core.errors import Code, NoSound, NotFound, StenogramError, TooLarge, Unavailable, UnreadableMedia
from core.media.tracks import Track
from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import ROOT
from core.storage.blobs import no_space

REASONS = {
    "not_media": "it is neither sound nor video",
    "archive": "it is an archive; send the recordings in it, or drop a ZIP on the upload page",
    "unfinished": "the recording was cut off before it was finished, so its index is missing",
    "broken": "it is damaged",
    "silent": "nothing in it can be decoded",
    "no_picture": "it has no picture",
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
_OUTPUT = re.compile(r"(mono|left|right|track_\d+)\.pcm")
_RAW_ENDINGS = {
    ".ul": "mulaw", ".ulaw": "mulaw", ".mulaw": "mulaw", ".mu": "mulaw", ".pcm": "mulaw",
    ".al": "alaw", ".alaw": "alaw", ".alw": "alaw",
    ".g722": "g722", ".g729": "g729", ".vox": "vox",
    ".sln": "sln", ".raw": "sln", ".sln16": "sln16",
}  # fmt: skip
"""Telephone sound without a header, by the endings that Asterisk and Dialogic give it."""
_STALL_S = 60.0
_ROOM_OF_CLIPS = 40.0
"""A clip is at most so many times as large as decoded speech: 2.5 MB/s, for video."""
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
    """The duration is worked out from a part of the file, or unknown."""
    tracks: tuple[Track, ...] = ()
    """Of sound."""
    dates: tuple[str, ...] = ()
    """What its tags say of when it was recorded, the most trusted first (`core.media.dates`)."""
    plays: bool = False
    """Whether every browser plays these bytes, seeks in them, and counts from their first sound."""


@dataclass(frozen=True)
class Decoded:
    """Sound of a file on disk, and what a listener should know of it."""

    files: dict[str, Path]
    """By channel: mono, left and right, or one a track; raw 16 kHz int16."""
    not_heard: tuple[int, ...]
    """Numbers of the tracks that were left out."""
    breaks_s: tuple[float, ...]
    """Where the file was damaged."""
    ended_s: float
    stated_s: float | None
    """As long as the file says that it is, where it does."""


def hint(filename: str) -> str:
    """The name of the raw format that a file may be in by its ending; "" for all that say it themselves."""
    return _RAW_ENDINGS.get(PurePath(filename).suffix.lower(), "")


def probe(path: Path, hint: str = "") -> Media:
    """What a file is, in a fraction of a second: opened, and its first sound decoded.

    Raises UnreadableMedia with a reason, NoSound, NotFound, or Unavailable if no child can be had.
    """
    return _media(_run(path, Path("/"), _request("probe", hint), _no_progress))


def probe_all(paths: Iterable[tuple[Path, str]]) -> Iterator[Media | StenogramError]:
    """What each file is (path, hint), or why it is nothing, in order; one child reads many.

    A file that breaks the child is judged by a child of its own.
    """
    child: _Child | None = None
    try:
        for n, (path, hint) in enumerate(paths):
            if child is None or n % _FILES_A_CHILD == 0:
                child = _replaced(child)
            media = _next_header(child, path, hint)
            if media is None:
                child = _replaced(child)
                media = _probe_or_error(path, hint)
            yield media
    finally:
        if child is not None:
            child.kill()


def decode(
    path: Path,
    folder: Path,
    *,
    split_channels: bool = False,
    max_s: float = _TWO_DAYS_S,
    on_progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """All sound of a file as `decode_tracks` gives it, tracks mixed: mono.pcm, or left.pcm and right.pcm."""
    decoded = decode_tracks(
        path, folder, split_channels=split_channels, tracks="mix", max_s=max_s, on_progress=on_progress
    )
    return list(decoded.files.values())


def decode_tracks(
    path: Path,
    folder: Path,
    *,
    split_channels: bool = False,
    tracks: str = "",
    language: str = "",
    hint: str = "",
    first_s: float | None = None,
    max_s: float = _TWO_DAYS_S,
    on_progress: Callable[[float], None] | None = None,
) -> Decoded:
    """All sound of a file as raw 16 kHz int16 in `folder`.

    Channels are kept apart only if asked and if there are exactly two in the only track that is heard.
    `tracks` is what to hear of several, as `core.media.tracks.choose` takes it; `first_s`: no more than
    about so many seconds. Gaps that the file's own
    timestamps show become silence, so times match a player's. A broken file gives what decodes.
    `on_progress` hears the seconds decoded, about twice a second; if it raises, decoding stops.
    Raises as `probe` does; TooLarge beyond `max_s`; NoSpace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {"split_channels": split_channels, "tracks": tracks, "language": language, "max_s": max_s}
    options |= {"first_s": first_s}
    try:
        answer = _run(path, folder, _request("decode", hint) | options, on_progress or _no_progress)
        named = {str(channel): str(file) for channel, file in answer.pop("channels").items()}
        files = {
            channel: (folder / f"{file}.tmp").replace(folder / file)
            for channel, file in named.items()
            if _OUTPUT.fullmatch(file)
        }
        return Decoded(files, tuple(answer.pop("not_heard")), tuple(answer.pop("breaks_s")), **answer)
    finally:
        for left in folder.glob("*.pcm.tmp"):
            left.unlink()


def playable(path: Path, folder: Path, hint: str = "") -> tuple[Path, str]:
    """A copy of a recording in `folder` that browsers play and seek, and its format: mp4 or webm.

    Counted from its first sound, as `decode_tracks` does. Raises as `probe` does; NoSpace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        extension = str(_run(path, folder, _request("copy", hint) | {"max_s": _TWO_DAYS_S}, _no_progress))
        return (folder / "copy.tmp").replace(folder / "copy"), extension
    finally:
        for left in folder.glob("*.tmp"):
            left.unlink()


def clip(
    path: Path, folder: Path, start_s: float, end_s: float, form: str, *, hint: str = "", rate: int = 0
) -> Path:
    """A stretch of a recording as a file in `folder`, cut to the sample: `form` is wav, m4a, mp4 or pcm.

    mp4 has the picture, too, and pcm is raw mono int16 at `rate` Hz (0: as the source). Seconds are counted
    as `decode_tracks` counts them. Raises as `probe` does; NoSpace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {"start_s": start_s, "end_s": end_s, "form": form, "rate": rate}
    most = {"max_s": _ROOM_OF_CLIPS * (end_s - start_s + 60)}
    try:
        _run(path, folder, _request("clip", hint) | options | most, _no_progress)
        return (folder / "clip.tmp").replace(folder / f"clip.{form}")
    finally:
        for left in folder.glob("*.tmp"):
            left.unlink()


def _request(task: str, hint: str) -> dict[str, Any]:
    return {"task": task, "hint": hint, "max_s": 0}


def _media(payload: dict[str, Any]) -> Media:
    tracks = tuple(Track(**one) for one in payload["tracks"])
    return Media(**{**payload, "tracks": tracks, "dates": tuple(payload["dates"])})


def _replaced(child: _Child | None) -> _Child:
    if child is not None:
        child.kill()
    return _Child()


def _probe_or_error(path: Path, hint: str) -> Media | StenogramError:
    try:
        return probe(path, hint)
    except StenogramError as error:
        return error


def _next_header(child: _Child, path: Path, hint: str) -> Media | StenogramError | None:
    """What a child that has perhaps read others says of this file; None if it died over it."""
    try:
        with _opened(path) as blob:
            child.send(_request("headers", hint), Path("/"), blob)
            for event, payload in _messages(child.process):
                if event != "ready":
                    return _media(payload) if event == "done" else _refusal(str(payload), Path("/"), 0)
    except NotFound as error:
        return error
    except UnreadableMedia:  # it fell silent
        return None
    return None


def waveform(pcm: Path) -> Waveform:
    """Samples of a file that `decode` made, mapped and not read: shape [samples], int16."""
    return np.memmap(pcm, dtype=np.int16, mode="r")


def growing(folder: Path) -> Waveform | None:
    """What has been decoded so far in `folder`, mapped; None where there is nothing of one channel yet."""
    file = folder / "mono.pcm.tmp"
    samples = file.stat().st_size // 2 if file.exists() else 0
    return np.memmap(file, dtype=np.int16, mode="r", shape=(samples,)) if samples else None


def _no_progress(_seconds: float) -> None:
    """Progress that nobody asked for."""


def _run(path: Path, folder: Path, request: dict[str, Any], on_progress: Callable[[float], None]) -> Any:
    """What the child answers to a request. Raises whatever it refused, or the way it died."""
    ready = False
    with _opened(path) as blob, _child_at_work(blob, folder, request) as child:
        for event, payload in _messages(child):
            match event:
                case "ready":
                    ready = True
                case "progress":
                    on_progress(float(payload))
                case "done":
                    return payload
                case _:
                    raise _refusal(str(payload), folder, request["max_s"])
        raise _exit_error(child.wait(), ready)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the file itself, never of what a link points to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ELOOP}:
            raise
        raise NotFound(Code.STORED_FILE_GONE) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Child:
    """A decoder in a process of its own: it starts, waits for one request, and ends with it or with us."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        command = [sys.executable, "-B", "-P", "-s", "-m", "core.media.sandbox"]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603
                command, stdin=theirs.fileno(), stdout=subprocess.PIPE, env=_ENVIRONMENT
            )

    def send(self, request: dict[str, Any], folder: Path, blob: int) -> None:
        """Hand over the work and the file. The child may be dead; then its silence tells."""
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.line, [json.dumps(request | {"folder": str(folder)}).encode()], [blob])

    def kill(self) -> None:
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

    def start(self) -> None:
        """See to it that there is one."""
        with self._lock:
            if self._child is None or self._child.process.poll() is not None:
                self._child = _Child()

    def take(self) -> _Child:
        """It, or a new one."""
        with self._lock:
            child, self._child = self._child, None
        return child if child is not None and child.process.poll() is None else _Child()

    def replace(self, child: _Child) -> None:
        """One has done its work: reap it and start the next, which nobody waits for."""
        child.kill()
        self.start()


_spare = _Spare()


def warm() -> None:
    """Have a child ready, so that the first probe answers as fast as the others."""
    _spare.start()


@contextmanager
def _child_at_work(blob: int, folder: Path, request: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """The child at work in `folder`; it is dead when this is left, and writes no more."""
    folder.mkdir(parents=True, exist_ok=True)
    child = _spare.take()
    try:
        child.send(request, folder, blob)
        yield child.process
    finally:
        child.process.kill()
        if request["task"] in {"decode", "copy", "clip"}:
            child.process.wait()
        threading.Thread(target=_spare.replace, args=(child,)).start()


def _messages(child: subprocess.Popen[bytes]) -> Iterator[tuple[str, Any]]:
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


def _exit_error(code: int, ready: bool) -> StenogramError:
    """What it means that the child ended without an answer."""
    if code in {-signal.SIGKILL, -signal.SIGTERM}:
        return Unavailable(Code.DECODER_KILLED)
    if not ready:
        return Unavailable(Code.DECODER_DOES_NOT_START)
    return UnreadableMedia(reason=REASONS["slow" if code == -signal.SIGXCPU else "crash"])
