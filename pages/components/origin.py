"""Where a recording was taken from, when that was published, and the chapters it was given there."""

from __future__ import annotations

import streamlit as st

from core.database.tables import Recording
from core.i18n import catalogue
from pages.components import common
from pages.components.common import facts, gettext, ngettext, plain


def draw(recording: Recording) -> None:
    """Nothing where it came as a file."""
    if recording.source_url:
        published = recording.published_at if recording.recorded_at else None  # else the page says it above
        said = gettext("published {time}", time=common.moment(published)) if published else ""
        at = f"[{gettext('Where it is from')}]({_safe(recording.source_url)})"
        st.caption(facts(said, at))
    if recording.chapters:
        label = ngettext("{n} chapter", "{n} chapters", len(recording.chapters))
        with st.expander(label, icon=":material/toc:"):
            for start_s, title in recording.chapters:
                st.page_link(
                    "recording.py",
                    label=f"{catalogue.clock(start_s)}  {plain(title)}",
                    query_params={"id": recording.id, "t": f"{start_s:g}"},
                    icon="",
                    help="",
                )


def _safe(url: str) -> str:
    """An address that ends where Markdown thinks it does."""
    return url.replace("(", "%28").replace(")", "%29").replace(" ", "%20").replace("<", "%3C")
