"""Segment → words: the one promise every engine keeps, and what it gives back."""

from __future__ import annotations

import copy
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from core.database.states import OrderFate, PriceMode
from core.errors import Code, Rejected
from core.media.waveform import Waveform

if TYPE_CHECKING:
    from core.http_client import HttpClient

BATCH = "-batch"
"""How the name of an engine's batch mode ends."""


class Mark(StrEnum):
    """What people did to a word: nothing; wrote it in place of what was heard; put it where nothing was."""

    HEARD = ""
    CORRECTED = "corrected"
    """Its times are those of the word that was heard there."""
    INTERPOLATED = "interpolated"
    """Its times are a guess, between its neighbours."""


class Named(Protocol):
    """What made a transcript: an engine, or whoever made a file that was brought."""

    @property
    def name(self) -> str:
        """Stable identifier."""

    @property
    def version(self) -> str:
        """Of what it writes; another one may write the same sound down otherwise."""


@dataclass(frozen=True)
class Word:
    """One word with its place, in seconds from the start of the segment (later: of the recording)."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None
    mark: Mark = Mark.HEARD


@dataclass(frozen=True)
class Phrase:
    """A part of a long segment, with its place in seconds from the segment's start."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    log_probability: float | None = None
    """Mean natural logarithm of the probability of a token, where the engine says it."""
    no_speech: float | None = None
    """Probability that nobody speaks here, where the engine says it."""


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


NOT_HERE = "its files are not here yet, the settings page gets them"
"""Why an engine is not ready whose model can be downloaded; it names no file of the server."""


class Engine(Protocol):
    """Anything that turns segments of sound into words."""

    name: str
    """Stable identifier: settings, the API and the reuse of transcripts use it."""
    title: str
    """What a person sees; says plainly when the engine is a toy or a demo."""
    version: str
    """Changes whenever results may change; part of the key under which transcripts are reused."""
    queue: str
    """Where its work runs: gpu, cpu, or io for engines elsewhere."""
    max_segment_s: float
    """Longest segment it takes, in seconds."""

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes it understands."""

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


@runtime_checkable
class TunableEngine(Engine, Protocol):
    """An engine that can be asked for more than the words: a translation into English, or some chance."""

    translates: bool
    """Whether its model knows how to translate into English."""
    varies: bool
    """Whether it takes a temperature."""

    def with_options(self, *, translate: bool, temperature: float, hints: str = "") -> Engine:
        """The same engine, asked so. `temperature` is 0 to 1: how much chance decides between words.

        `hints` are names and words that may be said; engines that take none are as good without.
        """


class Tunable:
    """What a TunableEngine keeps of how it was asked."""

    translate = False
    temperature = 0.0
    hints = ""

    def with_options(self, *, translate: bool, temperature: float, hints: str = "") -> Self:
        """A copy: nobody else's engine is changed."""
        engine = copy.copy(self)
        engine.translate, engine.temperature, engine.hints = translate, temperature, hints
        return engine


def with_options(engine: Engine, *, translate: bool, temperature: float, hints: str = "") -> Engine:
    """The engine as it is asked for; one that has no chance to play with is left as it is."""
    if isinstance(engine, TunableEngine) and (translate or temperature or hints):
        return engine.with_options(translate=translate, temperature=temperature, hints=hints)
    return engine


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


def compression(text: str) -> float:
    """By how much zlib shrinks a text: what repeats itself shrinks more."""
    content = text.encode()
    return len(content) / len(zlib.compress(content)) if content else 0.0


def spoken(engine: Engine, language: str) -> str:
    """The language to ask an engine for; one that was named may not know the one that is spoken."""
    return language if language in engine.languages else engine.languages[0]


ASKED = 2
"""Groups of segments that an engine which queues is asked about at a time."""


def transcribe_groups(
    engine: Engine, groups: Iterable[Sequence[Waveform]], language: str
) -> Generator[list[Speech], None, None]:
    """Answers group by group; while one is written down, an engine that queues hears the next."""
    if not isinstance(engine, StreamingEngine):
        yield from (engine.transcribe(group, language) for group in groups)
        return
    pending: deque[Pending] = deque()
    try:
        for group in groups:
            pending.append(engine.ask(group, language))
            if len(pending) == ASKED:
                yield pending.popleft().wait()
        while pending:
            yield pending.popleft().wait()
    finally:
        for each in pending:
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
