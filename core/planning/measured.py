"""What this installation has measured itself, as figures for estimates: tokens, talk, speeds, waits.

Everything comes from work that was really done: the ledger's tokens, transcripts, jobs and batches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import (
    BatchState,
    JobKind,
    JobState,
    OrderState,
    PaymentState,
    PriceMode,
    TaskStatus,
)
from core.database.tables import Batch, Job, Order, PassageRow, Payment, Recording, Segment, Task, Transcript

ENOUGH_TOKENS = 200
ENOUGH_CALLS = 5
ENOUGH_S = 20.0
"""With less than that nothing is said."""
ENOUGH_SPEED_S = 600.0
"""Of less sound mostly the loading of the model would be measured."""
LAST = 40
"""So many of the newest transcripts, calls or batches speak for all."""
LETTERS_A_TOKEN = 2
"""Promises in the ledger count a token for each two letters (`embed.tokens_at_most`)."""
GRAIN = Decimal("0.001")
WORKED = (Job.state == JobState.DONE, Job.kind.in_((JobKind.PREPARE, JobKind.TRANSCRIBE)))


@dataclass(frozen=True)
class Measured:
    """Figures by the names of assumptions, speeds by engine (sound a second of work), waits by lane."""

    figures: Mapping[str, Decimal] = field(default_factory=dict)
    speeds: Mapping[str, Decimal] = field(default_factory=dict)
    waits_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass
class _Talk:
    """What was said in some recordings of one language."""

    sound_s: float = 0.0
    words: int = 0
    letters: int = 0
    passages: int = 0
    passage_letters: int = 0


def measured(database: Database) -> Measured:
    """All that is known by now; what was not measured is missing."""
    with database.read() as session:
        talk = _talk(session)
        letters = _letters_a_token(session)
        figures = {**_of_talk(talk, letters), **_of_calls(session)}
        return Measured(figures, _speeds(session), _waits_s(session))


def _letters_a_token(session: Session) -> dict[str, Decimal]:
    """By language, from what providers said that they counted."""
    sums = (
        select(Recording.language, func.sum(Payment.tokens_estimated), func.sum(Payment.tokens))
        .join(Recording, Recording.id == Payment.recording_id)
        .where(Payment.state == PaymentState.SETTLED, Payment.provider == "gemini", Payment.tokens > 0)
        .group_by(Recording.language)
    )
    return {
        language: LETTERS_A_TOKEN * Decimal(promised) / Decimal(counted)
        for language, promised, counted in session.execute(sums)
        if counted >= ENOUGH_TOKENS
    }


def _talk(session: Session) -> dict[str, _Talk]:
    """By language, over the newest recordings that have a transcript."""
    newest = (
        select(Recording.id, Recording.language, Recording.transcript_id, Transcript.duration_s)
        .join(Transcript, Transcript.id == Recording.transcript_id)
        .where(Transcript.duration_s > 0)
        .order_by(Recording.created_at.desc())
    )
    talks: dict[str, _Talk] = {}
    for recording_id, language, transcript_id, duration_s in session.execute(newest.limit(LAST)).all():
        talk = talks.setdefault(language, _Talk())
        texts = list(session.scalars(select(Segment.text).where(Segment.transcript_id == transcript_id)))
        sent = list(session.scalars(select(PassageRow.text).where(PassageRow.recording_id == recording_id)))
        _count(talk, duration_s or 0.0, texts, sent)
    return {language: talk for language, talk in talks.items() if talk.sound_s >= ENOUGH_S and talk.words}


def _count(talk: _Talk, duration_s: float, texts: Iterable[str | None], sent: Iterable[str]) -> None:
    for text in texts:
        talk.words += len((text or "").split())
        talk.letters += len(text or "")
    for text in sent:
        talk.passages += 1
        talk.passage_letters += len(text)
    talk.sound_s += duration_s


def _of_talk(talk: Mapping[str, _Talk], letters: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Words a minute and tokens a word by language; length and overlap of passages over all."""
    figures = {f"chars_per_token:{language}": each.quantize(GRAIN) for language, each in letters.items()}
    for language, each in talk.items():
        figures[f"words_per_minute:{language}"] = _ratio(each.words, each.sound_s / 60)
        if language in letters and each.letters:
            a_word = Decimal(each.letters) / each.words
            figures[f"tokens_per_word:{language}"] = (a_word / letters[language]).quantize(GRAIN)
    everything = list(talk.values())
    passages = sum(each.passages for each in everything)
    if passages and sum(each.letters for each in everything):
        sent, spoken_letters = (
            sum(each.passage_letters for each in everything),
            sum(e.letters for e in everything),
        )
        figures["passage_overlap"] = _ratio(sent, spoken_letters)
        figures["passage_s"] = _ratio(sum(each.sound_s for each in everything), passages)
    return {name: value for name, value in figures.items() if value > 0}


