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
    language: Annotated[str, Query(max_length=10)] = "ru",
    times_per_year: Number = None,
    ready_by_s: Number = None,
    at_most_usd: Number = None,
    currency: Annotated[str, Query(max_length=3)] = "USD",
) -> dict[str, Any]:
    """Say either `hours` of sound or `documents` of `tokens_per_document`; prices are USD per 1M tokens.

    `auto` is the engine that a recording in this language would get now if none is named, and why.
    """
    told = application.estimates.estimate(
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
    )
    return {**told, "auto": caller.answers.choice(TranscriptionOptions(language=language))}
