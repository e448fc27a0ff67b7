"""Where results go: places that they are written to, and calls to programs with what became of them."""

from __future__ import annotations

import streamlit as st

from core.clients.deliveries import Delivery, DeliveryState
from core.errors import StenogramError
from core.i18n.messages import N_
from core.library import views
from core.library.destinations import DestinationView
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, facts, gettext, ngettext, plain, translate_error

LISTED = 20
STATES: dict[DeliveryState, str] = {
    DeliveryState.WAITING: N_("Waits for its task"),
    DeliveryState.RETRYING: N_("Tried again soon"),
    DeliveryState.ARRIVED: N_("Arrived"),
    DeliveryState.FAILED: N_("Given up"),
}


def draw() -> None:
    """Every place with what it has, and the form of a new one."""
    for view in application().destinations.all(current_principal()):
        _place(view)
    settings = application().settings
    if not (settings.writable_folders or settings.writable_buckets):
        st.caption(
            gettext(
                "Results can be written to folders and buckets as they come: EXPORT_ROOTS and EXPORT_BUCKETS "
                "in the settings of the server name those that may be written to."
            )
        )
        return
    with st.expander(gettext("Write results to a folder or bucket")):
        _form([*map(str, settings.writable_folders), *settings.writable_buckets])


def deliveries() -> None:
    """Calls to programs, newest first."""
    service = application().deliveries
    found = [*service.all(current_principal(), LISTED), *service.of_searches(current_principal(), LISTED)]
    if not found:
        return
    with st.expander(gettext("Calls to programs"), icon=":material/webhook:"):
        for one in found:
            _delivery(one)


def _place(view: DestinationView) -> None:
    place, service = view.destination, application().destinations
    with common.tight(key=f"place-{place.id}"):
        with common.line():
            st.markdown(plain(place.address), width="stretch")
            if place.paused:
                st.badge(gettext("Paused"), color="gray")
            icon, label = ("play_arrow", N_("Go on")) if place.paused else ("pause", N_("Pause"))
            if common.icon_button(gettext(label), icon, f"turn-{place.id}"):
                service.turn(current_principal(), place.id, paused=not place.paused)
                st.rerun()
            label = gettext("Write nothing there any more; its files stay")
            if common.icon_button(label, "delete", f"unwrite-{place.id}"):
                service.remove(current_principal(), place.id)
                st.rerun()
        names = ", ".join(gettext(views.FORMATS[kind]) for kind in place.formats if kind in views.FORMATS)
        st.caption(facts(names, ngettext("{n} result written", "{n} results written", view.written)))
        if place.error:
            st.warning(translate_error(place.error), icon=":material/warning:")


def _form(allowed: list[str]) -> None:
    shown = common.translated(views.FORMATS)
    address = st.text_input(
        gettext("Address"),
        allowed[0],
        key="place-address",
        max_chars=1000,
        help=gettext(
            "A folder under EXPORT_ROOTS, or s3://bucket/prefix under EXPORT_BUCKETS. It is made if it is not there."
        ),
    )
    formats = st.multiselect(
        gettext("Formats"),
        list(shown),
        ["txt"],
        format_func=shown.__getitem__,
        key="place-formats",
        help=gettext("Each result is written in all of these. It is written anew once it was corrected."),
    )
    past = st.checkbox(
        gettext("Also the results that are here already"),
        key="place-past",
        help=gettext(
            "Without it, only recordings that come from now on are written. That cannot be changed later."
        ),
    )
    if st.button(gettext("Write there"), disabled=not (address and formats), key="add-place"):
        try:
            application().destinations.add(current_principal(), address, formats, with_past=past)
        except StenogramError as error:
            st.error(translate_error(error))
            return
        application().periodic_tasks.expedite("results")
        st.rerun()


def _delivery(one: Delivery) -> None:
    key = one.task_id or f"{one.search_id}-{one.recording_id}"
    with common.tight(key=f"call-{key}"):
        with common.line():
            st.page_link(
                "recording.py",
                label=plain(one.title),
                query_params={"id": one.recording_id},
                icon="",
                help="",
                width="stretch",
            )
            failed = one.state == DeliveryState.FAILED
            st.badge(gettext(STATES[one.state]), color="red" if failed else "gray")
            if one.state != DeliveryState.WAITING and common.icon_button(
                gettext("Send again"), "replay", f"again-{key}"
            ):
                _again(one)
                application().periodic_tasks.expedite("callbacks")
                st.rerun()
        when = common.moment(one.done_at) if one.done_at else ""
        times = ngettext("failed {n} time", "failed {n} times", one.failures) if one.failures else ""
        search = gettext("Saved search") if one.search_id else ""
        st.caption(facts(search, plain(one.url), when, times, plain(one.error)))


def _again(one: Delivery) -> None:
    if one.search_id:
        application().deliveries.search_again(current_principal(), one.search_id, one.recording_id)
    else:
        application().deliveries.again(current_principal(), one.task_id)
