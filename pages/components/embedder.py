"""The embedder: which one is active, and the banner that offers another with its price."""

from __future__ import annotations

import streamlit as st

from core.database.states import EmbeddingMode
from core.errors import StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from core.search.active_embedder import Change, Offer
from jobs.installation import application
from pages.components import common
from pages.components.common import gettext, ngettext, plain, translate_error, translate_fact

SWITCH = {
    EmbeddingMode.SYNC: N_("Switch now for {usd}"),
    EmbeddingMode.BATCH: N_("Switch by batch for {usd}"),
}
FREE = N_("Switch for free")


def banner() -> None:
    """The change that the settings ask for, or how far it is; nothing if all is as they say."""
    active = application().active_embedder
    if common.may_administer() and (offer := active.offer()) is not None:
        _offer(offer)
    elif active.change() is not None:
        common.live(_progress, moving=True)


def _offer(offer: Offer) -> None:
    with st.container(border=True, key="switch"):
        st.markdown(
            f"**{gettext('Switch the search by meaning to {title}', title=translate_fact(offer.after))}**"
        )
        one = "{n} passage gets a new vector; until then {before} goes on answering."
        many = "{n} passages get new vectors; until all are there {before} goes on answering."
        st.write(ngettext(one, many, offer.passages, before=translate_fact(offer.before)))
        with st.container(horizontal=True):
            for mode, usd in offer.usd.items():
                template = FREE if usd == 0 else SWITCH[mode]
                price = catalogue.NOTHING if usd is None else catalogue.money(float(usd), common.language())
                label = gettext(template, usd=plain(price))
                if st.button(
                    label,
                    type="primary" if mode == EmbeddingMode.SYNC else "secondary",
                    key=f"switch-{mode.lane}",
                ):
                    _switch(mode)


def _switch(mode: EmbeddingMode) -> None:
    try:
        application().active_embedder.switch(common.current_principal(), mode)
    except StenogramError as error:  # somebody else was faster
        st.error(translate_error(error))
    else:
        st.rerun()


def _progress() -> bool:
    change = application().active_embedder.change()
    if change is not None:
        _bar(change)
    return change is not None


def _bar(change: Change) -> None:
    done, total = common.number(change.done), common.number(change.total)
    text = gettext(
        "{done} of {total} passages have vectors by {title}",
        done=done,
        total=total,
        title=translate_fact(change.after),
    )
    st.progress(change.done / change.total if change.total else 0.0, text)
    st.caption(gettext("{before} answers questions until then.", before=translate_fact(change.before)))


def active() -> None:
    """The active embedder, on the settings page."""
    embedder = application().active_embedder.embedder()
    with common.tight():
        with common.line():
            st.markdown(translate_fact(embedder.title), width="stretch")
            st.badge(gettext("Active"), color="green")
        st.caption(common.language_names(embedder.languages))
