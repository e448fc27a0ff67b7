"""Pages that follow the work: one small request every two seconds, no script run unless something changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.errors import StenogramError
from core.monitor import live
from core.monitor.actions import Actions
from core.principal import EVERYONE, PAGES, Principal
from jobs.installation import application
from pages.components.common import gettext, language, may_change, translate_error

HERE = Path(__file__).parent

_board = st.components.v2.component(
    "stenogram_board",
    html='<div class="board"></div>',
    css=(HERE / "live.css").read_text(),
    js=(HERE / "live.js").read_text(),
)


def who() -> Principal:
    """Who looks at the monitor: an admin, or somebody who may only look."""
    return EVERYONE if may_change() else Principal(PAGES)


def actions() -> Actions:
    """What they may do."""
    return Actions(application(), who())


def board() -> None:
    """What runs and waits, kept up to date by the browser itself."""
    told = _follow(sections=True)
    if task_id := told.get("cancel"):
        attempt(functools.partial(actions().cancel, [task_id]))
    if task_id := told.get("retry"):
        attempt(functools.partial(actions().retry, [task_id]))


def follow() -> None:
    """Nothing to see: has the part of the page around it drawn anew when work begins or ends."""
    _follow(sections=False)


def button(label: str, key: str, step: Callable[[], object], *, quiet: bool = False) -> None:
    """Something that can be done about what is shown; `quiet` where every line has one."""
    if st.button(label, key=key, type="tertiary" if quiet else "secondary"):
        attempt(step)
        st.rerun()


def attempt(step: Callable[[], object]) -> None:
    """Do it; if that is refused, say why."""
    try:
        step()
    except StenogramError as error:
        st.error(translate_error(error))


def _follow(*, sections: bool) -> dict[str, str]:
    app = application()
    result = _board(
        key="board" if sections else "follow",
        data={
            "sections": sections,
            "first": live.draw(app.database, who(), language()) if sections else None,
            "ticket": app.keys.ticket(live.purpose(who())),
            "language": language(),
            "may": actions().allowed,
            "labels": {
                "running": gettext("In work"),
                "idle": gettext("Nothing is running. Work begins when a recording is uploaded."),
                "waiting": gettext("Waiting"),
                "delayed": gettext("Postponed"),
                "cancel": gettext("Cancel"),
                "retry": gettext("Try now"),
            },
        },
        on_cancel_change=_nothing,
        on_retry_change=_nothing,
        on_changed_change=_nothing,
    )
    return {name: str(getattr(result, name, None) or "") for name in ("cancel", "retry")}


def _nothing() -> None:
    """A trigger needs somebody who listens; what it says is read where the component is drawn."""
