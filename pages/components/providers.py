"""Providers and models on the settings page: how each stands, what it costs, and a test of its connection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

import streamlit as st

from core.billing import Limit, Price
from core.i18n import catalogue
from core.i18n.messages import N_
from core.monitor import providers
from core.monitor.providers import STATES, Provider
from core.settings import ENV_FILE
from core.speech.downloads import Download
from core.speech.engine import Engine
from jobs.installation import application
from pages.components import common, figures, prices
from pages.components.common import (
    facts,
    gettext,
    language,
    moment,
    ngettext,
    plain,
    size,
    translate_error,
    translate_fact,
)
from pages.components.figures import Cell, Column

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
    "gigaam": N_("Download {address} and put it into {folder}."),
    "local": N_("Fetch {address} elsewhere and name its folder in LOCAL_EMBEDDING_MODEL."),
    "whisper": N_("Download the files of {address} and put them into {folder}."),
}


def engines() -> None:
    """What can transcribe now; what would have to be set up first is folded away."""
    engines = application().engines.values()
    for engine in engines:
        if engine.readiness().ready:
            _engine(engine)
    missing = [engine for engine in engines if not engine.readiness().ready]
    if missing:
        title = ngettext("{n} engine is not set up", "{n} engines are not set up", len(missing))
        with st.expander(title, key="engines-missing", type="compact"):
            for engine in missing:
                _engine(engine)


def _engine(engine: Engine) -> None:
    readiness = engine.readiness()
    with common.tight():
        with common.line():
            st.markdown(translate_fact(engine.title), width="stretch")
            st.badge(**common.readiness(readiness))
        st.caption(facts(common.language_names(engine.languages), translate_fact(readiness.reason)))


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
    elif provider.name == "gemini" and not application().settings.gemini_api_key.get_secret_value():
        enter_key()
    if provider.prices or provider.limits:
        with st.expander(gettext("Prices and limits"), key=f"prices-{provider.name}", type="compact"):
            _prices_and_limits(provider)


def enter_key() -> None:
    """Take a Gemini key where nobody else reaches the pages, else say where to write it. Never shows it."""
    if st.session_state.get("gemini-kept"):
        st.success(gettext("The key is kept in .env: start the tool anew, and it is used."))
        return
    with st.popover(gettext("Enter it"), type="tertiary", icon=":material/key:"):
        if application().settings.private:
            _key_form()
        else:
            st.write(
                gettext(
                    "Others reach these pages, too. Write this line into the file .env beside the README, "
                    "with your key, and start the tool anew:"
                )
            )
            st.code("GEMINI_API_KEY=…", language=None)


def _key_form() -> None:
    with st.form("gemini-key", clear_on_submit=True, border=False):
        typed = st.text_input(
            gettext("Gemini key"),
            type="password",
            max_chars=400,
            autocomplete="off",
            key="gemini-typed",
            help=gettext(
                "You get one at aistudio.google.com, under “API keys”. It is written into the file .env and "
                "shown nowhere."
            ),
        )
        if not st.form_submit_button(gettext("Keep the key"), type="primary"):
            return
    try:
        providers.keep_key(
            common.current_principal(), application().database, "GEMINI_API_KEY", typed.strip(), ENV_FILE
        )
    except ValueError:
        st.error(gettext("This is no key: it has at least 16 letters and digits, and no spaces."))
    except OSError:
        st.error(gettext("The file .env beside the README cannot be written."))
    else:
        st.session_state["gemini-kept"] = True
        st.rerun()


def _why(provider: Provider) -> str:
    """A sentence by its template, or a reason of ours by its phrase."""
    reason = catalogue.translate_error({"message": provider.message, "facts": provider.facts}, language())
    return plain(str(catalogue.translate_fact(reason, language())))


def _test(name: str) -> None:
    if st.button(gettext("Test the connection"), key=f"test-{name}", type="tertiary"):
        with st.spinner(gettext("Asking…")):
            st.session_state["tested"] = (
                name,
                providers.test(
                    common.current_principal(),
                    application().settings,
                    application().remote_transcription.breakers,
                    name,
                ),
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
        amounts = common.aligned([_amount(price) for price in provider.prices])
        rows = [_price(*both) for both in zip(provider.prices, amounts, strict=True)]
        figures.table(_columns("what", "price", "state", "day", "source"), rows)
    if provider.limits:
        rows = [row for limit in provider.limits for row in _limit(limit)]
        figures.table(_columns("what", "limit", "day", "source"), rows)


def _amount(price: Price) -> str:
    if price.price is None:
        return catalogue.NOTHING
    return catalogue.money(float(price.price), language(), common.SIGNS[price.currency])


def _phrase(fact: str) -> str:
    return str(catalogue.translate_fact(fact, language()))


def _price(price: Price, amount: str) -> dict[str, Cell | str]:
    ended = price.ended(date.today())
    return {
        "what": Cell(_phrase(price.model), _mode(price.mode)),
        "price": Cell(amount, str(catalogue.translate_fact(price.unit, language()))),
        "state": gettext("withdrawn") if ended else gettext("old") if price.stale(date.today()) else "",
        "day": catalogue.day(price.read_on, language()),
        "source": _phrase(price.source),
    }


def _limit(limit: Limit) -> list[dict[str, Cell | str]]:
    values = {name: getattr(limit, name) for name in LIMITS}
    tier = gettext("tier {tier}", tier=limit.tier) if limit.tier else ""
    return [
        {
            "what": Cell(limit.model or gettext("all models"), facts(_mode(limit.mode), tier)),
            "limit": Cell(common.number(value), gettext(LIMITS[name])),
            "day": catalogue.day(limit.read_on, language()),
            "source": _phrase(limit.source),
        }
        for name, value in values.items()
        if value is not None and (name, value) != ("texts_per_call", 1)
    ]


def _mode(mode: str) -> str:
    return gettext(MODES[mode]) if mode in MODES else mode


def _columns(*names: str) -> list[Column]:
    columns = [
        Column("what", gettext("What"), wide=True),
        Column("price", gettext("Price"), number=True),
        Column("limit", gettext("Limit"), number=True),
        Column("state", gettext("State")),
        Column("day", gettext("Read on")),
        Column("source", gettext("Source"), text=True),
    ]
    return [each for each in columns if each.name in names]


# Models that are brought here


def models(kind: str = "") -> None:
    """Models that can be brought here, with a download that goes on by itself; of one `kind` without a title."""
    downloads = application().model_downloads

    def selected_downloads() -> list[Download]:
        return [one for one in downloads.all() if kind in ("", one.kind)]

    def show() -> bool:
        downloads = selected_downloads()
        for one in downloads:
            _model(one, titled=not kind)
        if not kind:
            st.caption(gettext("WHISPER_MODEL names the Whisper that transcribes, GIGAAM_MODEL the GigaAM."))
        return any(one.state == "asked" for one in downloads)

    common.live(show, moving=any(one.state == "asked" for one in selected_downloads()))


def _model(one: Download, *, titled: bool) -> None:
    place = gettext(PLACES[one.kind], address=one.address, folder=plain(one.folder))
    with common.tight(key=f"model-{one.name.replace('/', '-')}"):
        with common.line():
            if titled:
                _title(one)
            _download_row(one, place)
        if one.state == "asked":
            _progress(one)
        elif one.error and one.state == "failed":
            st.error(translate_error(one.error))
        if one.state in ("missing", "failed") and one.kind != "whisper":  # of those there are eight
            with st.expander(gettext("Without a network"), key=f"by-hand-{one.name}", type="compact"):
                st.caption(place)


def _download_row(one: Download, place: str) -> None:
    """Its state, or the button that changes it."""
    downloads = application().model_downloads
    if one.state == "here":
        st.badge(gettext("Downloaded"), color="green")
    elif one.state == "asked":
        if st.button(gettext("Stop"), type="tertiary", key=f"stop-{one.name}"):
            downloads.stop(common.current_principal(), one.name)
            st.rerun()
    elif st.button(gettext("Download"), key=f"bring-{one.name}", help=place):
        downloads.ask(common.current_principal(), one.name)
        st.rerun()


def _title(one: Download) -> None:
    """Its name, with size and licence as far as they are known."""
    with common.tight():
        st.markdown(translate_fact(one.title))
        if about := facts(size(one.size_bytes) if one.size_bytes else "", one.licence):
            st.caption(about)


def _progress(one: Download) -> None:
    if not one.total_bytes:
        st.progress(0.0, gettext("The download begins…"))
        return
    label = gettext("{done} of {total}", done=size(one.done_bytes), total=size(one.total_bytes))
    st.progress(min(1.0, one.done_bytes / one.total_bytes), facts(plain(one.file), label))
