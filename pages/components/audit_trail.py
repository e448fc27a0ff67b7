"""The audit trail as a table: filtered, page by page, saved as CSV."""

from __future__ import annotations

import datetime
import functools

import streamlit as st

from core.audit import EventFilter
from core.database.states import AuditAction, AuditSubject
from core.database.tables import AuditEvent, utc
from core.i18n import catalogue
from core.i18n.messages import N_
from core.principal import PAGES, SYSTEM, Door
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, gettext

ACTIONS: dict[AuditAction, str] = {
    AuditAction.SIGNED_IN: N_("Signed in"),
    AuditAction.SIGNED_OUT: N_("Signed out"),
    AuditAction.REFUSED: N_("Was refused"),
    AuditAction.SAW: N_("Opened the text"),
    AuditAction.HEARD: N_("Asked for the sound"),
    AuditAction.ADDED: N_("Added"),
    AuditAction.CHANGED: N_("Changed"),
    AuditAction.EXPORTED: N_("Took out a copy"),
    AuditAction.DELETED: N_("Deleted"),
    AuditAction.RESTORED: N_("Restored"),
    AuditAction.PAID: N_("Ordered for money"),
}
SUBJECTS: dict[AuditSubject, str] = {
    AuditSubject.RECORDING: N_("Recording"),
    AuditSubject.TASK: N_("Task"),
    AuditSubject.MOMENT: N_("Moment"),
    AuditSubject.COLLECTION: N_("Collection"),
    AuditSubject.SEARCH: N_("Saved search"),
    AuditSubject.GLOSSARY: N_("Glossary entry"),
    AuditSubject.VOICE: N_("Voice"),
    AuditSubject.SOURCE: N_("Source"),
    AuditSubject.DESTINATION: N_("Place of results"),
    AuditSubject.KEY: N_("API key"),
    AuditSubject.LINK: N_("Link of a recording"),
    AuditSubject.PRICE: N_("Price or assumption"),
    AuditSubject.BUDGET: N_("Cap"),
    AuditSubject.MODEL: N_("Model"),
    AuditSubject.INSTALLATION: N_("This installation"),
    AuditSubject.ORDER: N_("Paid order"),
    AuditSubject.SESSION: N_("Session"),
}
DOORS: dict[Door, str] = {Door.PAGES: N_("Pages"), Door.API: N_("API"), Door.SYSTEM: N_("By itself")}
LISTED = 50
BEFORE = "audit-before"
"""Where the page that is shown begins, after those before it."""


def draw() -> None:
    """What is looked for, the events newest first, older ones, and all of them as a file."""
    people = application().audit.people(current_principal())
    wanted = _filter(people)
    before: list[str] = st.session_state.setdefault(BEFORE, [])
    rows, following = application().audit.find(
        current_principal(), wanted, LISTED, before[-1] if before else ""
    )
    if not rows:
        st.write(gettext("Nothing was recorded that fits. What is done here is listed from now on."))
        return
    common.table([_row(row, people) for row in rows], column_config=_columns(), height="content")
    with st.container(horizontal=True):  # on a telephone in two lines
        st.button(gettext("Newest"), disabled=not before, on_click=before.clear, key="audit-newest")
        older = functools.partial(before.append, following)
        st.button(gettext("Older"), disabled=not following, on_click=older, key="audit-older")
        make = functools.partial(application().audit.export, current_principal(), wanted)
        st.download_button(
            gettext("Save as a table (CSV)"), make, "audit.csv", on_click="ignore", icon=":material/download:"
        )
    days = application().settings.audit_keep_days
    st.caption(
        gettext(
            "Nobody can change or delete what stands here; after {n} days it is forgotten. Titles, texts and "
            "keys are not in it.",
            n=days,
        )
    )


def _filter(people: dict[str, str]) -> EventFilter:
    again = st.session_state.setdefault(BEFORE, []).clear
    names = {id_: _name(id_, people) for id_ in people}
    with st.container(horizontal=True, key="fields-audit"):
        person = st.selectbox(
            gettext("Who"), ["", *names], format_func=lambda id_: names.get(id_) or gettext("Everybody"),
            on_change=again, key="audit-who",
        )  # fmt: skip
        actions = {action: gettext(text) for action, text in ACTIONS.items()}
        action = st.selectbox(
            gettext("What"), [None, *actions], format_func=lambda one: actions.get(one, gettext("Everything")),
            on_change=again, key="audit-action",
        )  # fmt: skip
        object_id = st.text_input(gettext("Id of the object"), max_chars=200, on_change=again, key="audit-id")
        days = st.date_input(
            gettext("Days"), [], format=common.day_field(), on_change=again, key="audit-days"
        )
    first, last = (days[0], days[-1]) if days else (None, None)
    next_day = last + datetime.timedelta(days=1) if last else None
    return EventFilter(person or "", action, object_id.strip(), _midnight(first), _midnight(next_day))


def _midnight(day: datetime.date | None) -> float | None:
    """The beginning of a day on the visitor's clock."""
    if day is None:
        return None
    zone = catalogue.zone_of(st.context.timezone)
    return datetime.datetime.combine(day, datetime.time(), zone).timestamp()


def _row(row: AuditEvent, people: dict[str, str]) -> dict[str, object]:
    return {
        "at": utc(row.at),
        "who": _name(row.who, people),
        "action": gettext(ACTIONS[row.action]),
        "subject": gettext(SUBJECTS[row.subject]),
        "object_id": row.object_id,
        "operation": row.operation,
        "usd": float(row.usd) if row.usd else None,
        "door": gettext(DOORS[row.door]),
    }


def _name(id_: str, people: dict[str, str]) -> str:
    if id_ == PAGES:
        return gettext("The pages")
    if id_ == SYSTEM.owner:
        return gettext("This installation")
    key = people.get(id_)
    return f"{key} (gam_{id_}_…)" if key else id_ or gettext("Nobody's key")


def _columns() -> dict[str, object]:
    return {
        "at": st.column_config.DatetimeColumn(
            gettext("When"), format=f"{common.date_format()}, HH:mm:ss", timezone=st.context.timezone
        ),
        "who": gettext("Who"),
        "action": gettext("What"),
        "subject": gettext("Of what"),
        "object_id": gettext("Its id"),
        "operation": gettext("Exactly"),
        "usd": st.column_config.NumberColumn(
            gettext("Price, {sign}", sign="$"), format="localized", step=0.000001
        ),
        "door": gettext("Came by"),
    }
