"""Who is told, by webhook and by mail, and of what."""

from __future__ import annotations

import streamlit as st

from core.clients import mail
from core.clients.notifications import Rules
from core.database.states import Channel
from core.errors import StenogramError
from core.i18n.messages import N_
from jobs.installation import application
from pages.components import common
from pages.components.common import gettext, plain, translate_error

CHANNELS = {Channel.WEBHOOK: N_("Webhook"), Channel.MAIL: N_("Mail")}
MOST = 1_000_000


def draw() -> None:
    """The rules in force, to be changed and tried."""
    service = application().notifications
    rules = service.rules()
    st.caption(
        gettext(
            "For whoever does not look at the pages. While something is under way, “Tell me when all is done” "
            "below the menu does the same in the browser."
        )
    )
    with st.form("notifications"):
        changed = _asked(rules)
        if st.form_submit_button(gettext("Save")):
            try:
                service.set(common.current_principal(), changed)
                st.toast(gettext("Saved."), icon=":material/check:")
                rules = changed
            except StenogramError as error:
                st.error(translate_error(error))
    if rules.webhook_url:
        st.caption(gettext("Secret to check the signature of calls with, as Standard Webhooks has it:"))
        st.code(service.signing_secret(common.current_principal()), language=None)
    if rules.channels() and st.button(gettext("Send a test"), key="test-notifications"):
        _outcome(service.test(common.current_principal()))


def _asked(rules: Rules) -> Rules:
    """The fields of the form."""
    mail_ready = mail.is_set_up(application().settings)
    addresses = st.text_input(
        gettext("Mail to"),
        ", ".join(rules.mail_to),
        max_chars=1000,
        disabled=not mail_ready,
        help=gettext("One address or several, split by commas. They see each other."),
    )
    if not mail_ready:
        st.caption(gettext("Mail needs a server: set SMTP_HOST in the file .env and restart."))
    url = st.text_input(
        gettext("Call this address"),
        rules.webhook_url,
        max_chars=2000,
        placeholder="https://",
        help=gettext("It gets each event as JSON, signed as Standard Webhooks says. It is tried five times."),
    )
    st.markdown(gettext("Tell when"))
    groups = st.checkbox(
        gettext("all files of one upload are done"),
        rules.groups,
        help=gettext("Once for each upload. It says how many are done and how many failed."),
    )
    late = st.checkbox(
        gettext("a batch is late"),
        rules.batch_late,
        help=gettext("It has been under way for longer than BATCH_DEADLINE_H. It goes on by itself."),
    )
    left, middle, right = st.columns(3)
    off = gettext("0: nobody is told. Told once, and again only after it was no longer so.")
    failed = left.number_input(gettext("recordings failed, at least"), 0, MOST, rules.failed, help=off)
    queue = middle.number_input(gettext("a job waits longer than, min"), 0, MOST, rules.queue_min, help=off)
    budget = right.number_input(
        gettext("of the month's cap is spent more than, %"), 0, 100, rules.budget_percent, help=off
    )
    mail_to = tuple(part.strip() for part in addresses.split(",") if part.strip())
    return Rules(url.strip(), mail_to, common.language(), groups, int(failed), int(queue), late, int(budget))


def _outcome(errors: dict[Channel, str | None]) -> None:
    for channel, error in errors.items():
        name = gettext(CHANNELS[channel])
        if error is None:
            st.success(gettext("{channel}: it arrived.", channel=name), icon=":material/check:")
        else:
            st.error(
                gettext("{channel}: it did not arrive ({reason}).", channel=name, reason=plain(error)),
                icon=":material/block:",
            )
