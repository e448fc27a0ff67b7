"""What it would cost, and when it would be ready: the numbers of the cost page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.callers import Asking, Here
from api.problems import refusals
from core.library.recordings import TranscriptionOptions

router = APIRouter(prefix="/api/v1", tags=["costs"])

Number = Annotated[str | None, Query(max_length=40, description="A number.")]


@router.get("/estimate", responses=refusals(400, 401, 429))
def estimate(
    caller: Asking,
    application: Here,
    hours: Number = None,
    documents: Number = None,
    tokens_per_document: Number = None,
    sync_price: Number = None,
    batch_price: Number = None,
    language: Annotated[str, Query(max_length=10)] = "",
    times_per_year: Number = None,
    ready_by_s: Number = None,
    at_most_usd: Number = None,
    currency: Annotated[str, Query(max_length=3)] = "USD",
    by: Annotated[str, Query(max_length=80, description="Who transcribes in `comparison`.")] = "",
    waiting_usd_per_hour: Number = None,
) -> dict[str, Any]:
    """Say either `hours` of sound or `documents` of `tokens_per_document`; prices are USD per 1M tokens.

    `comparison` is the work at once and by batch: both bills with their parts and what they still need, what
    batch saves, and which to take where an hour of waiting is worth `waiting_usd_per_hour`. `ways` are the
    few routes that matter, with how well they recognise. `auto` is the engine that a recording in this
    language would get now if none is named, and why. Where the language is `auto` (as it is, unless
    SPOKEN_LANGUAGE was set), that is the one that may cost most.
    """
    language = language or application.settings.spoken_language
    result = application.estimates.estimate(
        hours=hours,
        documents=documents,
        tokens_per_document=tokens_per_document,
        sync_price=sync_price,
        batch_price=batch_price,
        language=language,
        times_per_year=times_per_year or 1,
        ready_by_s=ready_by_s,
        at_most_usd=at_most_usd,
        currency=currency,
        by=by,
        waiting_usd_per_hour=waiting_usd_per_hour,
    )
    return {**result, "auto": caller.answers.choice(TranscriptionOptions(language=language))}
