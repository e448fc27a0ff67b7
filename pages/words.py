"""Words: found and replaced in all texts at once, and the glossary of how they are written."""

import streamlit as st

from pages.components import common, words
from pages.components.common import gettext

common.changers_only()

st.title(gettext("Words and names"), anchor=False)
replacing, glossary = st.tabs([gettext("Find and replace"), gettext("Glossary")])
with replacing:
    words.replacing()
with glossary:
    words.glossary()
