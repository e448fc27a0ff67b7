"""Models brought here on request, so that work beside them goes on: in slices, or by a process beside us.

What was begun goes on after a break.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import httpx

from core.audit import audited
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Json
from core.embedding.embedders import e5, local
from core.errors import NotFound, StenogramError
from core.principal import Principal
from core.queue.jobs import as_json
from core.settings import Settings
from core.speech.engines import whisper_models
from core.speech.engines.gigaam import TITLES
from core.speech.gigaam import download

SLICE_S = 15.0
"""So long a routine brings bytes before it lets others have their turn."""
REPORT_S = 1.0
WHISPER = "whisper-"
"""How the names of Whisper's models begin here: GigaAM's and others' are beside them."""
log = logging.getLogger("stenogram.downloads")
State = Literal["here", "missing", "asked", "failed"]
Kind = Literal["gigaam", "whisper", "local"]


@dataclass(frozen=True)
class Download:
    """A model that can be brought here, and how far that is."""

    name: str
    kind: Kind
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
    size_bytes: int = 0
    """Of all its files; 0 where its publisher does not say."""
    licence: str = ""


class _SliceOverError(Exception):
    """Time for others; the part stays and grows with the next slice."""


class ModelDownloads:
    """The models that come from elsewhere: those that the settings name, and every Whisper."""

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
        self._host = socket.gethostname()
        self._beside: dict[str, subprocess.Popen[bytes]] = {}

    def all(self) -> list[Download]:
        """Every model that can be brought, as it stands."""
        downloads = [self._look(self._gigaam, "gigaam")] if self._gigaam in download.MD5 else []
        if self._local not in ("", local.PACKAGED, e5.MODEL) and not Path(self._local).is_dir():
            downloads.append(self._look(self._local, "local"))
        packaged = whisper_models.PACKAGED if whisper_models.is_packaged() else ""
        return downloads + [self._look_whisper(name) for name in whisper_models.MODELS if name != packaged]

    @audited(AuditAction.CHANGED, AuditSubject.MODEL, "name")
    def ask(self, principal: Principal, name: str) -> None:
        """Have a model brought. Raises AdminsOnly, NotFound for one that is not in the list."""
        principal.must_administer()
        if name not in {one.name for one in self.all()}:
            raise NotFound
        self._note(name, asked=True, host=self._host)

    @audited(AuditAction.CHANGED, AuditSubject.MODEL, "name")
    def stop(self, principal: Principal, name: str) -> None:
        """Bring no more of it; what is here is kept. Raises AdminsOnly."""
        principal.must_administer()
        self._note(name)

    def tick(self) -> None:
        """Bring a slice of every model that was asked for on this machine."""
        for one in self.all():
            if one.state != "asked" or self._noted(one.name).get("host", self._host) != self._host:
                self._end_beside(one.name)
            elif one.kind == "local":
                self._fetch_in_child(one.name)
            else:
                self._fetch(one)

    def _fetch(self, one: Download) -> None:
        try:
            if one.kind == "whisper":
                model = one.name.removeprefix(WHISPER)
                whisper_models.fetch(model, self._folder, self._progress_reporter(one.name), self._connect())
            else:
                download.fetch(one.name, self._folder, self._progress_reporter(one.name), self._connect())
        except _SliceOverError:
            return
        except StenogramError as error:
            self._note(one.name, error=as_json(error))
        else:
            self._note(one.name)

    def _fetch_in_child(self, name: str) -> None:
        """Hugging Face's own client knows no slices, so it has a process of its own."""
        if name not in self._beside:
            self._beside[name] = local.begin_download(name, self._folder)
        code = self._beside[name].poll()
        if code is not None:
            self._note(name, error=as_json(local.download_failed(name)) if code else None)
            self._end_beside(name)

    def _end_beside(self, name: str) -> None:
        if process := self._beside.pop(name, None):
            process.kill()
            process.communicate()

    def _progress_reporter(self, name: str) -> download.Progress:
        began = reported_at = self._clock()

        def report(file: str, done: int, total: int) -> None:
            nonlocal reported_at
            now = self._clock()
            if now - reported_at >= REPORT_S or done == total:
                reported_at = now
                if not self._noted(name).get("asked"):
                    raise _SliceOverError
                self._note(name, asked=True, host=self._host, file=file, done=done, total=total)
            if now - began > SLICE_S or done == total:
                log.info("%s: %d of %d MB are here", file, done / 1e6, total / 1e6)
            if now - began > SLICE_S:
                raise _SliceOverError

        return report

    def _look_whisper(self, model: str) -> Download:
        published, here = whisper_models.MODELS[model], whisper_models.is_here(self._folder, model)
        entry = Download(
            WHISPER + model,
            "whisper",
            f"Whisper ({model})",
            f"{whisper_models.PUBLISHER}/{published.repository}/tree/{published.revision}",
            str(whisper_models.folder(self._folder, model)),
            "missing",
            size_bytes=published.size_bytes,
            licence=whisper_models.LICENCE,
        )
        return self._as_noted(entry, here=here)

    def _look(self, name: str, kind: Literal["gigaam", "local"]) -> Download:
        if kind == "gigaam":
            title = TITLES[name]
            address = ", ".join(f"{download.ADDRESS}/{file}" for file in download.files(name))
            here = all((self._folder / file).exists() for file in download.files(name))
        else:
            title, address = name, f"https://huggingface.co/{name}"
            here = local.is_here(name, self._folder)
        licence = download.LICENCE if kind == "gigaam" else ""
        entry = Download(name, kind, title, address, str(self._folder), "missing", licence=licence)
        return self._as_noted(entry, here=here)

    def _as_noted(self, one: Download, *, here: bool) -> Download:
        """With how far it is."""
        noted = self._noted(one.name)
        state: State = "here" if here else "failed" if noted.get("error") else "missing"
        return replace(
            one,
            state="asked" if noted.get("asked") else state,
            file=noted.get("file", ""),
            done_bytes=noted.get("done", 0),
            total_bytes=noted.get("total", 0),
            error=noted.get("error"),
        )

    def _noted(self, name: str) -> Json:
        noted: Json = json.loads(self._database.get_value(f"download {name}") or "{}")
        return noted

    def _note(self, name: str, **changes: object) -> None:
        self._database.set_value(f"download {name}", json.dumps(changes))
