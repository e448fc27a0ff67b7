"""Doing queued work inside a test, by the same door that workers use."""

from __future__ import annotations

from sqlalchemy import select

from core.application import Application
from core.database.tables import Job
from jobs import actors


def ready(app: Application) -> list[Job]:
    """Jobs that could run now, oldest first."""
    with app.database.read() as session:
        waiting = select(Job).where(Job.state == "ready", Job.run_at <= app.job_queue.now())
        return list(session.scalars(waiting.order_by(Job.created_at)))


def perform_all(app: Application) -> None:
    """Do all ready jobs, and those that follow from them."""
    while todo := ready(app):
        for job in todo:
            actors.perform(app, job.id)
