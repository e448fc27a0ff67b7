"""What may be asked for along with a recording: the same fields in the form and in the address."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from core.database.states import EmbeddingMode
from core.library.recordings import TranscriptionOptions
from core.speech.speakers.finder import SPEAKERS
from core.storage.blobs import Blob

MAX_TAGS = 50


def _split(tags: object) -> object:
    """Tags come as repeated fields, or as one with commas."""
    if isinstance(tags, str):
        tags = [tags]
    if not isinstance(tags, list):
        return tags
    return [part.strip() for tag in tags for part in str(tag).split(",") if part.strip()]


Tag = Annotated[str, Field(max_length=100)]


class Order(BaseModel):
    """Everything is optional."""

    engine: str = Field(default="", max_length=50, description="An engine; empty or `auto`: the best.")
    language: str = Field(default="ru", max_length=10, description="ISO 639-1, what is spoken.")
    lane: Literal["", "now", "batch"] = Field(
        default="", description="`batch` is cheaper and may take a day."
    )
    deadline_h: float | None = Field(
        default=None, gt=0, le=48, description="Hours a batch is waited for; the rest is made then."
    )
    word_timestamps: bool = Field(default=True, description="Words always come with times.")
    title: str = Field(default="", max_length=500)
    tags: Annotated[list[Tag], BeforeValidator(_split), Field(max_length=MAX_TAGS)] = []
    split_channels: bool = Field(default=False, description="A call with one speaker on each channel.")
    subtitles: bool = Field(default=False, description="Short phrases, fit for a screen.")
    speakers: str = Field(
        default="off",
        pattern=SPEAKERS,
        description="Who said it: `auto`, a number, or a range such as `2-4`; `off`: nobody asks.",
    )
    force: bool = Field(default=False, description="Transcribe again, even if a result is known.")
    callback_url: str = Field(default="", max_length=2000, description="Gets the task as JSON when it ends.")

    def options(self) -> TranscriptionOptions:
        """The same for the road."""
        return TranscriptionOptions(
            title=self.title.strip(),
            tags=tuple(self.tags),
            language=self.language.strip().lower(),
            engine=self.engine,
            embedding_mode=EmbeddingMode.of_lane(self.lane),
            deadline_h=self.deadline_h,
            split_channels=self.split_channels,
            subtitles=self.subtitles,
            speakers="" if self.speakers == "off" else self.speakers,
            force=self.force,
        )


def order(address: Mapping[str, object], fields: Mapping[str, Sequence[str]]) -> Order:
    """What the address says, overruled by the form. Raises RequestValidationError."""
    known = {name: values for name, values in fields.items() if name in Order.model_fields}
    given: dict[str, Any] = {name: values if name == "tags" else values[-1] for name, values in known.items()}
    try:
        return Order.model_validate({**address, **given})
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> RequestValidationError:
    """As if the framework itself had looked at the form."""
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()])


def fingerprint(blob: Blob, wanted: Order) -> str:
    """A digest of everything that was asked for, file included."""
    return hashlib.sha256(f"{blob.sha256}|{wanted.model_dump_json()}".encode()).hexdigest()


def form(**more: Any) -> dict[str, Any]:
    """How the documentation describes a streamed form: the file and the fields."""
    file = {"type": "string", "format": "binary", "description": "Any audio or video file."}
    fields = Order.model_json_schema()["properties"] | more
    schema = {"type": "object", "properties": {"file": file, **fields}, "required": ["file"]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
