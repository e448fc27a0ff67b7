"""Where results go: folders and buckets that they are written to, and calls to programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking, Caller
from api.problems import refusals
from core.clients.answers import Message
from core.clients.deliveries import Delivery, DeliveryState
from core.database.tables import utc
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.destinations import DestinationView

router = APIRouter(prefix="/api/v1", tags=["destinations"])

DELETED = N_("Deleted.")
AGAIN = N_("It is sent again within seconds.")


class NewDestination(BaseModel):
    """A folder of the server, or `s3://bucket/prefix`, and the formats."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"address": "s3://bucket/results", "formats": ["txt", "docx"]}]}
    )

    address: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
    formats: Annotated[list[Annotated[str, Field(max_length=20)]], Field(min_length=1, max_length=20)]
    with_past: bool = Field(default=False, description="Whether results that are here already go there, too.")


@dataclass(frozen=True)
class DestinationAnswer:
    """A place that results are written to."""

    destination_id: str
    address: str
    formats: list[str]
    paused: bool
    written: int
    error: str
    error_code: str
    created_at: datetime


@dataclass(frozen=True)
class DestinationList:
    """Newest first."""

    destinations: list[DestinationAnswer]


@dataclass(frozen=True)
class DeliveryAnswer:
    """A call about a task, or about what a standing search found in a recording."""

    task_id: str
    """Empty: it is about a search."""
    recording_id: str
    url: str
    state: DeliveryState
    failures: int
    error: str
    done_at: datetime | None
    search_id: str
    """Empty: it is about a task."""


@dataclass(frozen=True)
class DeliveryList:
    """Newest first."""

    deliveries: list[DeliveryAnswer]


@router.post("/destinations", status_code=201, responses=refusals(400, 401, 403, 409, 429))
def add(destination: NewDestination, caller: Asking) -> DestinationAnswer:
    """Write each result of yours to a place as it comes, and again once it was corrected."""
    row = caller.application.destinations.add(
        caller.principal, destination.address, destination.formats, with_past=destination.with_past
    )
    return _answer(caller, DestinationView(row, 0))


@router.get("/destinations", responses=refusals(401, 429))
def destinations(caller: Asking) -> DestinationList:
    """Where results are written to."""
    return DestinationList(
        [_answer(caller, view) for view in caller.application.destinations.all(caller.principal)]
    )


@router.post("/destinations/{destination_id}/pause", responses=refusals(401, 404, 429))
def pause(destination_id: str, caller: Asking) -> DestinationList:
    """Write nothing there until it is resumed."""
    caller.application.destinations.turn(caller.principal, destination_id, paused=True)
    return destinations(caller)


@router.post("/destinations/{destination_id}/resume", responses=refusals(401, 404, 429))
def resume(destination_id: str, caller: Asking) -> DestinationList:
    """Write what it lacks."""
    caller.application.destinations.turn(caller.principal, destination_id, paused=False)
    return destinations(caller)


@router.delete("/destinations/{destination_id}", responses=refusals(401, 404, 429))
def remove(destination_id: str, caller: Asking) -> Message:
    """Write nothing there any more; its files stay."""
    caller.application.destinations.remove(caller.principal, destination_id)
    return Message(caller.answers.gettext(DELETED))


@router.get("/deliveries", responses=refusals(400, 401, 429))
def deliveries(
    caller: Asking,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> DeliveryList:
    """Calls to the `callback_url` of tasks, and what became of them."""
    found = caller.application.deliveries.all(caller.principal, limit, offset)
    return DeliveryList([_delivery(one) for one in found])


@router.get("/deliveries/searches", responses=refusals(400, 401, 429))
def search_deliveries(
    caller: Asking,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> DeliveryList:
    """Calls to the `callback_url` of standing searches, one of each recording."""
    found = caller.application.deliveries.of_searches(caller.principal, limit, offset)
    return DeliveryList([_delivery(one) for one in found])


@router.post("/deliveries/searches/{search_id}/{recording_id}/again", responses=refusals(401, 404, 429))
def send_search_again(search_id: str, recording_id: str, caller: Asking) -> Message:
    """Tell of what a search found in a recording once more."""
    caller.application.deliveries.search_again(caller.principal, search_id, recording_id)
    return Message(caller.answers.gettext(AGAIN))


@router.post("/deliveries/{task_id}/again", responses=refusals(401, 404, 429))
def send_again(task_id: str, caller: Asking) -> Message:
    """Make a call once more."""
    caller.application.deliveries.again(caller.principal, task_id)
    return Message(caller.answers.gettext(AGAIN))


def _delivery(one: Delivery) -> DeliveryAnswer:
    done_at = utc(one.done_at) if one.done_at else None
    about = one.task_id, one.recording_id, one.url
    return DeliveryAnswer(*about, one.state, one.failures, one.error, done_at, one.search_id)


def _answer(caller: Caller, view: DestinationView) -> DestinationAnswer:
    row = view.destination
    error = catalogue.translate_error(row.error, caller.language) if row.error else ""
    code = str(row.error["code"]) if row.error else ""
    return DestinationAnswer(
        row.id, row.address, list(row.formats), row.paused, view.written, error, code, utc(row.created_at)
    )
