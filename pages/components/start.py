"""The first steps of a new installation: each with one sentence why, in order, until somebody puts them away."""

from __future__ import annotations

import streamlit as st

from core.library import views
from core.library.recordings import TranscriptionOptions
from core.settings import ROOT
from core.speech.downloads import Download
from jobs.installation import application
from pages.components import common, providers
from pages.components.common import current_principal, gettext, translate_error

SAMPLE = ROOT / "tests" / "data" / "ru_planning.opus"
PUT_AWAY = "start put away"
GIGAAM_SIZE_BYTES = 900e6
"""What the files of v3_e2e_rnnt come to, about; the server says it exactly when the download begins."""


def draw(*, empty: bool) -> None:
    """What is still to be done; `empty`: with the ways to bring the first recording."""
    app = application()
    if app.database.get_value(PUT_AWAY) or not common.may_administer():
        if empty:
            st.write(gettext("There are no recordings yet."))
        return
    model, needs_key = _model(), not app.settings.gemini_api_key.get_secret_value()
    if not (empty or model or needs_key):
        return
    with st.container(border=True, key="start"):
        with common.line():
            st.header(gettext("First steps"), anchor=False, width="stretch")
            if st.button(gettext("Hide"), type="tertiary", key="put-away"):
                app.database.set_value(PUT_AWAY, "1")
                st.rerun()
        if model:
            _gigaam(model)
        if needs_key:
            _key()
        if empty:
            _upload_step()


def _model() -> Download | None:
    """GigaAM, while it is not here."""
    downloads = application().model_downloads.all()
    return next((one for one in downloads if one.kind == "gigaam" and one.state != "here"), None)


def _step(title: str, why: str) -> None:
    with common.tight():
        st.markdown(f"**{title}**")
        st.caption(why)


def _gigaam(model: Download) -> None:
    _step(
        gettext("Get GigaAM v3"),
        gettext(
            "The best recognition of Russian, on this machine, for nothing: about {size}, MIT licence.",
            size=common.size(model.total_bytes or GIGAAM_SIZE_BYTES),
        ),
    )
    providers.models(kind="gigaam")


def _key() -> None:
    _step(
        gettext("Enter a Gemini key"),
        gettext(
            "Search by meaning becomes better, and by batch costs half; without it, it works on this machine."
        ),
    )
    providers.enter_key()


def _upload_step() -> None:
    _step(
        gettext("Upload or record something"),
        gettext("It becomes text that you can read, search and listen to at every word."),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(gettext("Upload"), type="primary", icon=":material/upload:", key="start-upload"):
            st.switch_page("upload.py")
        if SAMPLE.exists() and st.button(gettext("Try with a sample"), key="start-sample"):
            _try()


def _try() -> None:
    options = TranscriptionOptions(
        title=gettext("Sample: a planning meeting"), language="ru", tags=("sample",)
    )
    with SAMPLE.open("rb") as file:
        outcome = views.accept_file(application().intake, current_principal(), file, SAMPLE.name, options)
    if outcome.error:
        st.error(translate_error(outcome.error))
    else:
        st.switch_page("recording.py", query_params={"id": outcome.recording_id})
