"""With whom recordings are shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking
from api.problems import refusals
from core.database.states import Access
from core.library.recording_sharing import Sharing

router = APIRouter(prefix="/api/v1", tags=["recordings"])

Right = Literal["none", "read", "write"]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class SharingForm(BaseModel):
    """Who may do what with a recording, besides its owner and the admins; who is left out may do nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"everybody": "none", "people": {}, "groups": {"sales": "read"}}],
        }
    )

    everybody: Right = "none"
    people: Annotated[dict[Name, Right], Field(max_length=100)] = {}
    """By the names under which they sign in; they must have done so once."""
    groups: Annotated[dict[Name, Right], Field(max_length=100)] = {}


@dataclass(frozen=True)
class SharingAnswer:
    """How a recording is shared: `none`, `read`, or `write`, which includes to put it into the bin."""

    owner: str
    """Who brought it, by name; empty where nobody signed in for that."""
    everybody: str
    """All people who sign in here; keys of programs see their own alone."""
    people: dict[str, str]
    groups: dict[str, str]
    can_change: bool


@router.get("/recordings/{recording_id}/sharing", responses=refusals(401, 404, 429))
def sharing(recording_id: str, caller: Asking) -> SharingAnswer:
    """With whom a recording is shared."""
    view = caller.application.recording_sharing.view(caller.principal, recording_id)
    return SharingAnswer(
        view.owner,
        view.sharing.everybody,
        dict(view.sharing.people),
        dict(view.sharing.groups),
        view.can_change,
    )


@router.put("/recordings/{recording_id}/sharing", responses=refusals(400, 401, 403, 404, 429))
def share(recording_id: str, form: SharingForm, caller: Asking) -> SharingAnswer:
    """Share a recording so, and with nobody else: for its owner and admins."""
    wanted = Sharing(
        Access(form.everybody),
        {name: Access(right) for name, right in form.people.items()},
        {name: Access(right) for name, right in form.groups.items()},
    )
    caller.application.recording_sharing.change(caller.principal, recording_id, wanted)
    return sharing(recording_id, caller)
