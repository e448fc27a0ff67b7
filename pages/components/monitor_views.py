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
from core.monitor.monitor import Postponed
from core.queue import workers
from core.queue.idle import NEEDED
from core.queue.periodic import EVERY_S, FAILED_AS, TITLES
from core.queue.queues import QUEUES
from core.search.log import Summary
from jobs.installation import application, notifier
from pages.components import address, decisions
from pages.components.batches import show_batches
from pages.components.common import (
    duration,
    facts,
    gettext,
    icon_popover,
    language,
    line,
    moment,
    ngettext,
    number,
    plain,
    size,
    tight,
    translate_error,
    translate_fact,
)
from pages.components.history import show_history, took
from pages.components.job_list import show_jobs
from pages.components.live import actions, board, button, follow, principal

SEARCHES_S = 7 * 86_400.0
REFRESH_S = {"batches": 5.0, "workers": 5.0, "health": 30.0}
"""Views with ages and times to the next look, which go on while nothing else happens."""
EVERY, WHILE_NEEDED = N_("every {time}"), N_("every {time} while there is something to do")
PARTS = {
    "database": N_("Database"),
    "broker": N_("Queue broker"),
    "workers": N_("Workers"),
    "work": N_("Work"),
    "batches": N_("Batches"),
    "index": N_("Search index"),
    "storage": N_("Storage"),
    "disk": N_("Disk"),
    "engine": N_("Engine"),
}


def view() -> str:
    """Which view; the link carries it."""
    titles = {name: gettext(title) for name, (title, _) in VIEWS.items()}
    return address.segments("view", gettext("View"), titles, usual="now")


def show(name: str) -> None:
    """Draw a view, anew when work begins or ends."""
    draw = VIEWS[name][1]

    @st.fragment(run_every=REFRESH_S.get(name))
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
    groups = failures.groups(application().database, principal())
    if not groups:
        st.caption(gettext("Nothing has failed."))
    for n, group in enumerate(groups):
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
    now = monitor.now(app.database, principal())
    busy: dict[str, list[str]] = {}
    for one in now.running:
        busy.setdefault(one.job.worker, []).append(plain(one.recording.title))
    devices = workers.devices(app.database)
    waiting = {one.queue: one for one in now.waiting}
    st.header(gettext("Queues"), anchor=False)
    for queue, title in QUEUES.items():
        jobs = waiting[queue].jobs if queue in waiting else 0
        _queue(queue, title, jobs, now.postponed.get(queue), paused=queue in now.paused)
    st.header(gettext("Workers"), anchor=False)
    if not now.workers:
        st.caption(gettext("No worker is running: work waits until the tool is started with make run."))
    for worker in workers.silent(app.database):
        _silent(worker, ", ".join(busy.get(worker.name, [])))
    for worker in now.workers:
        device = devices.get(worker.host, "") if worker.queue == "gpu" else ""
        _worker(worker, ", ".join(busy.get(worker.name, [])), device)
    st.header(gettext("Routines"), anchor=False)
    for periodic_task in app.periodic_tasks.all():
        _periodic_row(periodic_task)


def _queue(queue: str, title: str, jobs: int, postponed: Postponed | None, *, paused: bool) -> None:
    with line(key=f"row-queue-{queue}"):
        state = gettext("paused") if paused else ""
        with tight(width="stretch"):
            st.markdown(gettext(title))
            waits = ngettext("{n} job waits", "{n} jobs wait", jobs) if jobs else ""
            nothing = "" if jobs or postponed else gettext("nothing waits")
            st.caption(facts(waits, _put_off(postponed) if postponed else "", nothing, state))
        if not actions().allowed:
            return
        with icon_popover(gettext("Actions"), "more_horiz", f"ask-queue-{queue}"):
            if paused:
                button(gettext("Resume"), f"resume-{queue}", lambda: actions().resume(queue))
            else:
                button(gettext("Pause"), f"pause-{queue}", lambda: actions().pause(queue))
            if jobs:
                n = len(waiting_in(application().database, queue))
                st.write(ngettext("{n} waiting task is cancelled.", "{n} waiting tasks are cancelled.", n))
                button(gettext("Empty the queue"), f"purge-{queue}", lambda: actions().purge(queue))


