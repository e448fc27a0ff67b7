"""Numbers for Prometheus, for admins: a key as bearer is what its `authorization` setting sends."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.callers import Caller, identify
from api.problems import refusals
from core.errors import AdminsOnly
from core.monitor import metrics

router = APIRouter(tags=["state"])


@router.get("/metrics", response_class=Response, responses=refusals(401, 403))
def read(caller: Annotated[Caller, Depends(identify)]) -> Response:
    """Queues, jobs, speed, money, batches and workers; not counted against the key's limit."""
    if not caller.principal.admin:
        raise AdminsOnly
    return Response(metrics.text(caller.application), media_type=CONTENT_TYPE_LATEST)
