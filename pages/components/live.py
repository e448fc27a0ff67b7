"""Pages that follow the work: one small request every two seconds, no script run unless something changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import streamlit as st

from core.errors import StenogramError
from core.monitor import live
from core.monitor.actions import Actions
from core.principal import Principal
from jobs.installation import application
from pages.components import common, triggers
from pages.components.common import gettext, language, translate_error

HERE = Path(__file__).parent

_board = st.components.v2.component(
    "stenogram_board",
    html='<div class="board"></div>',
    css=(HERE / "live.css").read_text(),
    js=(HERE / "live.js").read_text(),
)


def principal() -> Principal:
    """Who looks at the monitor: an admin, or somebody who may only look."""
    visitor = common.current_principal()
    return replace(visitor, admin=visitor.may_administer)


def actions() -> Actions:
    """What they may do."""
    return Actions(application(), principal())


def board() -> None:
    """What runs and waits, kept up to date by the browser itself."""
    _follow("board")
    while task_id := triggers.take("board", "cancel"):
        attempt(functools.partial(actions().cancel, [task_id]))
    while task_id := triggers.take("board", "retry"):
        attempt(functools.partial(actions().retry, [task_id]))


def alarms(*, quiet: bool = False) -> str:
    """What is wrong now, the worst on top, or that all is well (`quiet`: nothing then).

    The view of the monitor that somebody wants to deal with it in, once; else "".
    """
    return _follow("alarms", quiet=quiet).partition(" ")[0]


def follow() -> None:
    """Nothing to see: has the part of the page around it drawn anew when work begins or ends."""
    _follow("follow")


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


def _follow(part: str, *, quiet: bool = False) -> str:
    """Draw a part of the board; the view that somebody just asked to open: late, it would lead astray."""
    app = application()
    result = _board(
        key=part,
        data={
            "part": part,
            "quiet": quiet,
            "first": live.draw(app, principal(), language()) if part != "follow" else None,
            "ticket": app.keys.board_ticket(principal()),
            "language": language(),
            "may": actions().allowed,
            "labels": _labels(),
        },
        on_open_change=_nothing,
        on_changed_change=_nothing,
        on_cancel_change=triggers.kept(part, "cancel"),
        on_retry_change=triggers.kept(part, "retry"),
    )
    return str(result.open or "")


def _labels() -> dict[str, str]:
    return {
        "running": gettext("In progress"),
        "idle": gettext("Nothing is running. Work begins when a recording is uploaded."),
        "waiting": gettext("Waiting"),
        "delayed": gettext("Postponed"),
        "cancel": gettext("Cancel"),
        "retry": gettext("Try now"),
        "well": gettext("All is well."),
        "open": gettext("Open"),
        "more": gettext("And {n} more", n="{n}"),
        "pace": gettext("Last hour"),
        "heard": gettext("{n} min of sound transcribed within the last hour, a bar for each minute", n="{n}"),
    }


def _nothing() -> None:
    """A trigger needs somebody who listens; what it says is read where the component is drawn."""
