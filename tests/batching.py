"""Recordings that wait for vectors, an emulated provider, and a clock that moves both."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import select

from core.application import Journey
from core.database.tables import Batch, Job, PassageRow, Recording, Task, Text, Transcript
from core.search.index import Row
from core.search.passages import refresh_meaning
from core.settings import Settings
from tools.gemini_emulator import Control

SUBJECTS = (
    "Бюджет следующего квартала",
    "Ремонт крыши на складе",
    "Отпуск бухгалтера",
    "Поставка бумаги",
    "Новый договор аренды",
    "Проверка пожарной безопасности",
    "Обучение водителей",
    "Жалоба соседей на шум",
)


def sentences(number: int, start: int = 0) -> list[str]:
    """So many different Russian texts."""
    return [
        f"{SUBJECTS[n % len(SUBJECTS)]}: пункт {n}, решили перенести на {n + 3} число и записать."
        for n in range(start, start + number)
    ]


def installation(home: Path, url: str, clock_offset_s: float = 0.0, **settings: object) -> Journey:
    """A journey whose vectors come from the emulator at `url`; its clock is ahead by the offset."""
    usual = {"embedding_dim": 64, "batch_min_size": 1, "batch_max_wait_s": 0, "gemini_api_key": "test"}
    here = Journey(Settings(stenogram_home=home, gemini_base_url=url, **(usual | settings)))
    set_clock(here, clock_offset_s)
    return here


def set_clock(here: Journey, offset_s: float) -> None:
    """All of batching lives so many seconds ahead."""

    def clock() -> float:
        return time.time() + offset_s

    here.batches.now = here.batches.view.now = here.batches.planner.now = here.batches.intents.now = (
        here.ledger.now
    ) = clock


def recording(here: Journey, texts: Sequence[str], lane: str = "batch", title: str = "r") -> str:
    """A transcribed recording with a passage for each text, searchable by words; its id."""
    digest = hashlib.sha256(title.encode()).hexdigest()
    with here.records.write() as session:
        transcript = Transcript(
            key=title, sha256=digest, engine="none", engine_version="1", language="ru", complete=True
        )
        row = Recording(
            owner="pages",
            sha256=digest,
            filename=title,
            title=title,
            language="ru",
            size_bytes=1,
            duration_s=60.0 * len(texts),
        )
        session.add_all([transcript, row])
        session.flush()
        row.transcript_id = transcript.id
        task = Task(
            recording_id=row.id,
            transcript_id=transcript.id,
            owner="pages",
            engine="none",
            language="ru",
            lane=lane,
            status="completed",
        )
        passages = [_passage(row.id, n, text, lane) for n, text in enumerate(texts)]
        session.add_all([task, *passages])
        refresh_meaning(session, row.id)
    here.index_store.put(row.id, [_row(row, passage) for passage in passages])
    return row.id


def _passage(recording_id: str, n: int, text: str, lane: str) -> PassageRow:
    return PassageRow(
        id=hashlib.sha256(f"{recording_id}{n}".encode()).hexdigest()[:32],
        recording_id=recording_id,
        n=n,
        start_s=45.0 * n,
        end_s=45.0 * n + 45,
        speaker="",
        language="ru",
        text=text,
        lane=lane,
        meaning="waiting",
    )


def _row(recording: Recording, passage: PassageRow) -> Row:
    times = (passage.start_s, passage.end_s)
    return Row(passage.id, recording.id, recording.owner, *times, passage.text, "ru", "")


def run(
    here: Journey,
    emulator: Control,
    *,
    done: Callable[[], bool] | None = None,
    rounds: int = 100,
    step_s: float = 61,
    ahead_s: float = 0,
) -> None:
    """Tick, with a minute passing between ticks for both sides, until `done`."""
    for _ in range(rounds):
        set_clock(here, ahead_s)
        here.batches.tick()
        embed_now(here)
        if (done or (lambda: idle(here)))():
            return
        emulator.advance(step_s)
        ahead_s += step_s
    raise AssertionError(f"not done after {rounds} rounds: {states(here)}")


def embed_now(here: Journey) -> None:
    """Do the jobs that make vectors now."""
    with here.records.read() as session:
        ready = list(session.scalars(select(Job.id).where(Job.kind == "embed", Job.state == "ready")))
    for job_id in ready:
        if claim := here.work.claim(job_id, "test"):
            here.embed(claim)


def idle(here: Journey) -> bool:
    """Nothing waits and nothing is under way."""
    return not set(meanings(here)) & {"waiting"} and not here.batches.intents.in_flight()[0]


def batches(here: Journey) -> list[Batch]:
    with here.records.read() as session:
        return list(session.scalars(select(Batch).order_by(Batch.created_at)))


def states(here: Journey) -> list[str]:
    return [batch.state for batch in batches(here)]


def texts(here: Journey) -> list[Text]:
    with here.records.read() as session:
        return list(session.scalars(select(Text)))


def passages(here: Journey) -> list[PassageRow]:
    with here.records.read() as session:
        return list(session.scalars(select(PassageRow).order_by(PassageRow.recording_id, PassageRow.n)))


def meanings(here: Journey) -> list[str]:
    return [passage.meaning for passage in passages(here)]
