"""Recordings that wait for vectors, an emulated provider, and a clock that moves both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import select

from core.application import Application
from core.database.tables import Batch, EmbeddingRequestRow, Job, PassageRow, Recording, Task, Transcript
from core.search.index import Row
from core.search.passages import refresh_embedding_status
from core.settings import Settings
from tests.clock import Clock
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


def installation(home: Path, url: str, clock_offset_s: float = 0.0, **settings: object) -> Application:
    """An installation whose vectors come from the emulator at `url`; its clock is ahead by the offset."""
    usual = {"embedding_dim": 64, "batch_min_size": 1, "batch_max_wait_s": 0, "gemini_api_key": "test"}
    where = Settings(stenogram_home=home, gemini_base_url=url, **(usual | settings))
    return Application(where, clock=Clock(clock_offset_s))


def set_clock(app: Application, offset_s: float) -> None:
    """The installation lives so many seconds ahead."""
    app.clock.ahead_s = offset_s


def recording(app: Application, texts: Sequence[str], mode: str = "batch", title: str = "r") -> str:
    """A transcribed recording with a passage for each text, searchable by words; its id."""
    digest = hashlib.sha256(title.encode()).hexdigest()
    with app.database.write() as session:
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
            embedding_mode=mode,
            status="completed",
        )
        passages = [_passage(row.id, n, text, mode) for n, text in enumerate(texts)]
        session.add_all([task, *passages])
        refresh_embedding_status(session, row.id)
    app.index.put(row.id, [_row(row, passage) for passage in passages])
    return row.id


def _passage(recording_id: str, n: int, text: str, mode: str) -> PassageRow:
    return PassageRow(
        id=hashlib.sha256(f"{recording_id}{n}".encode()).hexdigest()[:32],
        recording_id=recording_id,
        n=n,
        start_s=45.0 * n,
        end_s=45.0 * n + 45,
        speaker="",
        language="ru",
        text=text,
        embedding_mode=mode,
        embedding_status="waiting",
    )


def _row(recording: Recording, passage: PassageRow) -> Row:
    times = (passage.start_s, passage.end_s)
    return Row(passage.id, recording.id, recording.owner, *times, passage.text, "ru", "")


def run(
    app: Application,
    emulator: Control,
    *,
    done: Callable[[], bool] | None = None,
    rounds: int = 100,
    step_s: float = 61,
    ahead_s: float = 0,
) -> None:
    """Tick, with a minute passing between ticks for both sides, until `done`."""
    for _ in range(rounds):
        set_clock(app, ahead_s)
        app.batches.tick()
        embed_now(app)
        if (done or (lambda: idle(app)))():
            return
        emulator.advance(step_s)
        ahead_s += step_s
    raise AssertionError(f"not done after {rounds} rounds: {states(app)}")


def embed_now(app: Application) -> None:
    """Do the jobs that make vectors now."""
    with app.database.read() as session:
        ready = list(session.scalars(select(Job.id).where(Job.kind == "embed", Job.state == "ready")))
    for job_id in ready:
        if claim := app.job_queue.claim(job_id, "test"):
            app.pipeline.stages["embed"].run(claim)


def idle(app: Application) -> bool:
    """Nothing waits and nothing is under way."""
    return not set(meanings(app)) & {"waiting"} and not app.batches.store.in_flight()[0]


def batches(app: Application) -> list[Batch]:
    with app.database.read() as session:
        return list(session.scalars(select(Batch).order_by(Batch.created_at)))


def states(app: Application) -> list[str]:
    return [batch.state for batch in batches(app)]


def texts(app: Application) -> list[EmbeddingRequestRow]:
    with app.database.read() as session:
        return list(session.scalars(select(EmbeddingRequestRow)))


def passages(app: Application) -> list[PassageRow]:
    with app.database.read() as session:
        return list(session.scalars(select(PassageRow).order_by(PassageRow.recording_id, PassageRow.n)))


def meanings(app: Application) -> list[str]:
    return [passage.embedding_status for passage in passages(app)]
