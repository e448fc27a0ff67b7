"""The past of the work in pictures: what ended when and how, how long it took, and one job's own story."""

from __future__ import annotations

import time

import altair as alt
import pandas as pd
import streamlit as st

from core.database.database import Database
from core.database.states import EmbeddingMode, JobKind, JobState, RunOutcome
from core.database.tables import Run, utc
from core.i18n import catalogue
from core.i18n.messages import N_
from core.monitor import job_list, monitor
from core.monitor.job_list import Detail, Stage
from core.queue import history
from core.queue.history import DAY, PeriodHistory, Timing
from core.queue.queues import QUEUES
from pages.components import address, charts, figures
from pages.components.common import (
    duration,
    facts,
    gettext,
    language,
    language_names,
    moment,
    number,
    plain,
    tight,
    translate_error,
    translated,
)
from pages.components.figures import Cell, Column

PERIODS = {
    "hour": N_("Last hour"),
    "day": N_("Last day"),
    "week": N_("Last week"),
    "month": N_("Last month"),
}
ENDS: dict[str, str] = {
    RunOutcome.DONE: N_("Done"),
    RunOutcome.FAILED: N_("Failed"),
    RunOutcome.CANCELLED: N_("Cancelled"),
}
COLOURS: dict[str, str] = {
    RunOutcome.DONE: "#2A9D8F",
    RunOutcome.FAILED: "#D1603D",
    RunOutcome.CANCELLED: "#8A9A98",
}
FORMATS = {"hour": "%H:%M", "day": "%H:%M", "week": "%-d %b", "month": "%-d %b"}
HEIGHT = 220
MODES: dict[str, str] = {EmbeddingMode.SYNC: N_("Now"), EmbeddingMode.BATCH: N_("In a batch")}


def took(seconds: float | None) -> str:
    """How long, with a digit more for what is short."""
    if seconds is not None and seconds < 10:
        return gettext("{s} s", s=number(seconds, 1))
    return duration(seconds)


def show_history(database: Database) -> None:
    """What ended within a period, by outcome, and how long it took by kind of work."""
    with st.container(horizontal=True):
        period = address.choice(
            "period", gettext("Time"), translated(PERIODS), usual="day", key="past-period"
        )
        queues = {"": gettext("Any queue"), **translated(QUEUES)}
        queue = address.choice("queue", gettext("Queue"), queues, key="past-queue")
        kinds = {"": gettext("Any work"), **translated(monitor.KINDS)}
        kind = address.choice("work", gettext("Work"), kinds, key="past-work")
    past = history.past(database, period, time.time(), queue, kind)
    if not past.slots:
        st.caption(gettext("Nothing ended in this time."))
        return
    rate = gettext("{time} of sound an hour", time=duration(past.audio_h_per_h * 3600))
    st.caption(facts(gettext("Transcribed on average: {rate}", rate=rate)))
    st.caption(
        gettext(
            "What ended is counted: a job that failed and was tried again each time, and jobs of recordings that "
            "are in the bin or deleted, too. The list of jobs has each job of the present recordings once."
        )
    )
    charts.show(_ends(past, period), "ends", HEIGHT)
    charts.show(_sound(past, period), "sound", HEIGHT)
    counted = [timing for timing in past.timings if timing.done or timing.failed or timing.cancelled]
    figures.style()
    figures.table(
        [Column(title, gettext(title), number=title != WORK) for title in TIMINGS],
        (_as_row(timing, twice=[one.kind for one in counted].count(timing.kind) > 1) for timing in counted),
    )


WORK, RAN, WAITED = N_("Work"), N_("Ran: 50%, 95%"), N_("Waited: 50%, 95%")
TIMINGS = (WORK, *ENDS.values(), RAN, WAITED, N_("Speed"))


def _ends(past: PeriodHistory, period: str) -> alt.Chart:
    titles = {name: gettext(text) for name, text in ENDS.items()}
    rows = [
        {"at": utc(slot.at), "outcome": titles[_end(slot.outcome)], "jobs": slot.jobs}
        for slot in past.slots
        if _end(slot.outcome) in titles
    ]
    colour = alt.Color(
        "outcome:N",
        title=None,
        scale=alt.Scale(domain=list(titles.values()), range=[COLOURS[name] for name in titles]),
        legend=alt.Legend(orient="bottom"),
    )
    jobs = alt.Y("sum(jobs):Q", title=gettext("Jobs"), axis=alt.Axis(tickMinStep=1, format="d"))
    return _bars(pd.DataFrame(rows, columns=["at", "outcome", "jobs"]), past, period).encode(
        y=jobs, color=colour
    )


