"""What may be asked for along with a recording: the same fields in the form and in the address."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from core.database.states import EmbeddingMode
from core.library.recordings import TranscriptionOptions
from core.media.tracks import CHOICE
from core.speech.speakers.finder import SPEAKERS

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
    language: str = Field(
        default="",
        max_length=10,
        description="ISO 639-1, what is spoken; `auto`: it is identified. Empty: as SPOKEN_LANGUAGE, which "
        "is `auto` unless it was set.",
    )
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
    tracks: str = Field(
        default="",
        pattern=CHOICE,
        description="Of several sound tracks: `each` apart, all in one `mix`, or the number of one; "
        "empty or `auto`: each, of translations the one in `language`.",
    )
    task: Literal["transcribe", "translate"] = Field(
        default="transcribe", description="`translate`: the text in English, whatever is spoken."
    )
    temperature: float = Field(
        default=0.0, ge=0, le=1, description="How much chance decides between words; only Whisper has it."
    )
    speakers: str = Field(
        default="",
        pattern=SPEAKERS,
        description="Who said it: `auto`, a number, or a range such as `2-4`; `off`: nobody asks; empty: as "
        "the installation is set, `auto` unless that was changed. With `split_channels` a number is of each "
        "channel, and `auto` takes channels for speakers.",
    )
    force: bool = Field(default=False, description="Transcribe again, even if a result is known.")
    sharing: Literal["", "everybody", "private"] = Field(
        default="",
        description="Who sees a new recording: `everybody` who signs in here, or you and the admins alone; "
        "empty: of a person's key as DEFAULT_SHARING, of a program's `private`.",
    )
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
            tracks="" if self.tracks == "auto" else self.tracks,
            translate=self.task == "translate",
            temperature=round(self.temperature, 2),
            speakers=self.speakers,
            force=self.force,
            everybody=self.sharing == "everybody" if self.sharing else None,
        )


def order(address: Mapping[str, object], fields: Mapping[str, Sequence[str]]) -> Order:
    """What the address says, overruled by the form. Raises RequestValidationError."""
    order_fields = {name: values for name, values in fields.items() if name in Order.model_fields}
    last_values: dict[str, Any] = {
        name: values if name == "tags" else values[-1] for name, values in order_fields.items()
    }
    try:
        return Order.model_validate({**address, **last_values})
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> RequestValidationError:
    """As if the framework itself had looked at the form."""
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()])


def fingerprint(subject: str, sent: Iterable[tuple[str, str]]) -> str:
    """A digest of what was sent: the file's SHA-256 or the recording's id, names and values as they came.

    Never of what this version understands by it: a field that the next version adds, or another default,
    must not make the same request a different one.
    """
    return hashlib.sha256(json.dumps([subject, *sorted(sent)]).encode()).hexdigest()


def form(**more: Any) -> dict[str, Any]:
    """How the documentation describes a streamed form: the file and the fields."""
    description = "Any audio or video file, or a transcript: SRT, VTT, JSON, text with time codes."
    return file_form(description, Order.model_json_schema()["properties"] | more)


def file_form(description: str, fields: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The same for a file with these fields beside it."""
    file = {"type": "string", "format": "binary", "description": description}
    schema = {"type": "object", "properties": {"file": file, **fields}, "required": ["file"]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
