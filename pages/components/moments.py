"""Moments on the pages: keeping them, and each with what can be done with it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from core.database.tables import Collection, Recording, utc
from core.errors import StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library import kept_moments, moment_exports, views
from core.library.kept_moments import Kept, Stretch
from core.library.moments import Moments
from core.library.views import Group, Hit
from core.search import operators
from jobs.installation import application
from pages.components import (
    address,
    common,
    saved_searches,
    search_filters,
    search_hits,
    share_links,
    triggers,
)
from pages.components.common import current_principal, gettext, plain, translate_error

SORTS = {"best": N_("Best first"), "newest": N_("Newest first"), "oldest": N_("Oldest first")}
LIKE_LETTERS = 300
"""So much of a passage is asked for when more like it is wanted."""
HERE = Path(__file__).parent
CSS = """
button { font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: var(--st-background-color);
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 8px);
  padding: 0.3rem 0.75rem; min-height: 2.5rem; cursor: pointer; }
button:disabled { opacity: 0.5; cursor: default; }
"""
_keeper = st.components.v2.component(
    "stenogram_keeper",
    html='<button type="button" disabled></button>',
    css=CSS,
    js=(HERE / "keeper.js").read_text(),
)


def speaker(people: Mapping[str, int]) -> str:
    """Ask who says it, where speakers have names; "": whoever."""
    if not people:
        return ""
    named = {name: f"{name} ({common.number(count)})" for name, count in people.items()}
    return address.choice("speaker", gettext("Who says it"), {"": gettext("Whoever says it"), **named})


def keep_selected(recording: Recording) -> None:
    """A button that keeps the words which are selected in the transcript."""
    _keeper(
        key="keeper",
        data={
            "label": gettext("Keep the selected words"),
            "help": gettext("Select words of the transcript below, then keep them as a moment."),
        },
        on_span_change=triggers.kept("keeper", "span", recording.id),
    )
    if span := triggers.take("keeper", "span", recording.id):
        first_s, last_s = (float(each) for each in str(span).split())
        end_s = _end_of_word(recording, last_s)
        keep(Stretch(recording.id, first_s, min(end_s, first_s + kept_moments.MOST_S)))


def keep(stretch: Stretch) -> None:
    """Keep a stretch, and say so with the way to it."""
    try:
        kept_moment = application().kept_moments.keep(current_principal(), stretch)
    except StenogramError as error:
        st.toast(translate_error(error), icon=":material/error:")
        return
    st.session_state["kept"] = kept_moment.moment.id
    st.toast(
        gettext("Kept: {title}", title=plain(kept_moment.moment.title)), icon=":material/bookmark_added:"
    )


def beside(group: Group, hit: Hit, key: str) -> None:
    """At a hit of the search: more like it, and a button that keeps its passage."""
    text = "".join(piece for piece, _ in hit.pieces).strip("… ")
    with common.line(width="content", gap="xsmall"):
        st.page_link(
            "search.py",
            label="",
            icon=":material/manage_search:",
            query_params={"q": text.replace('"', " ")[:LIKE_LETTERS], "mode": "meaning"},
            help=gettext("More like this moment"),
        )
        if not common.may_change():
            return
        if common.icon_button(gettext("Keep this moment"), "bookmark_add", f"keep-{key}"):
            end_s = min(hit.end_s, hit.start_s + kept_moments.MOST_S)
            keep(Stretch(group.recording_id, hit.start_s, end_s))


def results(moments: Moments, question: str, mode: str) -> None:
    """What a search found: answers, then the nearest there is, with what can be done with them."""
    app = application()
    answers = [result for result in moments.results if result.answer]
    nearest = [result for result in moments.results if not result.answer]
    search_hits.found_count(moments)
    if not moments.total and mode == "words":
        st.page_link(
            "search.py",
            label=gettext("Search by meaning, too"),
            query_params={"q": question, "mode": "hybrid"},
            icon=":material/manage_search:",
        )
    saved_searches.save(question, mode)
    search_filters.facets(question, mode, moments)
    if moments.notice:
        st.info(plain(moments.notice))
    marked = " ".join(
        [operators.read(question).text, *(each.read for each in moments.instead), *moments.other_words]
    )
    logged_question = question if app.search_log.keep_opened else ""
    named = app.recordings.named(current_principal(), {each.recording_id for each in moments.results})
    above = functools.partial(_above, named)
    search_hits.draw(views.grouped(answers, marked), question=logged_question, beside=beside, above=above)
    if nearest:
        st.markdown(
            gettext("Less certain:") if answers else gettext("Nothing says that; nearest by meaning:")
        )
        search_hits.draw(views.grouped(nearest, marked), key="nearest", beside=beside, above=above)


def _above(named: Mapping[str, Recording], group: Group) -> None:
    """How long a recording is and of when, and where in it its hits are."""
    if recording := named.get(group.recording_id):
        st.caption(common.facts(common.duration(recording.duration_s), common.dated(recording)))
    timeline(group)


def timeline(group: Group) -> None:
    """Where in a recording its hits are; nothing where its length is not known."""
    if not group.duration_s:
        return
    marks = "".join(
        f'<i style="left:{100 * min(hit.play_s / group.duration_s, 1):.2f}%"></i>' for hit in group.hits
    )
    st.html(
        "<style>.hits{position:relative;height:6px;border-radius:3px;background:rgba(128,128,128,.25)}"
        ".hits i{position:absolute;top:-2px;width:3px;height:10px;border-radius:1px;"
        "background:var(--st-primary-color,#c2410c)}</style>"
        f'<div class="hits" aria-hidden="true">{marks}</div>'
    )


def link_to_kept() -> None:
    """The way to what was kept last in this visit."""
    if moment_id := st.session_state.get("kept", ""):
        st.page_link(
            "moments.py",
            label=gettext("The kept moment"),
            query_params={"id": moment_id},
            icon=":material/bookmark:",
        )


def _end_of_word(recording: Recording, start_s: float) -> float:
    """Where the word that begins there ends."""
    segments = application().transcripts.segments(recording.transcript_id or "", recording.id)
    words = [word for segment in segments for word in segment.words if word.start_s >= start_s - 0.01]
    first = min(words, key=lambda word: word.start_s, default=None)
    return first.end_s if first else start_s + 1.0


def card(
    kept_moment: Kept, collection: Collection | None = None, *, place: int = 0, last: bool = True
) -> None:
    """One moment: the quotation, its source, and what can be done with it."""
    moment = kept_moment.moment
    with st.container(border=True, key=f"moment-{moment.id}"):
        with common.line():
            st.page_link(
                "moments.py",
                label=f"**{plain(moment.title)}**",
                query_params={"id": moment.id},
                width="stretch",
            )
            if collection and common.may_change():
                _move_buttons(kept_moment, collection, place, last=last)
        if moment.text:
            st.markdown(f"> {plain(moment.text)}")
        if moment.note:
            st.write(plain(moment.note))
        _source(kept_moment)
        with st.container(horizontal=True, gap="xsmall"):
            _clips(kept_moment)
            _cite(kept_moment)
            if common.may_change():
                if kept_moment.recording:
                    share_links.popover(moment.recording_id, moment.id)
                _edit(kept_moment)
                _collect(kept_moment)
                _delete(kept_moment)


def _source(kept_moment: Kept) -> None:
    moment = kept_moment.moment
    if kept_moment.recording is None:
        st.caption(
            common.facts(
                plain(kept_moment.title),
                moment_exports.times(kept_moment),
                gettext("The recording is deleted."),
            )
        )
        return
    with common.line():
        st.page_link(
            "recording.py",
            label=catalogue.clock(moment.start_s),
            icon=":material/play_arrow:",
            query_params={"id": moment.recording_id, "t": f"{moment.start_s:.1f}"},
            help=gettext("Play from here"),
        )
        st.caption(
            common.facts(
                plain(kept_moment.title),
                common.speaker(moment.speaker) if moment.speaker else "",
                catalogue.day(utc(moment.recorded_at).date(), common.language()),
                plain(", ".join(moment.tags)),
            )
        )


def _clips(kept_moment: Kept) -> None:
    if not kept_moment.has_sound:
        return
    service, id_ = application().kept_moments, kept_moment.moment.id
    with st.popover(gettext("Clip"), icon=":material/content_cut:", key=f"clip-{id_}"):
        for form, name in {"m4a": "M4A", "wav": "WAV"}.items():
            make = functools.partial(service.clip, current_principal(), id_, form)  # type: ignore[arg-type]
            st.download_button(
                name, make, f"moment.{form}", on_click="ignore", type="tertiary", key=f"{form}-{id_}"
            )
        if service.has_picture(kept_moment):
            make = functools.partial(service.clip, current_principal(), id_, "mp4")
            st.download_button(
                gettext("Video"), make, "moment.mp4", on_click="ignore", type="tertiary", key=f"mp4-{id_}"
            )


def _cite(kept_moment: Kept) -> None:
    with st.popover(gettext("Cite"), icon=":material/format_quote:", key=f"cite-{kept_moment.moment.id}"):
        st.code(kept_moments.citation(kept_moment, common.language()), language=None, wrap_lines=True)
        st.code(kept_moments.page_link(kept_moment.moment.id), language=None)


def _edit(kept_moment: Kept) -> None:
    moment = kept_moment.moment
    place = st.popover(gettext("Edit"), icon=":material/edit:", key=f"change-{moment.id}")
    with place, st.form(f"moment-form-{moment.id}", border=False):
        title = st.text_input(gettext("Title"), moment.title, max_chars=200)
        note = st.text_area(gettext("Note"), moment.note, max_chars=kept_moments.NOTE_LETTERS)
        tags = common.tags(moment.tags)
        if st.form_submit_button(gettext("Save"), type="primary"):
            application().kept_moments.change(
                current_principal(), moment.id, title=title, note=note, tags=tags
            )
            st.rerun()


def _collect(kept_moment: Kept) -> None:
    service, moment = application().kept_moments, kept_moment.moment
    with (
        st.popover(gettext("Collect"), icon=":material/playlist_add:", key=f"collect-{moment.id}"),
        st.form(f"collect-form-{moment.id}", border=False),
    ):
        titles = {row.id: row.title for row, _ in service.collections(current_principal())}
        selected = st.selectbox(
            gettext("Collection"), list(titles), format_func=titles.__getitem__, index=0 if titles else None
        )
        new = st.text_input(gettext("Or a new one"), max_chars=200)
        if st.form_submit_button(gettext("Add"), type="primary") and (new.strip() or selected):
            into = service.make_collection(current_principal(), new).id if new.strip() else str(selected)
            service.add(current_principal(), into, moment.id)
            st.rerun()


def _delete(kept_moment: Kept) -> None:
    with common.icon_popover(gettext("Delete"), "delete", f"drop-{kept_moment.moment.id}"):
        st.write(gettext("The moment goes from all collections. Its recording stays."))
        if st.button(f":red[{gettext('Delete')}]", key=f"forget-{kept_moment.moment.id}"):
            application().kept_moments.delete(current_principal(), kept_moment.moment.id)
            st.rerun()


def _move_buttons(kept_moment: Kept, collection: Collection, place: int, *, last: bool) -> None:
    """Up, down and out of a collection."""
    service, id_ = application().kept_moments, kept_moment.moment.id
    for step, icon, name, off in (
        (-1, "arrow_upward", gettext("Up"), place == 0),
        (1, "arrow_downward", gettext("Down"), last),
    ):
        if common.icon_button(name, icon, f"{icon}-{id_}", disabled=off):
            order = [
                each.moment.id for each in service.find(current_principal(), collection_id=collection.id)
            ]
            order.insert(place + step, order.pop(place))
            service.arrange(current_principal(), collection.id, order)
            st.rerun()
    if common.icon_button(gettext("Take out of the collection"), "playlist_remove", f"out-{id_}"):
        service.take_out(current_principal(), collection.id, id_)
        st.rerun()


def collection_actions(collection: Collection, moments: list[Kept]) -> None:
    """What can be done with a whole collection."""
    with st.container(horizontal=True, gap="xsmall"):
        if moments:
            _exports(collection, moments)
        if common.may_change():
            _rename(collection)
            with st.popover(gettext("Delete"), icon=":material/delete:"):
                st.write(gettext("The collection goes; its moments stay."))
                if st.button(f":red[{gettext('Delete')}]", key="delete-collection"):
                    application().kept_moments.delete_collection(current_principal(), collection.id)
                    del st.query_params["collection"]
                    st.rerun()


def _rename(collection: Collection) -> None:
    with st.popover(gettext("Rename"), icon=":material/edit:"), st.form("rename-collection", border=False):
        title = st.text_input(gettext("Title"), collection.title, max_chars=200)
        if st.form_submit_button(gettext("Save"), type="primary") and title.strip():
            application().kept_moments.rename_collection(current_principal(), collection.id, title)
            st.rerun()


def _exports(collection: Collection, moments: list[Kept]) -> None:
    """The collection as files."""
    service = application().kept_moments
    with st.popover(gettext("Export"), icon=":material/download:", key="export"):
        for form, name in moment_exports.FORMATS.items():

            def make(form: str = form) -> bytes:
                export = moment_exports.exported(
                    current_principal(), service, moments, collection.title, form, common.language()
                )
                return export.content

            file = f"{collection.title[:80]}.{form}"
            st.download_button(
                gettext(name), make, file, on_click="ignore", type="tertiary", key=f"export-{form}"
            )