def _sound(past: PeriodHistory, period: str) -> alt.Chart:
    hours = past.period.span_s / 3600
    rows = [
        {"at": utc(slot.at), "sound": slot.audio_s / 3600 / hours}
        for slot in past.slots
        if slot.kind == JobKind.TRANSCRIBE and slot.outcome == RunOutcome.DONE
    ]
    sound = alt.Y("sum(sound):Q", title=gettext("Hours of sound an hour"))
    frame = pd.DataFrame(rows, columns=["at", "sound"])
    return _bars(frame, past, period).encode(y=sound, color=alt.value(COLOURS[RunOutcome.DONE]))


def _bars(frame: pd.DataFrame, past: PeriodHistory, period: str) -> alt.Chart:
    ends = [utc(time.time() - past.period.seconds), utc(time.time())]
    days = past.period.span_s == DAY  # days are counted by UTC
    frame = frame.assign(until=frame["at"] + pd.Timedelta(seconds=past.period.span_s * 0.9))
    scale = alt.Scale(type="utc" if days else "time", domain=ends)
    axis = alt.Axis(format=FORMATS[period], labelOverlap=True, grid=False)
    start = alt.X("at:T", title=None, scale=scale, axis=axis)
    bars: alt.Chart = alt.Chart(frame).mark_bar().encode(x=start, x2="until:T")
    return bars


def _end(outcome: str) -> str:
    return RunOutcome.FAILED if outcome == RunOutcome.QUARANTINED else outcome


def _as_row(timing: Timing, *, twice: bool) -> dict[str, Cell | str]:
    """Work that two queues do says which of them."""
    work = gettext(monitor.KINDS.get(timing.kind, timing.kind))
    is_measured = timing.kind == JobKind.TRANSCRIBE and timing.speed
    return {
        WORK: f"{work}, {gettext(QUEUES.get(timing.queue, timing.queue))}" if twice else work,
        ENDS[RunOutcome.DONE]: number(timing.done),
        ENDS[RunOutcome.FAILED]: number(timing.failed),
        ENDS[RunOutcome.CANCELLED]: number(timing.cancelled),
        RAN: f"{took(timing.run_p50_s)}, {took(timing.run_p95_s)}",
        WAITED: f"{took(timing.wait_p50_s)}, {took(timing.wait_p95_s)}",
        "Speed": f"{number(timing.speed, 1)}×" if is_measured and timing.speed else catalogue.NOTHING,
    }


# One job


def about(detail: Detail) -> str:
    """What is known of a job, on a quiet line."""
    task, job = detail.task, detail.job
    return facts(
        gettext(monitor.KINDS.get(job.kind, job.kind)),
        gettext(job_list.STATES[job.state]),
        gettext(QUEUES.get(job.queue, job.queue)),
        moment(job.created_at),
        gettext("engine {name}", name=plain(task.engine)),
        language_names([task.language]),
        gettext(MODES[task.embedding_mode]),
        gettext("cost {usd}", usd=plain(catalogue.money(float(detail.usd), language())))
        if detail.usd
        else gettext("cost nothing"),
    )


def timeline(stages: list[Stage]) -> None:
    """Each stage of a task with its attempts."""
    for stage in stages:
        job = stage.job
        with tight(key=f"row-stage-{job.id}"):
            st.markdown(
                facts(
                    f"**{gettext(monitor.KINDS.get(job.kind, job.kind))}**",
                    gettext(job_list.STATES[job.state]),
                )
            )
            for n, run in enumerate(stage.attempts, 1):
                st.caption(_attempt(n, run))
            if job.state == JobState.RUNNING:
                st.caption(
                    facts(gettext("in hand of {name}", name=plain(job.worker)), moment(job.started_at))
                )


def _attempt(n: int, run: Run) -> str:
    return facts(
        gettext("attempt {n}", n=n),
        gettext(job_list.OUTCOMES.get(run.outcome, run.outcome)),
        moment(run.started_at),
        gettext("waited {time}", time=took(run.waited_s)),
        gettext("ran {time}", time=took(run.ended_at - run.started_at)),
        plain(run.worker),
        translate_error(run.error) if run.error else "",
    )
