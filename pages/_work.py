"""Work as people watch it: what runs, what waits, what failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core import journey, monitor
from core.monitor import Now, Running, Waiting
from core.queues import QUEUES
from core.records import Recording
from pages._parts import WHO, duration, explain, facts, line, live, moment, number, plain, say, say_many


def live_work() -> None:
    """Everything that goes on, kept up to date while something does."""
    live(_draw, moving=monitor.active(journey.current().records))


def _draw() -> bool:
    now = monitor.now(journey.current().records, WHO)
    if not now.workers:
        st.warning(say("No worker is running: work waits until the tool is started with make run."))
    _running(now)
    _waiting(now)
    _delayed(now)
    _failed(now)
    return now.active


def _running(now: Now) -> None:
    st.subheader(say("In work"), anchor=False)
    if not now.running:
        st.caption(say("Nothing is running. Work begins when a recording is uploaded."))
    for running in now.running:
        with _line(running.recording, running.job.id):
            if running.task.status == "processing" and st.button(
                say("Cancel"), key=f"cancel-{running.job.id}", type="tertiary"
            ):
                journey.current().cancel(WHO, running.task.id)
                st.rerun()
        if running.task.status == "processing":
            st.progress(running.task.progress, _pace(running))
        else:
            st.caption(_pace(running))


def _pace(running: Running) -> str:
    return facts(
        say(monitor.KINDS.get(running.job.kind, "In work")),
        say("{speed}× real time", speed=number(running.speed, 1)) if running.speed else "",
        say("{time} left", time=duration(running.left_s)) if running.left_s else "",
        say("attempt {n}", n=running.job.starts) if running.job.starts > 1 else "",
    )


def _waiting(now: Now) -> None:
    if now.waiting:
        st.subheader(say("Waiting"), anchor=False)
    for queue in now.waiting:
        st.markdown(say(QUEUES.get(queue.queue, queue.queue)))
        st.caption(_depth(queue))


def _depth(queue: Waiting) -> str:
    return facts(
        say_many("{n} job", "{n} jobs", queue.jobs),
        say("{time} of sound", time=duration(queue.audio_s)),
        say("the oldest waits {time}", time=duration(max(0.0, queue.age_s))),
    )


def _delayed(now: Now) -> None:
    if now.delayed:
        st.subheader(say("Postponed"), anchor=False)
    for delayed in now.delayed:
        with _line(delayed.recording, delayed.job.id):
            st.caption(say("next try {time}", time=moment(delayed.job.run_at)), width="content")
        st.caption(explain(delayed.job.error or {}))


def _failed(now: Now) -> None:
    if now.failed:
        st.subheader(say("Failed"), anchor=False)
    for failed in now.failed:
        with _line(failed.recording, failed.job.id):
            if st.button(say("Try again"), key=f"retry-{failed.job.id}", type="tertiary"):
                journey.current().retry(WHO, failed.task.id)
                st.rerun()
        reason = explain(failed.error) if failed.error else say("Something went wrong.")
        st.caption(facts(say(monitor.KINDS.get(failed.job.kind, "In work")), reason))


@contextmanager
def _line(recording: Recording, key: str) -> Iterator[None]:
    """A recording's title, with what can be done about it on the right."""
    with line(key=f"line-{key}"):
        st.page_link(
            "recording.py",
            label=plain(recording.title),
            query_params={"id": recording.id},
            help="",
            width="stretch",
        )
        yield
