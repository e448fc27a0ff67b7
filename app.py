"""The front door: pages for people and the API for programs, one process, one port.

`streamlit run app.py`; `make run` starts it together with the broker and the workers.
"""

from __future__ import annotations

import os
import threading

import streamlit as st
from starlette.middleware import Middleware

from api import Dispatcher
from core import logs
from core.settings import ROOT
from jobs.installation import application

if os.environ.get("STENOGRAM_LOGS") == "json":  # by hand, people read them
    logs.install()
app = st.App(ROOT / "pages" / "_frame.py", middleware=[Middleware(Dispatcher)])
threading.Thread(target=application().warm_up, daemon=True).start()
