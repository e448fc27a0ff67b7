"""The past of the work in pictures: what ended when and how, how long it took, and one job's own story."""

from __future__ import annotations

import math
import time

import altair as alt
import pandas as pd
import streamlit as st

from core.database.database import Database
from core.database.states import EmbeddingMode, JobKind, JobState, RunOutcome
from core.database.tables import Run, utc
from core.i18n.catalogue import money
from core.i18n.messages import N_
from core.monitor import job_list, monitor
from core.monitor.job_list import Detail, Stage
from core.queue import history
from core.queue.history import DAY, Past, Timing
from core.queue.queues import QUEUES
from pages.components.common import (
    duration,
    facts,
    gettext,
    language_names,
    moment,
    number,
    plain,
    tight,
    translate_error,
)

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
FORMATS = {"hour": "%H:%M", "day": "%H:%M", "week": "%d.%m", "month": "%d.%m"}
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
        period = _choose("period", {name: gettext(text) for name, text in PERIODS.items()}, first="day")
        queue = _choose(
            "queue", {"": gettext("Any queue"), **{name: gettext(text) for name, text in QUEUES.items()}}
        )
        kind = _choose(
            "work", {"": gettext("Any work"), **{k: gettext(text) for k, text in monitor.KINDS.items()}}
        )
    past = history.past(database, period, time.time(), queue, kind)
    if not past.slots:
        st.caption(gettext("Nothing ended in this time."))
        return
    rate = gettext("{n} h of sound an hour", n=number(past.audio_h_per_h, digits(past.audio_h_per_h)))
    st.caption(facts(gettext("Transcribed on average: {rate}", rate=rate)))
    st.altair_chart(_ends(past, period), key="ends")
    st.altair_chart(_sound(past, period), key="sound")
    st.dataframe(pd.DataFrame([_as_row(timing) for timing in past.timings]), hide_index=True)


def digits(value: float) -> int:
    """Two, or as many as show the first two that are not 0."""
    return max(2, 1 - math.floor(math.log10(value))) if value > 0 else 2


def _choose(name: str, options: dict[str, str], first: str = "") -> str:
    given = st.query_params.get(name, first)
    index = list(options).index(given if given in options else first)
    chosen = str(
        st.selectbox(
            name,
            options,
            index,
            format_func=options.__getitem__,
            key=f"past-{name}",
            label_visibility="collapsed",
        )
    )
    if chosen != first and st.query_params.get(name) != chosen:
        st.query_params[name] = chosen
    elif chosen == first:
        st.query_params.pop(name, None)
    return chosen


def _ends(past: Past, period: str) -> alt.Chart:
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


def _sound(past: Past, period: str) -> alt.Chart:
    hours = past.period.span_s / 3600
    rows = [
        {"at": utc(slot.at), "sound": slot.audio_s / 3600 / hours}
        for slot in past.slots
        if slot.kind == JobKind.TRANSCRIBE and slot.outcome == RunOutcome.DONE
    ]
    sound = alt.Y("sum(sound):Q", title=gettext("Hours of sound an hour"))
    frame = pd.DataFrame(rows, columns=["at", "sound"])
    return _bars(frame, past, period).encode(y=sound, color=alt.value(COLOURS[RunOutcome.DONE]))


def _bars(frame: pd.DataFrame, past: Past, period: str) -> alt.Chart:
    ends = [utc(time.time() - past.period.seconds), utc(time.time())]
    days = past.period.span_s == DAY  # days are counted by UTC
    frame = frame.assign(until=frame["at"] + pd.Timedelta(seconds=past.period.span_s * 0.9))
    scale = alt.Scale(type="utc" if days else "time", domain=ends)
    axis = alt.Axis(format=FORMATS[period], labelOverlap=True, grid=False)
    start = alt.X("at:T", title=None, scale=scale, axis=axis)
    bars: alt.Chart = alt.Chart(frame, height=HEIGHT).mark_bar().encode(x=start, x2="until:T")
    return bars


def _end(outcome: str) -> str:
    return RunOutcome.FAILED if outcome == RunOutcome.QUARANTINED else outcome


def _as_row(timing: Timing) -> dict[str, object]:
    return {
        gettext("Work"): gettext(monitor.KINDS.get(timing.kind, timing.kind)),
        gettext("Done"): timing.done,
        gettext("Failed"): timing.failed,
        gettext("Cancelled"): timing.cancelled,
        gettext("Ran: 50 %, 95 %"): f"{took(timing.run_p50_s)}, {took(timing.run_p95_s)}",
        gettext("Waited: 50 %, 95 %"): f"{took(timing.wait_p50_s)}, {took(timing.wait_p95_s)}",
        gettext("Speed"): f"{number(timing.speed, 1)}×"
        if timing.kind == JobKind.TRANSCRIBE and timing.speed
        else "",
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
        gettext("cost {usd}", usd=plain(money(float(detail.usd)))) if detail.usd else gettext("cost nothing"),
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
