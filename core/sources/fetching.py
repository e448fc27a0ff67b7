"""Has addresses on the web looked at and fetched, each by a child process of its own (`child`)."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from core.errors import Code, Rejected, StenogramError, Unavailable, find_code
from core.media import decode
from core.settings import ROOT, Settings
from core.sources.links import Feed, LinkFacts, check

LOOK_S = 90.0
"""A look is over after so long, whatever the site does."""
COUNTED = ("ogg", "aac", "wav")
"""Formats whose length is counted at the end of the file."""
_ALLOWANCE_S = 10.0
_KEPT = ("SSL_CERT_FILE", "SSL_CERT_DIR")
JAVASCRIPT = "deno"
"""What yt-dlp runs the players of some sites with, without network or files, where it is installed."""


@dataclass(frozen=True)
class Fetched:
    """A file that came, and what its site says of it."""

    path: Path
    facts: LinkFacts


class Fetching:
    """Looks and fetches, within the limits of an installation."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "links"
        self._most_bytes = settings.upload_max_bytes
        self._limit_s = settings.link_max_s
        self.anywhere = settings.links_anywhere
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def look(self, url: str) -> LinkFacts:
        """What is at an address. Raises BadRequest, Rejected, or Unavailable for what may pass."""
        answer = self._asked("look", check(url, anywhere=self.anywhere))
        return _measured(LinkFacts.restored(answer["facts"]), base64.b64decode(answer["head"]))

    def feed(self, url: str) -> Feed:
        """A feed with its episodes. Raises what `look` raises."""
        answer = self._asked("feed", check(url, anywhere=self.anywhere))
        return Feed(answer["title"], tuple(LinkFacts.restored(each) for each in answer["episodes"]))

    def begin(self, name: str, url: str) -> None:
        """Begin to fetch, or go on; nothing where somebody is at it."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        self._end(name)
        order = self._order("fetch", url, self._limit_s, folder=str(folder))
        self._children[name] = _started(order, subprocess.DEVNULL)

    def is_running(self, name: str) -> bool:
        """Whether a process of this machine is at it."""
        child = self._children.get(name)
        if child is not None and child.poll() is None:
            return True
        try:
            with (self._folder / name / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def progress(self, name: str) -> tuple[int, int]:
        """Bytes that are here, and all of them; 0 where nobody knows."""
        try:
            done, total = json.loads((self._folder / name / "progress.json").read_text())
        except (FileNotFoundError, ValueError):
            return 0, 0
        return int(done), int(total)

    def result(self, name: str) -> Fetched | None:
        """What came of it; None while nothing has. Raises Rejected, or Unavailable for what may pass."""
        try:
            answer = json.loads((self._folder / name / "result.json").read_text())
        except FileNotFoundError:
            return None
        done = _meant(answer)
        return Fetched(self._folder / name / done["file"], LinkFacts.restored(done["facts"]))

    def again(self, name: str) -> None:
        """It is to be tried again later: what came stays."""
        self._end(name)
        (self._folder / name / "result.json").unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """Stop, and delete what came."""
        self._end(name)
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def wait(self) -> None:
        """Until the processes that this one started have ended."""
        for child in self._children.values():
            child.wait()

    def _end(self, name: str) -> None:
        if child := self._children.pop(name, None):
            child.kill()
            child.communicate()

    def _asked(self, task: str, url: str) -> dict[str, Any]:
        with tempfile.TemporaryFile() as answer:
            child = _started(self._order(task, url, LOOK_S), answer)
            try:
                child.wait(LOOK_S + _ALLOWANCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
            child.communicate()
            answer.seek(0)
            body = answer.read()
        if not body:
            raise Unavailable(Code.LINK_SLOW, seconds=f"{LOOK_S:g}")
        return _meant(json.loads(body))

    def _order(self, task: str, url: str, limit_s: float, **others: object) -> dict[str, object]:
        return {
            "task": task,
            "url": url,
            "limit_s": limit_s,
            "most_bytes": self._most_bytes,
            "anywhere": self.anywhere,
            "program": shutil.which(JAVASCRIPT) or "",
            **others,
        }


def _measured(facts: LinkFacts, head: bytes) -> LinkFacts:
    """With a length worked out from the first bytes of a file, where nobody says it."""
    if not head:
        return facts
    with tempfile.NamedTemporaryFile(prefix="stenogram-") as file:
        file.write(head)
        file.flush()
        try:
            media = decode.probe(Path(file.name), decode.hint(urlsplit(facts.url).path))
        except StenogramError:
            return facts
    length_s = media.duration_s or 0.0
    if media.estimated or media.format in COUNTED:  # of the beginning alone
        length_s *= max(1.0, facts.size_bytes / len(head))
    return replace(facts, duration_s=length_s or None)


def _started(order: Mapping[str, object], answer: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """A child with its order, which ends once its input is closed; it knows no secrets of ours."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "YTDLP_NO_PLUGINS": "1",
        "HOME": "/nonexistent",
    }
    if order["program"]:
        environment["PATH"] = str(Path(str(order["program"])).parent)
    child = subprocess.Popen(
        [sys.executable, "-m", "core.sources.child"],
        stdin=subprocess.PIPE,
        stdout=answer,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=ROOT,
    )
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(order).encode() + b"\n")
            child.stdin.flush()
    return child


def _meant(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer; its error is raised."""
    if "done" in answer:
        done: dict[str, Any] = answer["done"]
        return done
    code, facts = answer["error"]
    kind: type[StenogramError] = Unavailable if answer["later"] else Rejected
    raise kind(find_code(code) or Code.UNKNOWN, **facts)
