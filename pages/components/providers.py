"""Providers and models on the settings page: how each stands, what it costs, and a test of its connection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import pandas as pd
import streamlit as st

from core.billing import Limit, Price
from core.i18n import catalogue
from core.i18n.messages import N_
from core.monitor import providers
from core.monitor.providers import STATES, Provider
from core.speech.downloads import Download
from jobs.installation import application
from pages.components import common, prices
from pages.components.common import (
    facts,
    gettext,
    language,
    moment,
    plain,
    size,
    translate_error,
    translate_fact,
)

Colour = Literal["green", "red", "gray", "orange", "blue"]
COLOURS: Mapping[str, Colour] = {"ok": "green", "ready": "blue", "refused": "red", "resting": "orange"}
MODES = {**prices.MODES, "": N_("any")}
LIMITS = {
    "rpm": N_("calls a minute"),
    "tpm": N_("tokens a minute"),
    "rpd": N_("calls a day"),
    "audio_s_per_hour": N_("seconds of sound an hour"),
    "audio_s_per_day": N_("seconds of sound a day"),
    "texts_per_call": N_("texts a call"),
    "enqueued_tokens": N_("tokens in batches at once"),
    "requests_per_job": N_("texts a batch"),
    "at_once": N_("batches at once"),
}
PLACES = {
    "gigaam": N_("Without a network: put {address} into {folder}"),
    "local": N_("Without a network: fetch {address} elsewhere and name its folder in LOCAL_EMBEDDING_MODEL"),
}


def draw() -> None:
    """Every provider, one under the other."""
    for provider in providers.all(application().settings, application().remote_transcription.breakers):
        with common.tight(key=f"provider-{provider.name}"):
            _provider(provider)


def _provider(provider: Provider) -> None:
    with common.line():
        is_store = provider.name == "storage"
        st.markdown(gettext("Object store") if is_store else translate_fact(provider.title), width="stretch")
        st.badge(gettext(STATES[provider.state]), color=COLOURS.get(provider.state, "gray"))
    tested = provider.tested_at and gettext("answered {time}", time=moment(provider.tested_at))
    st.caption(
        facts(
            plain(provider.title) if is_store else "",
            f"{gettext('key')} `{provider.key}`" if provider.key else "",
            tested or "",
            gettext("in {s} s", s=common.number(provider.latency_s, 2))
            if tested and provider.latency_s
            else "",
        )
    )
    if provider.message:
        st.caption(_why(provider))
    if provider.state not in ("missing", "withdrawn"):
        _test(provider.name)
    if provider.prices or provider.limits:
        with st.expander(gettext("Prices and limits"), key=f"prices-{provider.name}", type="compact"):
            _prices_and_limits(provider)


def _why(provider: Provider) -> str:
    """A sentence by its template, or a reason of ours by its phrase."""
    said = catalogue.translate_error({"message": provider.message, "facts": provider.facts}, language())
    return plain(str(catalogue.translate_fact(said, language())))


def _test(name: str) -> None:
    if st.button(gettext("Test the connection"), key=f"test-{name}", type="tertiary"):
        with st.spinner(gettext("Asking…")):
            st.session_state["tested"] = (
                name,
                providers.test(application().settings, application().remote_transcription.breakers, name),
            )
        st.rerun()
    tested, found = st.session_state.get("tested", ("", None))
    if tested == name and found is not None:
        del st.session_state["tested"]
        if found.ok:
            st.success(gettext("It answered in {s} s.", s=common.number(found.latency_s or 0.0, 2)))
        else:
            st.error(translate_error(found.error))


def _prices_and_limits(provider: Provider) -> None:
    if provider.prices:
        rows = pd.DataFrame([_price(price) for price in provider.prices])
        st.dataframe(rows, hide_index=True, column_config=_columns())
    if provider.limits:
        rows = pd.DataFrame([row for limit in provider.limits for row in _limit(limit)])
        st.dataframe(rows, hide_index=True, column_config=_columns())


def _price(price: Price) -> dict[str, object]:
    ended = price.ended(date.today())
    return {
        "what": facts(price.model, _mode(price.mode)),
        "price": catalogue.NOTHING
        if price.price is None
        else f"{price.price.normalize():f} {price.currency}",
        "unit": str(catalogue.translate_fact(price.unit, language())),
        "state": gettext("withdrawn") if ended else gettext("old") if price.stale(date.today()) else "",
        "day": price.read_on,
        "source": price.source,
    }


def _limit(limit: Limit) -> list[dict[str, object]]:
    known = {name: getattr(limit, name) for name in LIMITS}
    return [
        {
            "what": facts(
                limit.model, _mode(limit.mode), gettext("tier {tier}", tier=limit.tier) if limit.tier else ""
            ),
            "limit": f"{common.number(value)} {gettext(LIMITS[name])}",
            "day": limit.read_on,
            "source": limit.source,
        }
        for name, value in known.items()
        if value is not None and (name, value) != ("texts_per_call", 1)
    ]


def _mode(mode: str) -> str:
    return gettext(MODES[mode]) if mode in MODES else mode


def _columns() -> dict[str, Any]:
    return {
        "what": st.column_config.TextColumn(gettext("What"), width="medium"),
        "price": st.column_config.TextColumn(gettext("Price"), alignment="right"),
        "unit": gettext("For"),
        "state": gettext("State"),
        "limit": st.column_config.TextColumn(gettext("Limit")),
        "day": st.column_config.DateColumn(gettext("Read on")),
        "source": st.column_config.TextColumn(gettext("Source"), width="large"),
    }


# Models that are brought here


def models() -> None:
    """Models that the settings name, with a download that goes on by itself."""
    downloads = application().model_downloads

    def show() -> bool:
        found = downloads.all()
        for one in found:
            _model(one)
        return any(one.state == "asked" for one in found)

    common.live(show, moving=any(one.state == "asked" for one in downloads.all()))


def _model(one: Download) -> None:
    downloads = application().model_downloads
    with common.tight(key=f"model-{one.name.replace('/', '-')}"):
        with common.line():
            st.markdown(translate_fact(one.title), width="stretch")
            if one.state == "here":
                st.badge(gettext("Downloaded"), color="green")
            elif one.state == "asked":
                if st.button(gettext("Stop"), type="tertiary", key=f"stop-{one.name}"):
                    downloads.stop(one.name)
                    st.rerun()
            elif st.button(gettext("Download"), type="tertiary", key=f"bring-{one.name}"):
                downloads.ask(one.name)
                st.rerun()
        if one.state == "asked":
            _progress(one)
        elif one.error and one.state == "failed":
            st.error(translate_error(one.error))
        if one.state in ("missing", "failed"):
            place = PLACES[one.kind]
            st.caption(gettext(place, address=one.address, folder=plain(one.folder)))


def _progress(one: Download) -> None:
    if not one.total_bytes:
        st.progress(0.0, gettext("The download begins…"))
        return
    said = gettext("{done} of {total}", done=size(one.done_bytes), total=size(one.total_bytes))
    st.progress(min(1.0, one.done_bytes / one.total_bytes), facts(plain(one.file), said))
