"""What it would cost, and when it would be ready: the numbers of the cost page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.callers import Asking
from api.problems import refusals
from core import costs

router = APIRouter(prefix="/api/v1", tags=["costs"])

Number = Annotated[str | None, Query(max_length=40, pattern=r"^[0-9]+(\.[0-9]+)?$")]


@router.get("/estimate", responses=refusals(400, 401, 429))
def estimate(
    caller: Asking,  # noqa: ARG001 - a key is asked for
    hours: Number = None,
    documents: Number = None,
    tokens_per_document: Number = None,
    sync_price: Number = None,
    batch_price: Number = None,
    language: Annotated[str, Query(max_length=10)] = "ru",
) -> dict[str, Any]:
    """Say either `hours` of sound or `documents` of `tokens_per_document`; prices are USD per 1M tokens."""
    return costs.estimate(
        hours=hours,
        documents=documents,
        tokens_per_document=tokens_per_document,
        sync_price=sync_price,
        batch_price=batch_price,
        language=language,
    )