def _of_calls(session: Session) -> dict[str, Decimal]:
    """How long a sync call takes, from asking to the answer."""
    calls = (
        select(func.max(Payment.ended_at) - func.min(Payment.at))
        .where(
            Payment.provider == "gemini",
            Payment.mode == PriceMode.SYNC,
            Payment.state == PaymentState.SETTLED,
        )
        .where(Payment.ended_at.is_not(None))
        .group_by(Payment.call_id)
        .order_by(func.max(Payment.at).desc())
    )
    took_s = [each or 0.0 for each in session.scalars(calls.limit(LAST))]
    return {"call_s": _ratio(sum(took_s), len(took_s))} if len(took_s) >= ENOUGH_CALLS else {}


def _speeds(session: Session) -> dict[str, Decimal]:
    """Seconds of sound for a second of work, both jobs of a task together, by engine."""
    newest = (
        select(Task.id)
        .join(Job, Job.task_id == Task.id)
        .where(Task.status == TaskStatus.COMPLETED, *WORKED)
        .group_by(Task.id)
        .having(func.count() == 2)
        .order_by(Task.completed_at.desc())
        .limit(LAST)
    )
    jobs = (
        select(Task.engine, Task.id, Recording.duration_s, Job.worker, Job.started_at, Job.finished_at)
        .join(Job, Job.task_id == Task.id)
        .join(Recording, Recording.id == Task.recording_id)
        .where(Task.id.in_(newest.scalar_subquery()), *WORKED)
    )
    sound: dict[str, dict[str, float]] = defaultdict(dict)
    work: dict[str, dict[str | None, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for engine, task_id, sound_s, worker, began, ended in session.execute(jobs):
        sound[engine][task_id] = sound_s or 0.0
        work[engine][worker].append((began or 0.0, ended or 0.0))
    sums = {
        engine: (sum(lengths.values()), sum(map(_covered_s, work[engine].values())))
        for engine, lengths in sound.items()
    }
    enough = {engine: pair for engine, pair in sums.items() if pair[0] >= ENOUGH_SPEED_S and pair[1] > 0}
    return {engine: _ratio(sound_s, worked_s) for engine, (sound_s, worked_s) in enough.items()}


def _covered_s(times: Iterable[tuple[float, float]]) -> float:
    """How long a worker was at it: jobs side by side share its time."""
    covered_s, until = 0.0, float("-inf")
    for began, ended in sorted(times):
        covered_s += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return covered_s


def _waits_s(session: Session) -> dict[str, tuple[float, ...]]:
    """From ordering a batch to its result, the newest ones, by `provider/mode`."""
    vectors = select(Batch.ended_at - Batch.submitted_at).where(
        Batch.state == BatchState.COMPLETE, Batch.ended_at > Batch.submitted_at
    )
    groq = select(Order.finished_at - Order.submitted_at).where(
        Order.engine == "groq-batch", Order.state == OrderState.DONE, Order.finished_at > Order.submitted_at
    )
    return {
        "gemini/batch": tuple(session.scalars(vectors.order_by(Batch.created_at.desc()).limit(LAST))),
        "groq/batch": tuple(session.scalars(groq.order_by(Order.created_at.desc()).limit(LAST))),
    }


def _ratio(one: float, other: float) -> Decimal:
    return (Decimal(str(one)) / Decimal(str(other))).quantize(GRAIN) if other else Decimal(0)
