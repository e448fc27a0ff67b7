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
    speaker: Annotated[str, Query(max_length=100)] = "",
    sort: Literal["best", "newest", "oldest"] = "best",
) -> Moments:
    """Moments in your recordings, best first; `link` opens the player there.

    `speaker`, or `speaker:Anna` in the question, asks for what somebody says whom people have named.
    `q` may hold "phrases in quotation marks", `-word`, `tag:name`, `before:2026-11-05`, `after:2026-10`,
    `lang:ru`, `engine:whisper`, `longer:10`, `shorter:60` (minutes), `state:done` (of vectors) and
    `in:"a collection"`. `tags`, `languages`, `engines`, `collections`, `states`, `months` and `lengths` count
    what was found; `sort` orders it. The right form of the glossary finds misheard ones, and the reverse.
    """
    if recording_id:
        caller.application.recordings.get(caller.principal, recording_id)
    return moments.find(
        caller.application.searcher,
        caller.application.recordings,
        caller.principal,
        q,
        mode=mode,
        limit=limit,
        recording_id=recording_id,
        speaker=speaker,
        sort=sort,
        language=caller.language,
    )
