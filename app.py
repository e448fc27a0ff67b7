"""The front door: pages for people and the API for programs, one process, one port.

`make run` starts it together with the broker and the workers; alone it is `python app.py`. What
`streamlit run app.py` starts is for trying things only: that server names itself, reads headers of any
length, and believes every X-Forwarded-For of this machine.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from streamlit import config

from api import Dispatcher, server
from api.guard import broken_page
from core import logs
from core.settings import ROOT
from jobs.entry import explained
from jobs.installation import application
from jobs.pulse import beat_forever
from pages.components.sessions import Sessions, sign_in_secrets
from pages.components.shell import Shell


def _log() -> None:
    logs.install(readable=os.environ.get("STENOGRAM_LOGS") != "json")  # by hand, people read them


@asynccontextmanager
async def _living(_app: object) -> AsyncIterator[None]:
    """Tells the runner that requests can be answered, as long as the loop turns."""
    _log()  # once more: all of Streamlit is loaded now, and gives each of its loggers a handler of its own
    beating = asyncio.create_task(beat_forever())
    yield
    beating.cancel()


with explained():
    settings = application().settings
    secrets = sign_in_secrets(application())
config.set_option("server.allowedHosts", [host.strip("[]") for host in settings.served_hosts])
app = st.App(
    ROOT / "pages" / "_frame.py",
    middleware=[Middleware(Dispatcher), Middleware(Sessions), Middleware(Shell)],
    secrets=secrets,
    exception_handlers={500: broken_page},
    lifespan=_living,
)
_log()
threading.Thread(target=application().warm_up, daemon=True).start()

if __name__ == "__main__":
    uvicorn.run(app, host=settings.host, port=settings.port, log_config=None, **server.options())
