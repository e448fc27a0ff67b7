"""Find the moment something was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.callers import Asking
from api.problems import refusals

router = APIRouter(prefix="/api/v1", tags=["search"])
