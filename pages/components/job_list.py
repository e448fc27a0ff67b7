"""Jobs to look through: found by a filter that the link carries, cancelled, retried, hurried, deleted."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

import streamlit as st

from core.database.states import JobState
from core.i18n.messages import N_
from core.monitor import job_list, monitor
from core.monitor.actions import PRIORITIES
from core.monitor.job_list import COUNTED, PAGE, Filter, Line
from jobs.installation import application
from pages.components import address, common
from pages.components.common import (
    engine_name,
    gettext,
    language,
    moment,
    ngettext,
    translate_error,
    translated,
)
from pages.components.history import took
from pages.components.live import actions, attempt, button, principal

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
    criteria = _filter()
    database = application().database
    page = address.page("page")
    jobs = job_list.find(database, principal(), criteria, offset=PAGE * (page - 1))
    if not jobs.total:
        st.caption(gettext("No job fits this filter."))
        return
    count = (
        gettext("more than {n} jobs", n=COUNTED) if jobs.more else ngettext("{n} job", "{n} jobs", jobs.total)
    )
    st.caption(count)
    shown = common.table(
        [_as_row(one) for one in jobs.lines],
        on_select="rerun" if actions().allowed else "ignore",
        selection_mode="multi-row",
        column_config={
            gettext("Job"): st.column_config.LinkColumn(display_text=gettext("open"), width="small")
        },
        key="jobs",
    )
    address.pages("page", -(-jobs.total // PAGE))
    if actions().allowed:
        rows = shown["selection"]["rows"]
        ticked = [jobs.lines[n].task.id for n in rows if n < len(jobs.lines)]
        if ticked:
            _chosen(ticked)
        elif st.button(gettext("Do something with all that fit…"), key="all"):
            st.session_state[FITTING] = job_list.tasks(database, principal(), criteria)
    if actions().allowed and FITTING in st.session_state:
        _all_fitting(st.session_state[FITTING])


def _filter() -> Filter:
    database = application().database
    with st.container(horizontal=True):
        states = {"": gettext("Any state"), **{name: gettext(text) for name, text in job_list.STATES.items()}}
        kinds = {"": gettext("Any work"), **{name: gettext(text) for name, text in monitor.KINDS.items()}}
        engines = {
            "": gettext("Any engine"),
            **{name: engine_name(name) for name in job_list.engines(database)},
        }
        state = address.choice("state", gettext("State"), states)
        kind = address.choice("kind", gettext("Work"), kinds)
        engine = address.choice("engine", gettext("Engine"), engines)
        since = address.choice("since", gettext("Time"), translated(SINCE))
    with st.container(horizontal=True):
        title = address.text("title", gettext("Part of a title"))
        error = address.text("error", gettext("Part of an error"))
    began = time.time() - SINCE_S[since] if since else 0.0
    return Filter(state, kind, engine, title, error, began, language())


def _as_row(one: Line) -> dict[str, object]:
    job = one.job
    ran_s = (job.finished_at or time.time()) - job.started_at if job.started_at else None
    return {
        gettext("Job"): f"/job?id={job.id}",
        gettext("Recording"): one.recording.title,
        gettext("State"): gettext(job_list.STATES[job.state]),
        gettext("Why"): translate_error(job.error).replace("\\", "") if job.error else "",
        gettext("Work"): gettext(monitor.KINDS.get(job.kind, job.kind)),
        gettext("Made"): moment(job.created_at),
        gettext("Took"): took(ran_s) if job.state not in {JobState.READY} else "",
        gettext("Engine"): engine_name(one.task.engine),
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
    def dialog() -> None:
        st.write(ngettext("{n} task fits.", "{n} tasks fit.", len(ids)))
        steps = _steps(ids)
        prompt = gettext("What to do")
        step = st.selectbox(
            prompt, steps, format_func=gettext, index=None, placeholder=prompt, key="all-step"
        )
        if step == DELETE:
            st.write(gettext(GONE))
        label = ngettext("Yes, with {n} task", "Yes, with all {n} tasks", len(ids))
        if st.button(label, type="primary", disabled=not step, key="all-yes") and step:
            attempt(steps[step])
            _close()
            st.rerun()

    dialog()


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
