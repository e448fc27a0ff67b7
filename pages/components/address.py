"""What a page was asked for stands in its address: links carry it on, and Back brings it again.

Streamlit's own binding (`bind="query-params"`) is not used: when a page is left it writes the next page's
parameters under the old page's name into the browser's history, and Back leads there.

A click can overtake what the run before it wrote: the browser then sends the address of one run ago. Whoever
has just changed a widget cannot have gone back as well, so such a run does not follow its address.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException

KNOWN = "address values"
"""What each widget that stands in addresses held at the end of the last run, by its key."""
CHANGED = "address overtaken"
RUNS = "address runs"


@dataclass
class Runs:
    """Whether the run under way has come to its end, and whether the one before it had."""

    ended: bool = True
    last_ended: bool = True


def begin() -> None:
    """At the start of a run, before anything is drawn: see what a person has changed, and what was cut short."""
    known = st.session_state.setdefault(KNOWN, {})
    st.session_state[CHANGED] = any(
        key in st.session_state and st.session_state[key] != value for key, value in known.items()
    )
    runs = st.session_state.setdefault(RUNS, Runs())
    runs.ended, runs.last_ended = False, runs.ended


@contextmanager
def ending() -> Iterator[None]:
    """Around the last thing that a run draws: it ends there, unless a click cuts it short."""
    runs = st.session_state[
        RUNS
    ]  # not asked for again: after `st.stop()` the session raises at every question
    try:
        yield
    finally:
        runs.ended = not isinstance(sys.exc_info()[1], RerunException)


def tell(key: str) -> None:
    """Before the widget `key` is drawn: send its value anew if the last run was cut short.

    Streamlit drops what such a run drew and had not sent, but takes it as known to the browser: a widget that
    was drawn there for the first time would stand empty, and its value be lost with the next click.
    """
    if not st.session_state[RUNS].last_ended and key in st.session_state:
        st.session_state[key] = st.session_state[key]


def is_stale_run() -> bool:
    """Whether the address of this run is older than what people see, and moves nothing."""
    return bool(st.session_state.get(CHANGED))


def know(key: str) -> None:
    """Remember what the widget `key` holds, for `begin` of the next run."""
    st.session_state.setdefault(KNOWN, {})[key] = st.session_state.get(key)


def follow(name: str, key: str, usual: str = "", allowed: Container[str] | None = None) -> None:
    """Before the widget `key` is drawn: give it what the address says, once the address has moved.

    `usual` is what an address without `name` means, and one with nothing that is `allowed`.
    """
    value = st.query_params.get(name, usual)
    if allowed is not None and value not in allowed:
        value = usual
    moved = st.session_state.get(_written(name)) != value and not is_stale_run()
    state_value = st.session_state.get(key)
    if state_value is None or moved or (allowed is not None and state_value not in allowed):
        st.session_state[key] = value
    tell(key)
    know(key)


def carry(name: str, value: str, usual: str = "") -> str:
    """After it was drawn: write its value into the address, unless it is the usual one. The value."""
    if value != usual and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif value == usual and name in st.query_params:
        del st.query_params[name]
    st.session_state[_written(name)] = value
    return value


def text(name: str, label: str, *, placeholder: str = "", icon: str | None = None, most: int = 200) -> str:
    """A line to type into."""
    follow(name, name)
    typed = st.text_input(
        label,
        placeholder=placeholder or label,
        label_visibility="collapsed",
        icon=icon,
        max_chars=most,
        key=name,
    )
    return carry(name, typed)


def choice(name: str, label: str, options: Mapping[str, str], *, usual: str = "", key: str = "") -> str:
    """One of these, by the names that people see."""
    key = key or f"by-{name}"
    follow(name, key, usual, options)
    selected = st.selectbox(
        label, list(options), format_func=options.__getitem__, key=key, label_visibility="collapsed"
    )
    return carry(name, str(selected), usual)


def segments(name: str, label: str, options: Mapping[str, str], *, usual: str, key: str = "") -> str:
    """One of a few, all of them in sight."""
    key = key or name
    follow(name, key, usual, options)
    selected = st.segmented_control(
        label,
        list(options),
        required=True,
        format_func=options.__getitem__,
        label_visibility="collapsed",
        key=key,
    )
    return carry(name, str(selected), usual)


def page(name: str) -> int:
    """Which page of a list is asked for, from 1; `pages` draws the choice below the list."""
    value = st.query_params.get(name, "1")
    number = int(value) if value.isdecimal() and int(value) else 1
    moved = st.session_state.get(_written(name)) != value and not is_stale_run()
    if name not in st.session_state or moved:
        st.session_state[name] = number
        st.session_state[_written(name)] = value
    tell(name)
    return int(st.session_state[name])


def pages(name: str, count: int) -> None:
    """Choose one of so many pages; nothing to see where there is only one."""
    if int(st.session_state[name]) > max(1, count):
        st.session_state[name] = max(1, count)
        carry(name, str(st.session_state[name]), "1")
        st.rerun()
    if count > 1:
        st.pagination(count, key=name)
    carry(name, str(st.session_state[name]), "1")
    know(name)


def _written(name: str) -> str:
    return f"address {name}"
