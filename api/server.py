"""How uvicorn serves this port. `streamlit run` would fix these options itself, some of them otherwise."""

from __future__ import annotations

from typing import Any

from api.guard import HEADERS_BYTES
from api.protocol import Protocol

PING_S = 30.0
"""A browser's websocket that answers no ping for so long is closed; what Streamlit's own server uses."""

STOP_S = 10
"""Requests under way when we are stopped are given so long."""


def options() -> dict[str, Any]:
    """For `uvicorn.Config`: the parser that bounds headers, no name of a server, no log of addresses."""
    return {
        "http": Protocol,  # of h11; httptools collects headers without any limit before anybody sees them
        "h11_max_incomplete_event_size": HEADERS_BYTES,
        "ws": "websockets-sansio",
        "ws_ping_interval": PING_S,
        "ws_ping_timeout": PING_S,
        "ws_per_message_deflate": False,
        "server_header": False,
        "proxy_headers": False,  # `api.proxies` has to see who a request comes from first
        "access_log": False,  # addresses may hold tickets
        "timeout_graceful_shutdown": STOP_S,
    }
