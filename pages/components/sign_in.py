"""Who comes: the page that asks them, and below the menu who they are here and the way out."""

from __future__ import annotations

import streamlit as st

from core.clients.people import Identity
from core.errors import NotFound, NotInvited, SignInNeeded, TooMany
from core.principal import Principal
from jobs.installation import application
from pages.components import common
from pages.components.common import gettext, plain, translate_error


def settle() -> Principal:
    """As whom this visitor acts; others are asked to sign in, and nothing else is drawn."""
    try:
        visitor = common.current_principal()
    except SignInNeeded:
        _ask()
        st.stop()
    except NotInvited as error:
        _show_refusal(error)
        st.stop()
    except (NotFound, TooMany) as error:  # of a link
        st.title(translate_error(error), anchor=False)
        st.stop()
    return visitor


def account() -> None:
    """Who this visitor is here, or that nobody is asked."""
    settings, visitor = application().settings, common.current_principal()
    if not settings.requires_sign_in:
        if settings.private:
            st.caption(
                gettext("Single user"),
                help=gettext(
                    "Nobody signs in: whoever uses this machine may do everything here. The README says how a "
                    "team signs in."
                ),
            )
        else:
            st.caption(
                gettext("Open to all"),
                help=gettext(
                    "Nobody signs in: whoever reaches this address may do everything that these pages allow."
                ),
            )
        return
    role = gettext("admin") if visitor.may_administer else ""
    role = role or (gettext("may look") if visitor.read_only else gettext("member"))
    st.caption(common.facts(plain(visitor.name), role))
    if visitor.session and st.button(gettext("Sign out"), icon=":material/logout:", type="tertiary"):
        st.logout()
        st.stop()


def _ask() -> None:
    st.title(gettext("Sign in"), anchor=False)
    if application().settings.proxy_user_header:
        st.write(gettext("This address asks nobody who they are. Come by the one that your team uses."))
        return
    identity = common.identity()
    if identity is not None:
        st.write(_why_again(identity))
    if st.button(gettext("Sign in"), type="primary", icon=":material/login:", key="sign-in"):
        st.login()


def _why_again(identity: Identity) -> str:
    left_s = application().people.ends_in_s(identity)
    if left_s is not None and left_s > 0:
        return gettext("You have signed out.")
    hours = common.duration(application().settings.sign_in_h * 3600)
    return gettext("A sign-in lasts {time}; yours is over.", time=hours)


def _show_refusal(error: NotInvited) -> None:
    st.title(translate_error(error), anchor=False)
    by_proxy = application().settings.proxy_user_header
    if not by_proxy and st.button(gettext("Sign in as somebody else"), key="sign-out"):
        st.logout()
