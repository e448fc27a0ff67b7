"""Moments: what people kept, by itself or in collections."""

import streamlit as st

from core.errors import StenogramError
from jobs.installation import application
from pages.components import address, moments
from pages.components.common import current_principal, gettext, ngettext, translate_error

PAGE = 20
service = application().kept_moments

if one := st.query_params.get("id", ""):
    st.title(gettext("Moment"), anchor=False)
    st.page_link("moments.py", label=gettext("All moments"), icon=":material/arrow_back:")
    try:
        moments.card(service.get(current_principal(), one))
    except StenogramError as error:
        st.error(translate_error(error))
    st.stop()

st.title(gettext("Moments"), anchor=False)
collections = {row.id: (row, count) for row, count in service.collections(current_principal())}
if not collections and not service.find(current_principal()):
    st.write(gettext("Nothing is kept yet: keep a hit of the search, or select words on a recording's page."))
    st.page_link("search.py", label=gettext("Search"), icon=":material/search:")
    st.stop()
with st.container(horizontal=True):
    words = address.text(
        "words", gettext("Words"), placeholder=gettext("Title, note or text"), icon=":material/search:"
    )
    names = {id_: f"{row.title} ({count})" for id_, (row, count) in collections.items()}
    chosen = address.choice("collection", gettext("Collection"), {"": gettext("All moments"), **names})
collection = collections[chosen][0] if chosen else None
kept_moments = service.find(current_principal(), collection_id=chosen, words=words)

if not kept_moments:
    st.write(gettext("No moment has these words.") if words else gettext("This collection is empty."))
if collection:
    moments.collection_actions(collection, kept_moments)
if kept_moments:
    st.caption(ngettext("{n} moment", "{n} moments", len(kept_moments)))
page = address.page("page")
for place, kept_moment in enumerate(kept_moments[PAGE * (page - 1) : PAGE * page], PAGE * (page - 1)):
    moments.card(kept_moment, collection, place=place, last=place == len(kept_moments) - 1)
address.pages("page", -(-len(kept_moments) // PAGE))