def _put_off(postponed: Postponed) -> str:
    return facts(
        ngettext("{n} job is postponed", "{n} jobs are postponed", postponed.jobs),
        gettext("next try in {time}", time=duration(max(0.0, postponed.next_at - time.time()))),
    )


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
        with icon_popover(gettext("Actions"), "more_horiz", f"ask-worker-{worker.name}"):
            button(label, f"{options}-{worker.name}", lambda: actions().request_action(worker.name, options))
            button(
                gettext("Restart"),
                f"restart-{worker.name}",
                lambda: actions().request_action(worker.name, "restart"),
            )


def _silent(worker: Worker, doing: str) -> None:
    """One that was not heard for a while: it hangs, or its machine is away."""
    with line(key=f"row-worker-{worker.name}"):
        with tight(width="stretch"):
            st.markdown(facts(gettext(QUEUES.get(worker.queue, worker.queue)), doing))
            text = gettext("seen {time} ago", time=duration(max(0.0, time.time() - worker.seen_at)))
            st.caption(facts(text, plain(worker.name)))
        st.badge(gettext("No sign of life"), color="red")


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


def _periodic_row(periodic_task: PeriodicTask) -> None:
    with line(key=f"row-chore-{periodic_task.name}"):
        with tight(width="stretch"):
            st.markdown(gettext(TITLES.get(periodic_task.name, periodic_task.name)))
            st.caption(facts(*_periodic_facts(periodic_task)))
        if actions().allowed:
            button(
                gettext("Run now"),
                f"run-{periodic_task.name}",
                lambda: actions().run_now(periodic_task.name),
                quiet=True,
            )


def _periodic_facts(periodic_task: PeriodicTask) -> list[str]:
    every_s = EVERY_S.get(periodic_task.name)
    return [
        gettext(WHILE_NEEDED if periodic_task.name in NEEDED else EVERY, time=duration(every_s))
        if every_s
        else "",
        gettext("last {time}", time=moment(periodic_task.ended_at))
        if periodic_task.ended_at
        else gettext("has not run yet"),
        gettext("took {time}", time=took(periodic_task.took_s)) if periodic_task.took_s is not None else "",
        gettext("at work") if periodic_task.worker else "",
        gettext("failed: {what}", what=_failed_as(periodic_task.error)) if periodic_task.error else "",
    ]


def _failed_as(error: str) -> str:
    """What went wrong with a periodic task, in words; the name of an error that nobody expected."""
    return gettext(FAILED_AS[error]) if error in FAILED_AS else translate_fact(error)


# Health


def _health() -> None:
    app = application()
    _coverage(health.coverage(app.database, principal()))
    _searches(app.search_log.summary(SEARCHES_S))
    for part in health.check(app, notifier.ping).parts:
        with line(key=f"row-part-{part.name}"):
            with tight(width="stretch"):
                st.markdown(gettext(PARTS.get(part.name, part.name)))
                st.caption(translate_error(part.says))
            st.badge(gettext("Works") if part.ok else gettext("Broken"), color="green" if part.ok else "red")
    st.header(gettext("What was done by hand"), anchor=False)
    log = actions().log()
    if not log:
        st.caption(gettext("Nothing yet."))
    for action in log:
        _action(action)


def _coverage(coverage: Coverage) -> None:
    """What can be found of everything, and what waits for that."""
    if coverage.total_s:
        share = catalogue.percent(coverage.share, language())
        waits = gettext("wait for search by meaning: {time}", time=duration(coverage.waiting_s))
        st.caption(
            facts(
                gettext("{share} of all hours are searchable", share=share),
                gettext("found by meaning: {time}", time=duration(coverage.meaning_s)),
                waits if coverage.waiting_s else "",
            )
        )


def _searches(summary: Summary) -> None:
    """What was asked lately, and what nobody could answer."""
    if not summary.asked:
        return
    share = catalogue.percent(summary.unanswered / summary.asked, language())
    opened = ngettext("{n} answer opened", "{n} answers opened", summary.opened)
    st.caption(
        facts(
            ngettext("{n} search in 7 days", "{n} searches in 7 days", summary.asked),
            gettext("without an answer: {share}", share=share),
            gettext("usually in {time}", time=took((summary.median_ms or 0) / 1000)),
            opened if summary.opened else "",
            gettext("usually at place {n}", n=number(round(summary.median_place or 0)))
            if summary.opened
            else "",
        )
    )
    if summary.questions:
        with st.expander(gettext("Questions without an answer")):
            for question, times in summary.questions:
                st.markdown(facts(plain(question), f"{number(times)} ×"))


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
