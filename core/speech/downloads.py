"""Models brought here on request, so that work beside them goes on: in slices, or by a process beside us.

What was begun goes on after a break.
"""

from __future__ import annotations

import json
import logging
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from core.database.database import Database
from core.database.tables import Json
from core.embedding.embedders import e5, local
from core.errors import NotFound, StenogramError
from core.queue.jobs import as_json
from core.settings import Settings
from core.speech.engines.gigaam import TITLES
from core.speech.gigaam import download

SLICE_S = 15.0
"""So long a routine brings bytes before it lets others have their turn."""
TELL_S = 1.0
log = logging.getLogger("stenogram.downloads")
State = Literal["here", "missing", "asked", "failed"]


@dataclass(frozen=True)
class Download:
    """A model that can be brought here, and how far that is."""

    name: str
    kind: Literal["gigaam", "local"]
    title: str
    address: str
    """Where it is published, for those who have no network here."""
    folder: str
    state: State
    file: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    """0 while nobody knows."""
    error: Json | None = None


class _SliceOverError(Exception):
    """Time for others; the part stays and grows with the next slice."""


class ModelDownloads:
    """The models that the settings name and that come from elsewhere."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        connect: Callable[[], httpx.Client | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = settings.models
        self._gigaam = settings.gigaam_model
        self._local = settings.local_embedding_model
        self._database = database
        self._connect = connect
        self._clock = clock
        self._beside: dict[str, subprocess.Popen[bytes]] = {}

    def all(self) -> list[Download]:
        """Every model that can be brought, as it stands."""
        found = [self._look(self._gigaam, "gigaam")] if self._gigaam in download.MD5 else []
        if self._local not in ("", local.PACKAGED, e5.MODEL) and not Path(self._local).is_dir():
            found.append(self._look(self._local, "local"))
        return found

    def ask(self, name: str) -> None:
        """Have a model brought. Raise NotFound for one that is not in the list."""
        if name not in {one.name for one in self.all()}:
            raise NotFound
        self._note(name, asked=True)

    def stop(self, name: str) -> None:
        """Bring no more of it; what is here is kept."""
        self._note(name)

    def tick(self) -> None:
        """Bring a slice of every model that is asked for."""
        for one in self.all():
            if one.state != "asked":
                self._end_beside(one.name)
            elif one.kind == "local":
                self._bring_beside(one.name)
            else:
                self._bring(one)

    def _bring(self, one: Download) -> None:
        try:
            download.fetch(one.name, self._folder, self._teller(one.name), self._connect())
        except _SliceOverError:
            return
        except StenogramError as error:
            self._note(one.name, error=as_json(error))
        else:
            self._note(one.name)

    def _bring_beside(self, name: str) -> None:
        """Hugging Face's own client knows no slices, so it has a process of its own."""
        if name not in self._beside:
            self._beside[name] = local.begin_download(name, self._folder)
        code = self._beside[name].poll()
        if code is not None:
            self._note(name, error=as_json(local.not_brought(name)) if code else None)
            self._end_beside(name)

    def _end_beside(self, name: str) -> None:
        if process := self._beside.pop(name, None):
            process.kill()
            process.communicate()

    def _teller(self, name: str) -> download.Progress:
        began = told = self._clock()

        def tell(file: str, done: int, total: int) -> None:
            nonlocal told
            now = self._clock()
            if now - told >= TELL_S or done == total:
                told = now
                if not self._noted(name).get("asked"):
                    raise _SliceOverError
                self._note(name, asked=True, file=file, done=done, total=total)
            if now - began > SLICE_S or done == total:
                log.info("%s: %d of %d MB are here", file, done / 1e6, total / 1e6)
            if now - began > SLICE_S:
                raise _SliceOverError

        return tell

    def _look(self, name: str, kind: Literal["gigaam", "local"]) -> Download:
        noted = self._noted(name)
        if kind == "gigaam":
            title = TITLES[name]
            address = ", ".join(f"{download.ADDRESS}/{file}" for file in download.files(name))
            app = all((self._folder / file).exists() for file in download.files(name))
        else:
            title, address = name, f"https://huggingface.co/{name}"
            app = local.is_here(name, self._folder)
        state: State = "here" if app else "failed" if noted.get("error") else "missing"
        return Download(
            name,
            kind,
            title,
            address,
            str(self._folder),
            "asked" if noted.get("asked") else state,
            noted.get("file", ""),
            noted.get("done", 0),
            noted.get("total", 0),
            noted.get("error"),
        )

    def _noted(self, name: str) -> Json:
        noted: Json = json.loads(self._database.get_value(f"download {name}") or "{}")
        return noted

    def _note(self, name: str, **known: object) -> None:
        self._database.set_value(f"download {name}", json.dumps(known))
