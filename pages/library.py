"""Library: which recordings are here."""

import streamlit as st

from core.library import views
from core.library.listing import NEWEST
from core.monitor import monitor
from jobs.installation import application
from pages.components import address, bulk, common, recycle_bin
from pages.components.common import current_principal, gettext

PAGE = 20
database = application().database

if st.query_params.get("view") == "bin":
    recycle_bin.view()
    st.stop()

st.title(gettext("Library"), anchor=False)
recycle_bin.undo()

if not views.totals(database, current_principal()).recordings:
    common.nothing_yet()
    recycle_bin.link()
    st.stop()

with st.container(horizontal=True, vertical_alignment="center"):
    title = address.text(
        "title", gettext("Title"), placeholder=gettext("Part of a title"), icon=":material/search:"
    )
    states = {"": gettext("Any state"), **common.translated({**monitor.STATUSES, **views.NEEDS})}
    status = address.choice("state", gettext("State"), states)
    sort = address.choice("sort", gettext("Order"), common.translated(views.SORTS), usual=NEWEST)
    tags = {"": gettext("Any tag"), **{tag: tag for tag in views.tags(database, current_principal())}}
    tag = address.choice("tag", gettext("Tag"), tags)
    shapes = {"": gettext("List"), "table": gettext("Table")}
    shape = address.segments("view", gettext("View"), shapes, usual="")
bulk.folders(tag)

if shape == "table":
    bulk.table_view(title, tag, status)
    recycle_bin.link()
    st.stop()

page = address.page("page")
offset = PAGE * (page - 1)
head = st.container()
total = common.live_rows(title=title, tag=tag, status=status, sort=sort, limit=PAGE, offset=offset)
with head:
    if total:
        st.caption(common.ngettext("{n} recording", "{n} recordings", total))
    else:
        st.write(gettext("No recording fits this filter."))
        st.page_link("library.py", label=gettext("All recordings"), icon=":material/filter_alt_off:")
address.pages("page", -(-total // PAGE))
_, shown = views.cards(
    database, current_principal(), words=title, tag=tag, status=status, sort=sort, limit=PAGE, offset=offset
)
bulk.several([card.recording for card in shown])
recycle_bin.link()
