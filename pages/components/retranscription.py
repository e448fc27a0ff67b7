"""Listening once more: a dialog that has another engine hear an utterance, and shows both texts side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from core.database.states import TASK_UNFINISHED, TaskStatus
from core.database.tables import Recording
from core.errors import StenogramError
from core.i18n.catalogue import clock
from core.library.retranscription import Difference, Offer, Retranscription
from core.transcripts.segments import TranscribedSegment
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, facts, gettext, plain, translate_error, translate_fact

WANTED = "retranscribe"
"""What the dialog is about: the recording, the number and the version of an utterance."""
ERROR = "retranscribe-error"
BESIDE_S = 0.5
"""So much sound around the utterance is played with it."""


def ask(recording_id: str, edit: Mapping[str, Any]) -> None:
    """Open the dialog about the utterance of a paragraph that is said at a second."""
    versions = [str(version) for version in edit["versions"]]
    first, at_s = int(edit["n"]), float(edit["at"])
    utterances = application().recording_text.utterances(current_principal(), recording_id)[
        first : first + len(versions)
    ]
    if [one.version for one in utterances] != versions:
        return
    chosen = next((one for one in utterances if at_s < one.end_s), utterances[-1])
    st.session_state[WANTED] = (recording_id, chosen.n, chosen.version)


def dialog(recording: Recording) -> None:
    """The dialog, where somebody has asked for it."""
    recording_id, n, version = st.session_state.get(WANTED) or ("", 0, "")
    if recording_id != recording.id:
        return

    @st.dialog(gettext("Listen once more"), width="medium", on_dismiss=_close)
    def draw() -> None:
        utterances = application().recording_text.utterances(current_principal(), recording_id)
        if not (n < len(utterances) and utterances[n].version == version):
            st.info(gettext("These words were changed meanwhile. Close this, and choose them again."))
            return
        _draw(recording, utterances[n])

    draw()


def _close() -> None:
    st.session_state.pop(WANTED, None)


def _draw(recording: Recording, utterance: TranscribedSegment) -> None:
    place = f"{clock(utterance.start_s)}–{clock(utterance.end_s)}"
    st.caption(facts(place, common.speaker(utterance.channel)))
    _sound(recording, utterance)
    if message := st.session_state.pop(ERROR, ""):
        st.error(message)
    results = [
        one
        for one in application().retranscriptions.all(current_principal(), recording.id)
        if one.n == utterance.n and one.versions == (utterance.version,)
    ]
    if not results:
        st.markdown(plain(utterance.text))
    for result in results:
        with st.container(border=True, key=f"heard-{result.task_id}"):
            _result(recording, result)
    _engines(recording, utterance, {one.engine for one in results if one.status == TaskStatus.COMPLETED})


def _sound(recording: Recording, utterance: TranscribedSegment) -> None:
    start_s, end_s = max(0.0, utterance.start_s - BESIDE_S), utterance.end_s + BESIDE_S
    source = f"/sound/{recording.id}?ticket={common.sound_ticket(recording.id)}#t={start_s:.1f},{end_s:.1f}"
    label = gettext("What was said here")
    st.html(
        f'<audio controls preload="metadata" src="{source}" aria-label="{label}" style="width:100%"></audio>'
    )


def _result(recording: Recording, result: Retranscription) -> None:
    """Its progress, why it failed, or both texts."""
    title = translate_fact(application().engines[result.engine].title)
    if result.status in TASK_UNFINISHED:
        common.live(lambda: _progress(recording.id, result.task_id, title), moving=True)
        return
    if result.status != TaskStatus.COMPLETED:
        reason = translate_error(result.error) if result.error else gettext("Cancelled")
        st.warning(f"{title}: {reason}")
    else:
        _compared(result, title)
    service = application().retranscriptions
    with st.container(horizontal=True):
        if result.differs and result.heard:
            take = gettext("Take what {engine} heard", engine=title)
            _act(
                take,
                "take",
                result,
                lambda: service.take(current_principal(), recording.id, result.task_id),
                close=True,
            )
        leave = gettext("Leave it as it is")
        _act(leave, "leave", result, lambda: service.leave(current_principal(), recording.id, result.task_id))


def _progress(recording_id: str, task_id: str, title: str) -> bool:
    service = application().retranscriptions
    try:
        result = service.get(current_principal(), recording_id, task_id)
    except StenogramError:
        return False
    if result.status not in TASK_UNFINISHED:
        return False
    st.progress(result.progress, gettext("{engine} listens…", engine=title))
    if result.error:
        st.caption(translate_error(result.error))
    _act(gettext("Cancel"), "stop", result, lambda: service.leave(current_principal(), recording_id, task_id))
    return True


def _compared(result: Retranscription, title: str) -> None:
    left, right = st.columns(2)
    for place, name, words in (
        (left, gettext("It reads now"), result.before),
        (right, title, result.heard),
    ):
        with place:
            st.markdown(f"**{name}**")
            st.markdown(_marked(words) or gettext("Nothing"))
    if not result.differs:
        st.caption(gettext("Both have heard the same words."))


def _marked(words: Sequence[Difference]) -> str:
    return " ".join(
        f":orange-background[{plain(text)}]" if differs else plain(text) for text, differs in words
    )


def _act(
    label: str, name: str, result: Retranscription, step: Callable[[], object], *, close: bool = False
) -> None:
    """A button of a result; what it refuses is said in the dialog."""
    if not st.button(label, key=f"{name}-{result.task_id}", type="primary" if close else "secondary"):
        return
    try:
        step()
        if close:
            _close()
    except StenogramError as error:
        st.session_state[ERROR] = translate_error(error)
    st.rerun()


def _engines(recording: Recording, utterance: TranscribedSegment, heard: set[str]) -> None:
    """Ask which engine shall listen, each with its price; nothing is sent before that."""
    try:
        offers = application().retranscriptions.offers(current_principal(), recording.id, utterance.n)
    except StenogramError as error:
        st.info(translate_error(error))
        return
    offers = sorted(offers, key=lambda offer: (offer.engine in heard, offer.present))
    if not offers:
        st.info(
            gettext("No engine for this language is ready. The settings page shows what each of them needs.")
        )
        return
    by_name = {offer.engine: offer for offer in offers}
    name = st.radio(
        gettext("Which engine shall listen?"),
        list(by_name),
        format_func=lambda name: translate_fact(by_name[name].title),
        captions=[_price(offer) for offer in offers],
        key=f"engine-{utterance.version}",
    )
    if st.button(_label(by_name[name]), type="primary" if not heard else "secondary", key="listen-again"):
        try:
            application().retranscriptions.begin(
                current_principal(), recording.id, utterance.n, [utterance.version], name
            )
        except StenogramError as error:
            st.session_state[ERROR] = translate_error(error)
        st.rerun()


def _price(offer: Offer) -> str:
    """What it costs, and where the sound goes."""
    if not offer.remote:
        here = gettext("Here, and costs nothing but time")
        return facts(here, gettext("has written the present text") if offer.present else "")
    price = gettext("Nobody knows its price") if offer.usd is None else common.money(offer.usd)
    return facts(price, gettext("these seconds of sound are sent there"))


def _label(offer: Offer) -> str:
    if not offer.remote or offer.usd is None:
        return gettext("Listen")
    return gettext("Send and listen ({price})", price=common.price(offer.usd))
