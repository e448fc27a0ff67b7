"""What may be asked for along with a recording: the same fields in the form and in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from core.recordings import Wish

MAX_TAGS = 50


def _split(tags: object) -> object:
    """Tags come as repeated fields, or as one with commas."""
    if not isinstance(tags, list):
        return tags
    return [part.strip() for tag in tags for part in str(tag).split(",") if part.strip()]


Tag = Annotated[str, Field(max_length=100)]


class Order(BaseModel):
    """Everything is optional."""

    engine: str = Field("", max_length=50, description="An engine's name; empty or `auto` picks the best.")
    language: str = Field("ru", max_length=10, description="ISO 639-1, what is spoken.")
    lane: Literal["now", "batch"] = Field("now", description="`batch` is cheaper and may take a day.")
    word_timestamps: bool = Field(True, description="Words always come with times.")
    title: str = Field("", max_length=500)
    tags: Annotated[list[Tag], BeforeValidator(_split), Field(max_length=MAX_TAGS)] = []
    split_channels: bool = Field(False, description="A call with one speaker on each channel.")
    force: bool = Field(False, description="Transcribe again, even if a result is known.")

    def wish(self) -> Wish:
        """The same for the road."""
        return Wish(
            title=self.title.strip(),
            tags=tuple(self.tags),
            language=self.language.strip().lower(),
            engine=self.engine,
            lane=self.lane,
            split_channels=self.split_channels,
            force=self.force,
        )


def order(address: Order, fields: Mapping[str, Sequence[str]]) -> Order:
    """What the address says, overruled by the form. Raises RequestValidationError."""
    known = {name: values for name, values in fields.items() if name in Order.model_fields}
    given: dict[str, Any] = {name: values if name == "tags" else values[-1] for name, values in known.items()}
    try:
        return Order.model_validate(address.model_dump(exclude_unset=True) | given)
    except ValidationError as error:
        problems = [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
        raise RequestValidationError(problems) from error


def form(**more: Any) -> dict[str, Any]:
    """How the documentation describes a streamed form: the file and the fields."""
    file = {"type": "string", "format": "binary", "description": "Any audio or video file."}
    fields = Order.model_json_schema()["properties"] | more
    schema = {"type": "object", "properties": {"file": file, **fields}, "required": ["file"]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
