"""What open pages ask for every second or two: small, made once for all of them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api.callers import Here
from core.errors import KeyRefused
from core.monitor.live import Board

router = APIRouter(include_in_schema=False)


@router.get("/api/live")
def live(
    request: Request,
    application: Here,
    x_ticket: Annotated[str, Header(max_length=200)] = "",
    language: Annotated[str, Query(max_length=5)] = "en",
    if_none_match: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """The board, or 304 while it is the one that the page has. Raises KeyRefused without a good ticket."""
    viewer = application.keys.board_viewer(x_ticket)
    if viewer is None:
        raise KeyRefused
    board: Board = request.app.state.board(application)
    body = json.dumps(board.show(viewer, language), ensure_ascii=False).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    if tag == if_none_match:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, media_type="application/json", headers={"ETag": tag, "Cache-Control": "no-cache"})
