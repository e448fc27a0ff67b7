"""Segment → words: the one promise every engine keeps, and what it gives back."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from core.database.states import OrderFate, PriceMode
from core.errors import Code, Rejected
from core.media.waveform import Waveform

if TYPE_CHECKING:
    from core.http_client import HttpClient

BATCH = "-batch"
"""How the name of an engine's batch mode ends."""


@dataclass(frozen=True)
class Word:
    """One word with its place, in seconds from the start of the segment (later: of the recording)."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True)
class Phrase:
    """A part of a long segment, with its place in seconds from the segment's start."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Speech:
    """What an engine heard in one segment. No words and an empty text mean: no speech.

    An engine that takes minutes at once also says its phrases, in order; they make up the text.
    """

    text: str
    words: tuple[Word, ...] = ()
    phrases: tuple[Phrase, ...] = ()


@dataclass(frozen=True)
class Readiness:
    """Can this engine work now, and if not, what is missing: a sentence for a person."""

    ready: bool
    reason: str = ""
    withdrawn: bool = False
    """Whether the provider has ended the service."""


class Engine(Protocol):
    """Anything that turns segments of sound into words."""

    name: str
    """Stable identifier: settings, the API and the reuse of transcripts use it."""
    title: str
    """What a person sees; says plainly when the engine is a toy or a demo."""
    version: str
    """Changes whenever results may change; part of the key under which transcripts are reused."""
    languages: tuple[str, ...]
    """ISO 639-1 codes it understands."""
    queue: str
    """Where its work runs: gpu, cpu, or io for engines elsewhere."""
    max_segment_s: float
    """Longest segment it takes, in seconds."""

    @property
    def batch_segments(self) -> int:
        """How many segments to hand over at once."""

    def readiness(self) -> Readiness:
        """Cheap (no model is loaded) and never raises."""

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:
        """One answer a segment, in order. Raise Rejected or Unavailable, never return a failure as text."""


@runtime_checkable
class LocalEngine(Engine, Protocol):
    """An engine that computes here, on a device that it chooses."""

    def device_reason(self) -> str:
        """The device, its numbers, and why: a phrase in English. Slow the first time."""


class Pending(Protocol):
    """Segments that an engine has been asked about."""

    def wait(self) -> list[Speech]:
        """One answer a segment, in order. Raise what `transcribe` raises."""

    def leave(self) -> None:
        """Not wait for it any more."""


@runtime_checkable
class StreamingEngine(LocalEngine, Protocol):
    """An engine that can be asked about the next segments before it has answered about the last."""

    def ask(self, segments: Sequence[Waveform], language: str) -> Pending:
        """Does not wait. Raise what `transcribe` raises."""


def refuse_unready(engine: Engine) -> None:
    """Raise Rejected, with the reason, unless the engine can work now."""
    readiness = engine.readiness()
    if not readiness.ready:
        raise Rejected(Code.ENGINE_NOT_READY, title=engine.title, reason=readiness.reason)


ASKED = 2
"""Groups of segments that an engine which queues is asked about at a time."""


def transcribe_groups(
    engine: Engine, groups: Iterable[Sequence[Waveform]], language: str
) -> Generator[list[Speech], None, None]:
    """Answers group by group; while one is written down, an engine that queues hears the next."""
    if not isinstance(engine, StreamingEngine):
        yield from (engine.transcribe(group, language) for group in groups)
        return
    asked: deque[Pending] = deque()
    try:
        for group in groups:
            asked.append(engine.ask(group, language))
            if len(asked) == ASKED:
                yield asked.popleft().wait()
        while asked:
            yield asked.popleft().wait()
    finally:
        for each in asked:
            each.leave()


@runtime_checkable
class RemoteEngine(Engine, Protocol):
    """An engine at a provider: sound leaves this machine, and calls are paid."""

    provider: str
    """The provider's name in the price book; its breaker goes by it."""
    auto: bool
    """Whether it may be chosen without being named."""
    http: HttpClient
    """The line to the provider."""

    def price(self, duration_s: float) -> tuple[str, PriceMode, int]:
        """What a segment of so many seconds is billed: model and mode in the price book, and the quantity."""


@dataclass(frozen=True)
class Report:
    """How an order stands at the provider. `speech` when done, else perhaps a `reason`."""

    fate: OrderFate
    speech: Speech | None = None
    reason: str = ""
    too_slow: bool = False
    """Broken because its time was over: the next order gets more."""


@runtime_checkable
class AsyncRemoteEngine(RemoteEngine, Protocol):
    """An engine elsewhere whose answer takes long: ordered, remembered, and asked for later."""

    at_once: int
    """Orders that may be out at the same time."""
    poll_s: float
    """Seconds between two looks at an order."""
    parked_after_s: float
    """From then on an order is only looked at now and then."""
    deadline_s: float
    """An order that is not ready after so long is lost."""
    findable: bool
    """Whether `find` finds an order that is still in work, or at least its result."""

    def submit(self, sound: Waveform, language: str, our_id: str, timeout_count: int) -> str:
        """Order a transcript, with exactly one paid request; its id there.

        `timeout_count` is how often its time ran out there: it gets more.

        ProviderBusy: not ordered. OutcomeUnknown: perhaps ordered; look with `find` before asking again.
        """

    def poll(self, remote_id: str, our_id: str) -> Report:
        """How an order stands. Raise ProviderBusy if nobody knows."""

    def find(self, our_id: str) -> str | Speech | None:
        """Look for an order whose reply was lost: its id there, even its result, or None."""

    def cancel(self, remote_id: str) -> None:
        """Ask to stop; quiet if it is too late."""
