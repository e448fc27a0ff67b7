"""What comes by itself: feeds, folders of the server, buckets; what is there is priced before it is taken."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.database.states import ItemState, SourceKind, SourceState
from core.errors import StenogramError
from core.i18n.messages import N_
from core.library.recordings import TranscriptionOptions
from core.sources.service import OPEN_ITEMS, SourceView, restored
from jobs.installation import application
from pages.components import common, links, transcription_form
from pages.components.common import (
    current_principal,
    duration,
    facts,
    gettext,
    ngettext,
    plain,
    translate_error,
)

KINDS = {
    SourceKind.FEED: N_("Podcast feed"),
    SourceKind.FOLDER: N_("Folder of the server"),
    SourceKind.BUCKET: N_("Bucket"),
}
ICONS = {SourceKind.FEED: "rss_feed", SourceKind.FOLDER: "folder", SourceKind.BUCKET: "cloud"}
STATES: dict[SourceState, str] = {
    SourceState.LOOKING: N_("What is there is being counted"),
    SourceState.PRICED: N_("Waiting for your decision"),
    SourceState.ACTIVE: N_("Watched"),
    SourceState.PAUSED: N_("Paused"),
    SourceState.DONE: N_("Done"),
}
LISTED = 20


def draw() -> None:
    """Every source with how far it is; below, a form for another one."""
    views = application().sources.all(current_principal())
    if not views:
        st.caption(
            gettext("Feeds, folders and buckets that are watched: what is new there comes in by itself.")
        )
    common.live(_all, moving=any(_moves(view) for view in views))
    with st.expander(gettext("Watch or import another one"), expanded=not views):
        _form()


def _all() -> bool:
    views = application().sources.all(current_principal())
    for view in views:
        _one(view)
    return any(_moves(view) for view in views)


def _moves(view: SourceView) -> bool:
    under_way = any(view.counts.get(state) for state in OPEN_ITEMS)
    return view.source.state == SourceState.LOOKING or (view.source.state == SourceState.ACTIVE and under_way)


def _one(view: SourceView) -> None:
    source = view.source
    with st.container(border=True, key=f"source-{source.id}"):
        with common.line():
            st.markdown(f":material/{ICONS[source.kind]}: {plain(source.title)}", width="stretch")
            st.badge(gettext(_state(view)), color="orange" if source.state == SourceState.PRICED else "gray")
            _buttons(view)
        st.caption(facts(plain(source.address), *_counted(view)))
        if source.error:
            st.warning(translate_error(source.error), icon=":material/warning:")
        if source.state == SourceState.PRICED:
            _decide(view)
        elif view.total and view.done < view.total:
            text = gettext("{n} of {total} files", n=view.done, total=view.total)
            st.progress(view.done / view.total, text)
        if view.counts and source.state not in {SourceState.LOOKING, SourceState.PRICED}:
            with st.expander(gettext("What came, and what did not")):
                links.rows(application().sources.items(current_principal(), source.id, limit=LISTED))


def _state(view: SourceView) -> str:
    if view.source.state == SourceState.ACTIVE and not view.source.watch:
        return N_("Being imported")
    return STATES[view.source.state]


def _counted(view: SourceView) -> list[str]:
    named = (ItemState.DONE, ItemState.WAITING, ItemState.FAILED, ItemState.SKIPPED)
    counted = [(gettext(links.STATES[state]), view.counts.get(state, 0)) for state in named]
    return [f"{label}: {n}" for label, n in counted if n]


def _buttons(view: SourceView) -> None:
    sources, source = application().sources, view.source
    if source.state == SourceState.ACTIVE and common.icon_button(
        gettext("Pause"), "pause", f"pause-{source.id}"
    ):
        sources.pause(current_principal(), source.id)
        st.rerun()
    if source.state == SourceState.PAUSED and common.icon_button(
        gettext("Go on"), "play_arrow", f"resume-{source.id}"
    ):
        sources.resume(current_principal(), source.id)
        st.rerun()
    if common.icon_button(gettext("Watch it no more; its recordings stay"), "delete", f"unwatch-{source.id}"):
        sources.remove(current_principal(), source.id)
        st.rerun()


def _decide(view: SourceView) -> None:
    """What is there with its price, before anything of it is taken."""
    app, source = application(), view.source
    unknown_s = float(app.estimates.book().assume("recording_s").value)
    lengths_s = app.sources.durations_s(current_principal(), source.id, unknown_s)
    n = ngettext("{n} recording is there", "{n} recordings are there", len(lengths_s))
    st.write(facts(n, duration(sum(lengths_s))))
    transcription_form.price(lengths_s, restored(source.options))
    with st.container(horizontal=True):
        label = ngettext("Take {n} file", "Take {n} files", len(lengths_s))
        if st.button(label, type="primary", key=f"all-{source.id}"):
            _decided(source.id, take=True)
        if source.watch and st.button(gettext("Only what is new from now on"), key=f"new-{source.id}"):
            _decided(source.id, take=False)


def _decided(source_id: str, *, take: bool) -> None:
    application().sources.decide(current_principal(), source_id, take=take)
    application().periodic_tasks.expedite("sources")
    st.rerun()


def _kinds() -> list[SourceKind]:
    """What can be watched as this installation is set up."""
    settings = application().settings
    able = {SourceKind.FOLDER: settings.folders, SourceKind.BUCKET: settings.readable_buckets}
    return [kind for kind in KINDS if able.get(kind, True)]


def _form() -> None:
    kinds = _kinds()
    st.session_state.setdefault("source-kind", kinds[0])  # a link that is a list has set it already
    kind = SourceKind(
        st.segmented_control(
            gettext("What is watched"),
            kinds,
            required=True,
            format_func=lambda kind: gettext(KINDS[kind]),
            key="source-kind",
        )
        or kinds[0]
    )
    if len(kinds) < len(KINDS):
        st.caption(
            gettext("Folders need IMPORT_ROOTS, buckets IMPORT_BUCKETS in the settings of the server.")
        )
    address = st.text_input(
        gettext("Address"), placeholder=_example(kind), key="source-address", max_chars=2000
    )
    watch = st.checkbox(
        gettext("Go on watching: what comes later is taken, too"),
        value=True,
        key="source-watch",
        help=gettext("What is deleted there stays here."),
    )
    move_to = ""
    if kind != SourceKind.FEED:
        st.caption(gettext("Folders inside of it become tags."))
        move_to = st.text_input(
            gettext("Move what is done into this folder there"),
            placeholder=gettext("Files stay where they are"),
            key="source-move",
            max_chars=100,
        )
    language, engine, ready = common.engine("source", application().settings.spoken_language)
    if st.button(gettext("Count what is there"), disabled=not (address and ready), key="add-source"):
        options = replace(TranscriptionOptions(), language=language, engine=engine)
        _add(kind, address, options, watch=watch, move_to=move_to.strip())


def _example(kind: SourceKind) -> str:
    settings = application().settings
    if kind == SourceKind.FOLDER:
        return str(settings.folders[0])
    return settings.readable_buckets[0] if kind == SourceKind.BUCKET else "https://"


def _add(kind: SourceKind, address: str, options: TranscriptionOptions, *, watch: bool, move_to: str) -> None:
    try:
        application().sources.add(current_principal(), kind, address, options, watch=watch, move_to=move_to)
    except StenogramError as error:
        st.error(translate_error(error))
        return
    application().periodic_tasks.expedite("sources")
    st.rerun()
