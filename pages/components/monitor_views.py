"""The views of the monitor: what goes on, what failed, who works, and what can be done about it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import streamlit as st

from core.database.states import RequestedAction
from core.database.tables import Action, PeriodicTask, Worker
from core.i18n import catalogue
from core.i18n.messages import N_
from core.monitor import failures, health, monitor
from core.monitor.actions import WHATS, waiting_in
from core.monitor.failures import Group
from core.monitor.health import Coverage
from core.queue import workers
from core.queue.periodic import EVERY_S, TITLES
from core.queue.queues import QUEUES
from jobs.installation import application, notifier
from pages.components import decisions
from pages.components.batches import show_batches
from pages.components.common import (
    duration,
    facts,
    gettext,
    language,
    line,
    moment,
    ngettext,
    plain,
    size,
    tight,
    translate_error,
    translate_fact,
)
from pages.components.history import show_history, took
from pages.components.job_list import carried, show_jobs
from pages.components.live import actions, board, button, follow, who

PARTS = {
    "database": N_("Database"),
    "broker": N_("Queue broker"),
    "workers": N_("Workers"),
    "work": N_("Work"),
    "index": N_("Search index"),
    "storage": N_("Storage"),
    "disk": N_("Disk"),
    "engine": N_("Engine"),
}


def view() -> str:
    """Which view; the link carries it."""
    given = st.query_params.get("view", "")
    chosen = st.segmented_control(
        gettext("View"),
        list(VIEWS),
        default=given if given in VIEWS else "now",
        required=True,
        format_func=lambda name: gettext(VIEWS[name][0]),
        label_visibility="collapsed",
        key="view",
    )
    carried("view", "" if chosen == "now" else str(chosen))
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
    decisions.show()
    board()


def _history() -> None:
    show_history(application().database)


# Failures


def _failures() -> None:
    found = failures.groups(application().database, who())
    if not found:
        st.caption(gettext("Nothing has failed."))
    for n, group in enumerate(found):
        _group(n, group)


def _group(n: int, group: Group) -> None:
    with tight(key=f"row-group-{n}"):
        with line():
            st.markdown(
                translate_error(group.error) if group.error else gettext("Something went wrong."),
                width="stretch",
            )
            if actions().allowed:
                label = gettext("Try all again")
                again = functools.partial(actions().retry_group, group.code, group.kind)
                button(label, f"retry-group-{n}", again, quiet=True)
        if group.fix:
            st.caption(f"**{translate_error(group.fix)}**")
        st.caption(
            facts(
                gettext(monitor.KINDS.get(group.kind, group.kind)),
                ngettext("{n} job", "{n} jobs", group.jobs),
                gettext("since {time}", time=moment(group.since)),
                plain(", ".join(group.titles)),
            )
        )


# Workers, queues, routines


def _workers() -> None:
    app = application()
    now = monitor.now(app.database, who())
    busy: dict[str, list[str]] = {}
    for one in now.running:
        busy.setdefault(one.job.worker, []).append(plain(one.recording.title))
    devices = workers.devices(app.database)
    waiting = {one.queue: one for one in now.waiting}
    st.subheader(gettext("Queues"), anchor=False)
    for queue, title in QUEUES.items():
        _queue(queue, title, waiting[queue].jobs if queue in waiting else 0, paused=queue in now.paused)
    st.subheader(gettext("Workers"), anchor=False)
    if not now.workers:
        st.caption(gettext("No worker is running: work waits until the tool is started with make run."))
    for worker in now.workers:
        device = devices.get(worker.host, "") if worker.queue == "gpu" else ""
        _worker(worker, ", ".join(busy.get(worker.name, [])), device)
    st.subheader(gettext("Routines"), anchor=False)
    for periodic_task in app.periodic_tasks.all():
        _chore(periodic_task)


def _queue(queue: str, title: str, jobs: int, *, paused: bool) -> None:
    with line(key=f"row-queue-{queue}"):
        state = gettext("paused") if paused else ""
        with tight(width="stretch"):
            st.markdown(gettext(title))
            waits = ngettext("{n} job waits", "{n} jobs wait", jobs) if jobs else gettext("nothing waits")
            st.caption(facts(waits, state))
        if not actions().allowed:
            return
        with st.popover("", icon=":material/more_horiz:", key=f"ask-queue-{queue}", type="tertiary"):
            if paused:
                button(gettext("Resume"), f"resume-{queue}", lambda: actions().resume(queue))
            else:
                button(gettext("Pause"), f"pause-{queue}", lambda: actions().pause(queue))
            if jobs:
                n = len(waiting_in(application().database, queue))
                st.write(ngettext("{n} waiting task is cancelled.", "{n} waiting tasks are cancelled.", n))
                button(gettext("Empty the queue"), f"purge-{queue}", lambda: actions().purge(queue))


def _worker(worker: Worker, doing: str, device: str) -> None:
    with line(key=f"row-worker-{worker.name}"):
        with tight(width="stretch"):
            st.markdown(facts(gettext(QUEUES.get(worker.queue, worker.queue)), doing or gettext("idle")))
            st.caption(facts(translate_fact(device), *_about_worker(worker)))
        if not actions().allowed:
            return
        options, label = (
            ("undrain", gettext("Go on"))
            if worker.requested_action == RequestedAction.DRAIN
            else ("drain", gettext("Drain"))
        )
        with st.popover("", icon=":material/more_horiz:", key=f"ask-worker-{worker.name}", type="tertiary"):
            button(label, f"{options}-{worker.name}", lambda: actions().tell(worker.name, options))
            button(
                gettext("Restart"), f"restart-{worker.name}", lambda: actions().tell(worker.name, "restart")
            )


def _about_worker(worker: Worker) -> list[str]:
    return [
        {
            RequestedAction.DRAIN: gettext("takes nothing new"),
            RequestedAction.RESTART: gettext("is restarting"),
        }.get(worker.requested_action, ""),
        gettext("memory {size}", size=size(worker.rss_bytes)),
        gettext("GPU memory {size}", size=size(worker.gpu_bytes)) if worker.gpu_bytes else "",
        gettext("GPU load {share}", share=f"{worker.gpu_load:.0%}") if worker.gpu_load is not None else "",
        gettext("seen {time} ago", time=duration(max(0.0, time.time() - worker.seen_at))),
        gettext("runs for {time}", time=duration(time.time() - worker.started_at)),
        plain(worker.name),
        plain(worker.version),
    ]


def _chore(periodic_task: PeriodicTask) -> None:
    with line(key=f"row-chore-{periodic_task.name}"):
        with tight(width="stretch"):
            st.markdown(gettext(TITLES.get(periodic_task.name, periodic_task.name)))
            st.caption(facts(*_about_chore(periodic_task)))
        if actions().allowed:
            button(
                gettext("Run now"),
                f"run-{periodic_task.name}",
                lambda: actions().run_now(periodic_task.name),
                quiet=True,
            )


def _about_chore(periodic_task: PeriodicTask) -> list[str]:
    every_s = EVERY_S.get(periodic_task.name)
    return [
        gettext("every {time}", time=duration(every_s)) if every_s else "",
        gettext("last {time}", time=moment(periodic_task.ended_at))
        if periodic_task.ended_at
        else gettext("has not run yet"),
        gettext("took {time}", time=took(periodic_task.took_s)) if periodic_task.took_s is not None else "",
        gettext("at work") if periodic_task.worker else "",
        gettext("failed: {what}", what=plain(periodic_task.error)) if periodic_task.error else "",
    ]


# Health


def _health() -> None:
    app = application()
    _coverage(health.coverage(app.database, who()))
    for part in health.check(app, notifier.ping).parts:
        with line(key=f"row-part-{part.name}"):
            with tight(width="stretch"):
                st.markdown(gettext(PARTS.get(part.name, part.name)))
                st.caption(translate_error(part.says))
            st.badge(gettext("Works") if part.ok else gettext("Broken"), color="green" if part.ok else "red")
    st.subheader(gettext("What was done by hand"), anchor=False)
    log = actions().log()
    if not log:
        st.caption(gettext("Nothing yet."))
    for action in log:
        _action(action)


def _coverage(found: Coverage) -> None:
    """What can be found of everything, and what waits for that."""
    if found.total_s:
        share = catalogue.percent(found.share, language())
        waits = gettext("wait for search by meaning: {time}", time=duration(found.waiting_s))
        st.caption(
            facts(
                gettext("{share} of all hours are searchable", share=share),
                gettext("found by meaning: {time}", time=duration(found.meaning_s)),
                waits if found.waiting_s else "",
            )
        )


def _action(action: Action) -> None:
    with tight(key=f"row-action-{action.id}"):
        st.markdown(facts(gettext(WHATS.get(action.what, action.what)), plain(", ".join(action.about[:3]))))
        count = gettext("{n} in all", n=action.count) if action.count != 1 else ""
        st.caption(facts(moment(action.at), plain(action.who), count))
        if len(action.about) > 3:
            with st.expander(gettext("All of them")):
                st.text("\n".join(action.about))


VIEWS: dict[str, tuple[str, Callable[[], None]]] = {
    "now": (N_("Right now"), _now),
    "history": (N_("History"), _history),
    "jobs": (N_("Jobs"), show_jobs),
    "failures": (N_("Failures"), _failures),
    "batches": (N_("Batches"), show_batches),
    "workers": (N_("Workers"), _workers),
    "health": (N_("Health"), _health),
}
"""Each view by its name in the link: its title, and what draws it."""
