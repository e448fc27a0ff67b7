"""Doing queued work inside a test, by the same door that workers use."""

from __future__ import annotations

from sqlalchemy import select

from core.application import Journey
from core.database.tables import Job
from jobs import actors


def ready(here: Journey) -> list[Job]:
    """Jobs that could run now, oldest first."""
    with here.records.read() as session:
        waiting = select(Job).where(Job.state == "ready", Job.run_at <= here.work.now())
        return list(session.scalars(waiting.order_by(Job.created_at)))


def perform_all(here: Journey) -> None:
    """Do all ready jobs, and those that follow from them."""
    while todo := ready(here):
        for job in todo:
            actors.perform(here, job.id)
