"""Jobs to look through: found by a filter that the link carries, cancelled, retried, hurried, deleted."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from core.database.states import JobState
from core.i18n.messages import N_
from core.monitor import job_list, monitor
from core.monitor.actions import PRIORITIES
from core.monitor.job_list import COUNTED, PAGE, Filter, Line
from jobs.installation import application
from pages.components.common import gettext, language, moment, ngettext, translate_error
from pages.components.history import took
from pages.components.live import actions, attempt, button, who

SINCE_S = {"": 0, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
SINCE = {
    "": N_("Any time"),
    "hour": N_("Last hour"),
    "day": N_("Last day"),
    "week": N_("Last week"),
}
FITTING = "fitting"
DELETE = N_("Delete for good")
GONE = N_("The tasks go for good, and recordings that came by the API with their last task.")


def show_jobs() -> None:
    """The jobs that fit the filter, and what can be done about those that are ticked, or about all."""
    wanted = _filter()
    database = application().database
    page = st.session_state.get("job-page", 1)
    found = job_list.find(database, who(), wanted, offset=PAGE * (page - 1))
    if not found.total:
        st.caption(gettext("No job fits this filter."))
        return
    count = (
        gettext("more than {n} jobs", n=COUNTED)
        if found.more
        else ngettext("{n} job", "{n} jobs", found.total)
    )
    st.caption(count)
    table = pd.DataFrame([_as_row(one) for one in found.lines])
    shown = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun" if actions().allowed else "ignore",
        selection_mode="multi-row",
        column_config={
            gettext("Job"): st.column_config.LinkColumn(display_text=gettext("open"), width="small")
        },
        key="jobs",
    )
    if found.total > PAGE:
        st.pagination(-(-found.total // PAGE), key="job-page")
    if actions().allowed:
        rows = shown["selection"]["rows"]  # type: ignore[index]
        ticked = [found.lines[n].task.id for n in rows if n < len(found.lines)]
        if ticked:
            _chosen(ticked)
        elif st.button(gettext("Do something with all that fit…"), key="all"):
            st.session_state[FITTING] = job_list.tasks(database, who(), wanted)
    if actions().allowed and FITTING in st.session_state:
        _all_fitting(st.session_state[FITTING])


def _filter() -> Filter:
    database = application().database
    with st.container(horizontal=True):
        states = {"": gettext("Any state"), **{name: gettext(text) for name, text in job_list.STATES.items()}}
        kinds = {"": gettext("Any work"), **{name: gettext(text) for name, text in monitor.KINDS.items()}}
        engines = {"": gettext("Any engine"), **{name: name for name in job_list.engines(database)}}
        state, kind = choose("state", gettext("State"), states), choose("kind", gettext("Work"), kinds)
        engine = choose("engine", gettext("Engine"), engines)
        since = choose("since", gettext("Time"), {name: gettext(text) for name, text in SINCE.items()})
    with st.container(horizontal=True):
        title, error = _text("title", gettext("Part of a title")), _text("error", gettext("Part of an error"))
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
        gettext("Job"): f"/job?id={job.id}",
        gettext("Recording"): one.recording.title,
        gettext("Work"): gettext(monitor.KINDS.get(job.kind, job.kind)),
        gettext("State"): gettext(job_list.STATES[job.state]),
        gettext("Made"): moment(job.created_at),
        gettext("Took"): took(ran_s) if job.state not in {JobState.READY} else "",
        gettext("Why"): translate_error(job.error).replace("\\", "") if job.error else "",
        gettext("Engine"): one.task.engine,
    }


def _chosen(task_ids: Sequence[str]) -> None:
    """What can be done with the rows that are ticked."""
    ids = list(dict.fromkeys(task_ids))
    with st.container(horizontal=True, key="chosen"):
        button(gettext("Cancel"), "cancel-all", lambda: actions().cancel(ids))
        button(gettext("Try again"), "retry-all", lambda: actions().retry(ids))
        for priority, name in PRIORITIES.items():
            button(gettext(name), f"urge-{priority}", functools.partial(actions().prioritise, ids, priority))
        with st.popover(gettext("Delete")):
            st.write(gettext(GONE))
            button(f":red[{gettext('Delete for good')}]", "delete-all", lambda: actions().delete(ids))


def _all_fitting(ids: Sequence[str]) -> None:
    """Ask what to do with all tasks that fitted the filter when this was opened; stays open meanwhile."""

    @st.dialog(gettext("All that fit the filter"), on_dismiss=_close)
    def asked() -> None:
        st.write(ngettext("{n} task fits.", "{n} tasks fit.", len(ids)))
        steps = _steps(ids)
        what = gettext("What to do")
        step = st.selectbox(what, steps, format_func=gettext, index=None, placeholder=what, key="all-step")
        if step == DELETE:
            st.write(gettext(GONE))
        label = ngettext("Yes, with {n} task", "Yes, with all {n} tasks", len(ids))
        if st.button(label, type="primary", disabled=not step, key="all-yes") and step:
            attempt(steps[step])
            _close()
            st.rerun()

    asked()


def _close() -> None:
    st.session_state.pop(FITTING, None)


def _steps(ids: Sequence[str]) -> dict[str, Callable[[], object]]:
    """What can be done with many tasks, by its name."""
    return {
        N_("Cancel"): functools.partial(actions().cancel, ids),
        N_("Try again"): functools.partial(actions().retry, ids),
        **{name: functools.partial(actions().prioritise, ids, n) for n, name in PRIORITIES.items()},
        DELETE: functools.partial(actions().delete, ids),
    }


def choose(name: str, label: str, options: dict[str, str]) -> str:
    """A choice that the link carries."""
    given = st.query_params.get(name, "")
    index = list(options).index(given) if given in options else 0
    chosen = st.selectbox(
        label, options, index, format_func=options.__getitem__, key=f"by-{name}", label_visibility="collapsed"
    )
    return carried(name, str(chosen))


def carried(name: str, value: str) -> str:
    """Keep a choice in the link, unless it is the usual one."""
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value:
        st.query_params.pop(name, None)
    return value
