"""The views of the monitor: what goes on, what failed, who works, and what can be done about it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from core import journey, library
from core.chores import EVERY_S, TITLES
from core.queues import QUEUES
from core.records import Action, Chore, Worker
from core.watch import failures, health, joblist, monitor
from core.watch.actions import PRIORITIES, WHATS, waiting_in
from core.watch.failures import Group
from core.watch.joblist import COUNTED, PAGE, Filter, Line
from core.words import phrase
from jobs import actors
from pages._batches import show_batches
from pages._history import show_history, took
from pages._live import actions, attempt, board, button, follow, who
from pages._parts import (
    coverage,
    duration,
    explain,
    facts,
    language,
    line,
    moment,
    plain,
    say,
    say_many,
    size,
    tight,
)

SINCE_S = {"": 0, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
SINCE = {
    "": phrase("Any time"),
    "hour": phrase("Last hour"),
    "day": phrase("Last day"),
    "week": phrase("Last week"),
}
PARTS = {
    "database": phrase("Database"),
    "broker": phrase("Queue broker"),
    "workers": phrase("Workers"),
    "index": phrase("Search index"),
    "disk": phrase("Disk"),
    "engine": phrase("Engine"),
}


FITTING = "fitting"
DELETE = phrase("Delete for good")
GONE = phrase("The tasks go for good, and recordings that came by the API with their last task.")


def choose(name: str, label: str, options: dict[str, str]) -> str:
    """A choice that the link carries."""
    given = st.query_params.get(name, "")
    index = list(options).index(given) if given in options else 0
    chosen = st.selectbox(
        label, options, index, format_func=options.__getitem__, key=f"by-{name}", label_visibility="collapsed"
    )
    return _carried(name, str(chosen))


def _carried(name: str, value: str) -> str:
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value:
        st.query_params.pop(name, None)
    return value


def view() -> str:
    """Which view; the link carries it."""
    given = st.query_params.get("view", "")
    chosen = st.segmented_control(
        say("View"),
        list(VIEWS),
        default=given if given in VIEWS else "now",
        required=True,
        format_func=lambda name: say(VIEWS[name][0]),
        label_visibility="collapsed",
        key="view",
    )
    _carried("view", "" if chosen == "now" else str(chosen))
    return str(chosen)


def show(name: str) -> None:
    """Draw a view, anew when work begins or ends."""
    draw = VIEWS[name][1]

    @st.fragment
    def shown() -> None:
        draw()
        if draw is not _now:
            follow()

    shown()


def _now() -> None:
    board()


def _history() -> None:
    show_history(journey.current().records)


# Jobs


def _jobs() -> None:
    wanted = _filter()
    records = journey.current().records
    page = st.session_state.get("job-page", 1)
    found = joblist.find(records, who(), wanted, offset=PAGE * (page - 1))
    if not found.total:
        st.caption(say("No job fits this filter."))
        return
    count = (
        say("more than {n} jobs", n=COUNTED) if found.more else say_many("{n} job", "{n} jobs", found.total)
    )
    st.caption(count)
    table = pd.DataFrame([_as_row(one) for one in found.lines])
    shown = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun" if actions().allowed else "ignore",
        selection_mode="multi-row",
        column_config={say("Job"): st.column_config.LinkColumn(display_text=say("open"), width="small")},
        key="jobs",
    )
    if found.total > PAGE:
        st.pagination(-(-found.total // PAGE), key="job-page")
    if actions().allowed:
        rows = shown["selection"]["rows"]  # type: ignore[index]
        ticked = [found.lines[n].task.id for n in rows if n < len(found.lines)]
        if ticked:
            _chosen(ticked)
        elif st.button(say("Do something with all that fit…"), key="all"):
            st.session_state[FITTING] = joblist.tasks(records, who(), wanted)
    if actions().allowed and FITTING in st.session_state:
        _all_fitting(st.session_state[FITTING])


def _filter() -> Filter:
    records = journey.current().records
    with st.container(horizontal=True):
        states = {"": say("Any state"), **{name: say(text) for name, text in joblist.STATES.items()}}
        kinds = {"": say("Any work"), **{name: say(text) for name, text in monitor.KINDS.items()}}
        engines = {"": say("Any engine"), **{name: name for name in joblist.engines(records)}}
        state, kind = choose("state", say("State"), states), choose("kind", say("Work"), kinds)
        engine = choose("engine", say("Engine"), engines)
        since = choose("since", say("Time"), {name: say(text) for name, text in SINCE.items()})
    with st.container(horizontal=True):
        title, error = _text("title", say("Part of a title")), _text("error", say("Part of an error"))
    began = time.time() - SINCE_S[since] if since else 0.0
    return Filter(state, kind, engine, title, error, began, language())


def _text(name: str, label: str) -> str:
    return st.text_input(
        label, placeholder=label, key=name, bind="query-params", label_visibility="collapsed"
    )


def _as_row(one: Line) -> dict[str, object]:
    job = one.job
    ran_s = (job.finished_at or time.time()) - job.started_at if job.started_at else None
    return {
        say("Job"): f"/job?id={job.id}",
        say("Recording"): one.recording.title,
        say("Work"): say(monitor.KINDS.get(job.kind, job.kind)),
        say("State"): say(joblist.STATES[job.state]),
        say("Made"): moment(job.created_at),
        say("Took"): took(ran_s) if job.state not in {"ready"} else "",
        say("Engine"): one.task.engine,
        say("Why"): explain(job.error).replace("\\", "") if job.error else "",
    }


def _chosen(task_ids: Sequence[str]) -> None:
    """What can be done with the rows that are ticked."""
    ids = list(dict.fromkeys(task_ids))
    with st.container(horizontal=True, key="chosen"):
        button(say("Cancel"), "cancel-all", lambda: actions().cancel(ids))
        button(say("Try again"), "retry-all", lambda: actions().retry(ids))
        for priority, name in PRIORITIES.items():
            button(say(name), f"urge-{priority}", functools.partial(actions().prioritise, ids, priority))
        with st.popover(say("Delete")):
            st.write(say(GONE))
            button(say("Delete for good"), "delete-all", lambda: actions().delete(ids))


def _all_fitting(ids: Sequence[str]) -> None:
    """Ask what to do with all tasks that fitted the filter when this was opened; stays open meanwhile."""

    @st.dialog(say("All that fit the filter"), on_dismiss=_close)
    def asked() -> None:
        st.write(say_many("{n} task fits.", "{n} tasks fit.", len(ids)))
        steps = _steps(ids)
        step = st.selectbox(say("What to do"), steps, format_func=say, index=None, key="all-step")
        if step == DELETE:
            st.write(say(GONE))
        label = say_many("Yes, with {n} task", "Yes, with all {n} tasks", len(ids))
        if st.button(label, type="primary", disabled=not step, key="all-yes"):
            attempt(steps[step])
            _close()
            st.rerun()

    asked()


def _close() -> None:
    st.session_state.pop(FITTING, None)


def _steps(ids: Sequence[str]) -> dict[str, Callable[[], object]]:
    """What can be done with many tasks, by its name."""
    return {
        phrase("Cancel"): functools.partial(actions().cancel, ids),
        phrase("Try again"): functools.partial(actions().retry, ids),
        **{name: functools.partial(actions().prioritise, ids, n) for n, name in PRIORITIES.items()},
        DELETE: functools.partial(actions().delete, ids),
    }


# Failures


def _failures() -> None:
    found = failures.groups(journey.current().records, who())
    if not found:
        st.caption(say("Nothing has failed."))
    for n, group in enumerate(found):
        _group(n, group)


def _group(n: int, group: Group) -> None:
    with tight(key=f"row-group-{n}"):
        with line():
            st.markdown(
                explain(group.error) if group.error else say("Something went wrong."), width="stretch"
            )
            if actions().allowed:
                label = say("Try all again")
                again = functools.partial(actions().retry_group, group.message, group.kind)
                button(label, f"retry-group-{n}", again)
        if group.fix:
            st.caption(f"**{explain(group.fix)}**")
        st.caption(
            facts(
                say(monitor.KINDS.get(group.kind, group.kind)),
                say_many("{n} job", "{n} jobs", group.jobs),
                say("since {time}", time=moment(group.since)),
                plain(", ".join(group.titles)),
            )
        )


# Workers, queues, routines


def _workers() -> None:
    here = journey.current()
    now = monitor.now(here.records, who())
    busy = {one.job.worker: one for one in now.running}
    waiting = {one.queue: one for one in now.waiting}
    st.subheader(say("Queues"), anchor=False)
    for queue, title in QUEUES.items():
        _queue(queue, title, waiting[queue].jobs if queue in waiting else 0, paused=queue in now.paused)
    st.subheader(say("Workers"), anchor=False)
    if not now.workers:
        st.caption(say("No worker is running: work waits until the tool is started with make run."))
    for worker in now.workers:
        _worker(worker, plain(busy[worker.name].recording.title) if worker.name in busy else "")
    st.subheader(say("Routines"), anchor=False)
    for chore in here.chores.all():
        _chore(chore)


def _queue(queue: str, title: str, jobs: int, *, paused: bool) -> None:
    with line(key=f"row-queue-{queue}"):
        state = say("paused") if paused else ""
        with tight(width="stretch"):
            st.markdown(say(title))
            st.caption(facts(say_many("{n} job waits", "{n} jobs wait", jobs), state))
        if not actions().allowed:
            return
        with st.popover("", icon=":material/more_horiz:", key=f"ask-queue-{queue}", type="tertiary"):
            if paused:
                button(say("Resume"), f"resume-{queue}", lambda: actions().resume(queue))
            else:
                button(say("Pause"), f"pause-{queue}", lambda: actions().pause(queue))
            if jobs:
                n = len(waiting_in(journey.current(), queue))
                st.write(say_many("{n} waiting task is cancelled.", "{n} waiting tasks are cancelled.", n))
                button(say("Empty the queue"), f"purge-{queue}", lambda: actions().purge(queue))


def _worker(worker: Worker, doing: str) -> None:
    with line(key=f"row-worker-{worker.name}"):
        with tight(width="stretch"):
            st.markdown(facts(say(QUEUES.get(worker.queue, worker.queue)), doing or say("idle")))
            st.caption(facts(*_about_worker(worker)))
        if not actions().allowed:
            return
        wish, label = ("undrain", say("Go on")) if worker.wish == "drain" else ("drain", say("Drain"))
        with st.popover("", icon=":material/more_horiz:", key=f"ask-worker-{worker.name}", type="tertiary"):
            button(label, f"{wish}-{worker.name}", lambda: actions().tell(worker.name, wish))
            button(say("Restart"), f"restart-{worker.name}", lambda: actions().tell(worker.name, "restart"))


def _about_worker(worker: Worker) -> list[str]:
    return [
        {"drain": say("takes nothing new"), "restart": say("is restarting")}.get(worker.wish, ""),
        say("memory {size}", size=size(worker.rss_bytes)),
        say("GPU memory {size}", size=size(worker.gpu_bytes)) if worker.gpu_bytes else "",
        say("GPU load {share}", share=f"{worker.gpu_load:.0%}") if worker.gpu_load is not None else "",
        say("seen {time} ago", time=duration(max(0.0, time.time() - worker.seen_at))),
        say("runs for {time}", time=duration(time.time() - worker.started_at)),
        plain(worker.name),
        plain(worker.version),
    ]


def _chore(chore: Chore) -> None:
    with line(key=f"row-chore-{chore.name}"):
        with tight(width="stretch"):
            st.markdown(say(TITLES.get(chore.name, chore.name)))
            st.caption(facts(*_about_chore(chore)))
        if actions().allowed:
            button(say("Run now"), f"run-{chore.name}", lambda: actions().run_now(chore.name))


def _about_chore(chore: Chore) -> list[str]:
    every_s = EVERY_S.get(chore.name)
    return [
        say("every {time}", time=duration(every_s)) if every_s else "",
        say("last {time}", time=moment(chore.ended_at)) if chore.ended_at else say("has not run yet"),
        say("took {time}", time=took(chore.took_s)) if chore.took_s is not None else "",
        say("at work") if chore.worker else "",
        say("failed: {what}", what=plain(chore.error)) if chore.error else "",
    ]


# Health


def _health() -> None:
    here = journey.current()
    st.caption(coverage(library.totals(here.records, who())))
    for part in health.check(here, actors.ping).parts:
        with line(key=f"row-part-{part.name}"):
            with tight(width="stretch"):
                st.markdown(say(PARTS.get(part.name, part.name)))
                st.caption(explain(part.says))
            st.badge(say("Works") if part.ok else say("Broken"), color="green" if part.ok else "red")
    st.subheader(say("What was done by hand"), anchor=False)
    log = actions().log()
    if not log:
        st.caption(say("Nothing yet."))
    for action in log:
        _action(action)


def _action(action: Action) -> None:
    with tight(key=f"row-action-{action.id}"):
        st.markdown(facts(say(WHATS.get(action.what, action.what)), plain(", ".join(action.about[:3]))))
        st.caption(facts(moment(action.at), plain(action.who), say("{n} met", n=action.count)))
        if len(action.about) > 3:
            with st.expander(say("All of them")):
                st.text("\n".join(action.about))


VIEWS: dict[str, tuple[str, Callable[[], None]]] = {
    "now": (phrase("Right now"), _now),
    "history": (phrase("History"), _history),
    "jobs": (phrase("Jobs"), _jobs),
    "failures": (phrase("Failures"), _failures),
    "batches": (phrase("Batches"), show_batches),
    "workers": (phrase("Workers"), _workers),
    "health": (phrase("Health"), _health),
}
"""Each view by its name in the link: its title, and what draws it."""
