"""What tests hold: an emulator of their own, or control of one that runs elsewhere."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from tools.gemini_emulator.server import GeminiServer


@dataclass(frozen=True)
class Call:
    """One request that arrived."""

    at: float
    call: str
    """Its name in server.CALLS, e.g. `create`."""
    path: str
    """Method and path."""
    status: int
    """The HTTP status of the answer; meaningless where a fault cut the connection."""
    fault: str | None
    """The fault that struck it."""


@dataclass(frozen=True)
class Text:
    """One text that the emulator accepted, and whether it charged for it."""

    at: float
    model: str
    dim: int
    key: str | None
    text: str
    tokens: int
    task_type: str | None
    truncated: bool
    batch: str | None
    """`batches/…`, or None if it was sync."""
    billed: bool
    """A usable vector was made of it: at once, or when its batch ended with results."""


@dataclass(frozen=True)
class Batch:
    """One batch that was created, whether or not its client knows."""

    name: str
    display_name: str | None
    state: str
    deleted: bool


@dataclass(frozen=True)
class Ledger:
    """Everything that the emulator was asked and what it charged, in order."""

    calls: tuple[Call, ...]
    texts: tuple[Text, ...]
    batches: tuple[Batch, ...]

    @property
    def billed(self) -> tuple[Text, ...]:
        return tuple(text for text in self.texts if text.billed)

    @property
    def paid_twice(self) -> dict[str, int]:
        """Texts charged more than once for the same model and size, and how often."""
        times = Counter((text.model, text.dim, text.text) for text in self.billed)
        return {text: count for (_, _, text), count in times.items() if count > 1}

    def tokens(self, *, batch: bool) -> int:
        """Tokens charged, at the batch price or at the full one."""
        return sum(text.tokens for text in self.billed if (text.batch is not None) == batch)

    def count(self, call: str) -> int:
        """How many requests of this name arrived, whatever became of them."""
        return sum(one.call == call for one in self.calls)


class Control:
    """An emulator at `url`, perhaps in another process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fault(self, name: str, times: int | None = 1, **options: object) -> None:
        """Make something go wrong (faults.py) the next `times` times, or always with None."""
        self._ask("POST", "faults", {"name": name, "times": times, "options": options})

    def clear_faults(self) -> None:
        """From now on all goes well; batches keep the faults they were created with."""
        self._ask("DELETE", "faults")

    def advance(self, seconds: float) -> None:
        """Move the clock forward: batches progress, files expire."""
        self._ask("POST", "clock", {"advance_s": seconds})

    def settings(self, **values: float) -> None:
        """Change store.SETTINGS, e.g. `processing_s=0` or `enqueued_tokens=1000`."""
        self._ask("POST", "settings", values)

    def ledger(self) -> Ledger:
        """What the emulator was asked and what it charged, up to now."""
        ledger = self._ask("GET", "ledger")
        return Ledger(
            tuple(Call(**call) for call in ledger["calls"]),
            tuple(Text(**text) for text in ledger["texts"]),
            tuple(Batch(**batch) for batch in ledger["batches"]),
        )

    def _ask(self, method: str, what: str, value: object = None) -> Any:
        """Raise urllib.error.HTTPError if the emulator does not understand."""
        body = None if value is None else json.dumps(value).encode()
        request = HttpRequest(f"{self.url}/_control/{what}", body, method=method)  # noqa: S310 - loopback
        with urlopen(request) as answer:  # noqa: S310 - loopback
            return json.load(answer)


class GeminiEmulator(Control):
    """An emulator in this process, used as a context.

    With a folder it remembers everything there. `stop` and `start` are an outage: the address
    stays, connections are refused in between; without a folder an outage also forgets.
    """

    def __init__(self, folder: Path | None = None, port: int = 0, **settings: float) -> None:
        super().__init__("")
        self._folder = folder
        self._port = port
        self._settings = settings
        self._server: GeminiServer | None = None

    def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._server = GeminiServer(self._port, self._folder)
        self._port = self._server.server_port
        self.url = self._server.url
        self._server.start()
        self.settings(**self._settings)

    def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
