"""What runs and waits, as sentences for open pages: made at most once a second, however many look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from core.database.states import TaskStatus
from core.errors import Code, code_of
from core.i18n import catalogue
from core.i18n.catalogue import gettext
from core.monitor import alarms, decisions, failures, monitor
from core.monitor.alarms import Alarm, AlarmSources
from core.monitor.monitor import Delayed, MonitorSnapshot, Running, Waiting
from core.principal import Principal
from core.queue.queues import QUEUES

FRESH_S = 1.0
Shown = dict[str, Any]


class Board:
    """The same board for everybody who may see the same, in the same language."""

    def __init__(self, sources: AlarmSources, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[Principal, str], tuple[float, Shown]] = {}

    def show(self, principal: Principal, language: str) -> Shown:
        """Sections of lines, and a stamp that changes with anything worth drawing anew."""
        with self._lock:
            made_at, facts = self._kept.get((principal, language), (-FRESH_S, {}))
            if self._clock() >= made_at + FRESH_S:
                facts = draw(self._sources, principal, language)
                self._kept[principal, language] = (self._clock(), facts)
            return facts


def draw(sources: AlarmSources, principal: Principal, language: str) -> Shown:
    """The board as it is now."""
    database = sources.database
    now = monitor.now(database, principal)
    return {
        "stamp": monitor.stamp(database),
        "decisions": decisions.stamp(database),
        "tally": {
            "open": monitor.open_tasks(database, principal),
            "needs": failures.count(database, principal),
        },
        "alarms": [_alarm(one, language) for one in alarms.look(sources, principal)],
        "running": [_running(one, language) for one in now.running],
        "waiting": [_waiting(one, language) for one in now.waiting],
        "delayed": [_delayed(one, language) for one in now.delayed],
        "summary": _summary(now, language),
        "pace": now.pace_s if any(now.pace_s) else [],
        "batches": _batches(now, language),
    }


def _alarm(alarm: Alarm, language: str) -> Shown:
    explanation = alarms.sentences(alarm, language)
    since = "" if alarm.since is None else catalogue.duration(max(0.0, time.time() - alarm.since), language)
    return {
        "kind": alarm.kind,
        "says": explanation.says,
        "since": gettext("for {time}", language, time=since) if since else "",
        "tried": explanation.tried,
        "fix": explanation.fix,
        "view": alarms.VIEWS[alarm.kind],
    }


def _summary(now: MonitorSnapshot, language: str) -> str:
    if now.done_in_s is None or now.done_in_s < 1:
        return ""
    done = catalogue.duration(now.done_in_s, language)
    return gettext("At this speed all sound is transcribed in {time}.", language, time=done)


def _batches(now: MonitorSnapshot, language: str) -> str:
    if not now.batches:
        return ""
    return catalogue.ngettext(
        "{n} batch is under way: vectors for the search by meaning",
        "{n} batches are under way: vectors for the search by meaning",
        now.batches,
        language,
    )


def _running(one: Running, language: str) -> Shown:
    return {
        "id": one.job.id,
        "task": one.task.id if one.task.status == TaskStatus.PROCESSING else "",
        "title": one.recording.title,
        "facts": _joined(_pace(one, language)),
        "progress": one.task.progress if one.task.status == TaskStatus.PROCESSING else None,
    }


def _pace(one: Running, language: str) -> Iterator[str]:
    yield gettext(monitor.KINDS.get(one.job.kind, one.job.kind), language)
    if one.speed:
        yield gettext("{speed}× real time", language, speed=catalogue.number(one.speed, language, 1))
    if one.left_s:
        yield gettext("{time} left", language, time=catalogue.duration(one.left_s, language))
    if one.job.crash_count > 1:
        yield gettext("attempt {n}", language, n=one.job.crash_count)
    yield gettext("worker {name}", language, name=one.job.worker.rpartition("/")[2])


def _waiting(one: Waiting, language: str) -> Shown:
    facts = [
        catalogue.ngettext("{n} job", "{n} jobs", one.jobs, language),
        gettext("{time} of sound", language, time=catalogue.duration(one.audio_s, language)),
        gettext("the oldest waits {time}", language, time=catalogue.duration(max(0.0, one.age_s), language)),
        gettext("empty in {time}", language, time=catalogue.duration(one.empty_s, language))
        if one.empty_s
        else "",
        gettext("paused", language) if one.paused else "",
    ]
    return {"title": gettext(QUEUES.get(one.queue, one.queue), language), "facts": _joined(facts)}


def _delayed(one: Delayed, language: str) -> Shown:
    is_question = code_of(one.job.error) is Code.ORDER_HELD
    return {
        "id": one.job.id,
        "task": "" if is_question else one.task.id,
        "title": one.recording.title,
        "facts": gettext("waits for a decision", language) if is_question else _joined(_why(one, language)),
        "progress": None,
    }


def _why(one: Delayed, language: str) -> Iterator[str]:
    left = catalogue.duration(max(0.0, one.job.run_at - time.time()), language)
    yield gettext("next try in {time}", language, time=left)
    if one.job.error:
        yield catalogue.translate_error(one.job.error, language)


def _joined(parts: Iterator[str] | list[str]) -> str:
    return "\u00a0· ".join(part for part in parts if part)
