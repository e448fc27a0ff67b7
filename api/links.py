"""Links to recordings and moments, for who has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking
from api.problems import refusals
from core.clients.answers import Message
from core.clients.links import DAYS, MOST_DAYS, MadeLink
from core.database.tables import ShareLink, utc
from core.i18n.messages import N_

router = APIRouter(prefix="/api/v1", tags=["recordings"])

REVOKED = N_("The link opens nothing any more.")


class LinkForm(BaseModel):
    """How long a link is good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 7}]})

    days: Annotated[float, Field(gt=0, le=MOST_DAYS, allow_inf_nan=False)] = DAYS


@dataclass(frozen=True)
class ShareLinkAnswer:
    """A link, without its secret."""

    link_id: str
    recording_id: str
    moment_id: str
    """The kept moment that it opens and no more; empty: the whole recording."""
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class NewShareLink(ShareLinkAnswer):
    """A new link."""

    address: str
    """Below the address of the pages; it cannot be shown again."""


@dataclass(frozen=True)
class ShareLinkList:
    """Links that are good, newest first."""

    links: list[ShareLinkAnswer]


@router.post("/recordings/{recording_id}/links", status_code=201, responses=refusals(400, 401, 403, 404, 429))
def of_recording(recording_id: str, form: LinkForm, caller: Asking) -> NewShareLink:
    """A link that opens one recording: without signing in where PUBLIC_LINKS is set."""
    return _new(caller.application.links.make(caller.principal, recording_id=recording_id, days=form.days))


@router.post("/moments/{moment_id}/links", status_code=201, responses=refusals(400, 401, 403, 404, 429))
def of_moment(moment_id: str, form: LinkForm, caller: Asking) -> NewShareLink:
    """A link that opens one kept moment, with its clip, and no more of its recording."""
    return _new(caller.application.links.make(caller.principal, moment_id=moment_id, days=form.days))


@router.get("/share-links", responses=refusals(400, 401, 429))
def share_links(caller: Asking, recording_id: Annotated[str, Query(max_length=64)] = "") -> ShareLinkList:
    """Links that you made and that are good still."""
    rows = caller.application.links.all(caller.principal, recording_id)
    return ShareLinkList([_answer(row) for row in rows])


@router.delete("/share-links/{link_id}", responses=refusals(401, 404, 429))
def revoke(link_id: str, caller: Asking) -> Message:
    """Take a link back."""
    caller.application.links.revoke(caller.principal, link_id)
    return Message(caller.answers.gettext(REVOKED))


def _answer(row: ShareLink) -> ShareLinkAnswer:
    return ShareLinkAnswer(row.id, row.recording_id, row.moment_id, utc(row.created_at), utc(row.expires_at))


def _new(made: MadeLink) -> NewShareLink:
    row = made.row
    return NewShareLink(
        row.id, row.recording_id, row.moment_id, utc(row.created_at), utc(row.expires_at), made.address
    )
