"""Find the moment something was said."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.callers import Asking
from api.problems import refusals
from core.library import moments
from core.library.moments import Moments

router = APIRouter(prefix="/api/v1", tags=["search"])

MOST = 100


@router.get("/search", responses=refusals(400, 401, 404, 429, 503))
def search(
    caller: Asking,
    q: Annotated[str, Query(min_length=1, max_length=2000)],
    mode: Literal["hybrid", "meaning", "words"] = "hybrid",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 20,
    recording_id: Annotated[str, Query(max_length=64)] = "",
) -> Moments:
    """Moments in your recordings, best first; `link` opens the player there."""
    if recording_id:
        caller.application.recordings.get(caller.who, recording_id)
    return moments.find(
        caller.application.searcher,
        caller.application.recordings,
        caller.who,
        q,
        mode=mode,
        limit=limit,
        recording_id=recording_id,
        language=caller.language,
    )
