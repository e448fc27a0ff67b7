"""What our components send to Python, kept until it is acted on.

Streamlit drops a trigger when another interaction interrupts the script run that carried it. Callbacks come
before the script, so what they have kept is still there for the run that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def kept(key: str, name: str, scope: str = "") -> Callable[[], None]:
    """A callback for the component with this `key` that keeps its trigger of this `name`.

    `scope` is what the trigger is about, where one key stands for several things such as recordings.
    """

    def keep() -> None:
        value = st.session_state[key].get(name)
        if value is not None:
            st.session_state.setdefault(_place(key, name, scope), []).append(value)

    return keep


def take(key: str, name: str, scope: str = "") -> Any:
    """The oldest value that was sent and not taken yet; None: there is none."""
    waiting = st.session_state.get(_place(key, name, scope))
    return waiting.pop(0) if waiting else None


def _place(key: str, name: str, scope: str) -> str:
    return f"trigger {key} {name} {scope}"
