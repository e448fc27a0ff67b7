"""Job: what became of one piece of work, attempt by attempt."""

import streamlit as st

from core.database.states import TASK_UNFINISHED, JobState
from core.errors import StenogramError
from core.monitor import job_list
from jobs.installation import application
from pages.components import history
from pages.components.common import gettext, plain, translate_error
from pages.components.live import actions, attempt, principal

app = application()
try:
    detail = job_list.detail(app, principal(), st.query_params.get("id", ""))
except StenogramError as error:
    st.title(translate_error(error), anchor=False)
    st.page_link("monitor.py", label=gettext("Monitor"), icon=":material/arrow_back:")
    st.stop()
job, task, recording = detail.job, detail.task, detail.recording

st.title(plain(recording.title), anchor=False)
st.caption(history.about(detail))
st.page_link(
    "recording.py",
    label=gettext("Open the recording"),
    query_params={"id": recording.id},
    icon=":material/subject:",
)

if job.error:
    st.error(translate_error(job.error), icon=":material/block:")

if actions().allowed:
    with st.container(horizontal=True):
        if st.button(gettext("Cancel"), disabled=task.status not in TASK_UNFINISHED):
            attempt(lambda: actions().cancel([task.id]))
            st.rerun()
        if st.button(
            gettext("Try again"),
            disabled=job.state not in {JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED},
        ):
            attempt(lambda: actions().retry([task.id]))
            st.rerun()

st.header(gettext("Timeline"), anchor=False)
history.timeline(detail.stages)

if job.traceback and principal().admin:
    with st.expander(gettext("Traceback")):
        st.code(job.traceback, language=None)

if detail.log:
    with st.expander(gettext("Log lines")):
        st.code("\n".join(detail.log), language=None, wrap_lines=True)
