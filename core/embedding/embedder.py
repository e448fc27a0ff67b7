"""Passage → vector: the promise of every embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Unit vectors, float32, shape [texts, dim]."""

TEXT_FORM = 1
"""Version of the form in which texts are embedded; part of every text hash."""


class Embedder(Protocol):
    """Anything that turns texts into unit vectors."""

    name: str
    """Stable identifier of model and size, e.g. `gemini-embedding-2@768`; names the table of vectors."""
    title: str
    """What a person sees."""
    languages: tuple[str, ...] | None
    """Languages it understands; None means any."""
    batch_texts: int
    """How many texts to hand over at once, so that a failure never loses more than these."""

    answer_cosine: float | None
    """Below this cosine of their vectors a passage is no answer to a question; None: nobody knows."""

    @property
    def dim(self) -> int:
        """Numbers a vector; asking may load the model."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, in order. Raise ProviderBusy, ProviderRefused or Rejected."""

    def embed_counted(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """The same, with the tokens that have to be paid for; 0 when nothing has."""

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question, shape [dim]."""


@dataclass(frozen=True)
class RemoteBatch:
    """A batch as its provider describes it. `state` is pending, running, succeeded and so on."""

    name: str
    display_name: str
    state: str
    created_at: str = ""
    result: str | None = None
    lines: int | None = None
    """Lines that the result must have, if the provider says so."""
    error: str = ""


class BatchEmbedder(Embedder, Protocol):
    """An embedder that also takes many texts at once, cheaper and later.

    Everything raises ProviderBusy, ProviderRefused or Rejected; NotFound for a batch, a file or a
    result that is not there; OutcomeUnknown where a request may have been carried out unheard.
    """

    provider: str
    model: str

    def request(self, custom_id: str, text: str) -> bytes:
        """One line of a batch's input."""

    def upload(self, path: Path, name: str) -> str:
        """Bring input to the provider; the name it has there. Costs nothing and may be repeated."""

    def create_batch(self, file: str, display_name: str) -> RemoteBatch:
        """Order a batch. Costs money each time."""

    def batch(self, name: str) -> RemoteBatch:
        """How a batch stands."""

    def batches(self, prefix: str) -> list[RemoteBatch]:
        """All batches whose display name begins so, over all pages, oldest first."""

    def cancel_batch(self, name: str) -> None:
        """Ask to end a batch early; it may end with results nevertheless."""

    def download(self, result: str, path: Path) -> None:
        """Write a batch's result to this file."""


def batching(embedder: Embedder) -> BatchEmbedder | None:
    """The same embedder if it takes batches."""
    return cast("BatchEmbedder", embedder) if hasattr(type(embedder), "create_batch") else None


def tokens_at_most(text: str) -> int:
    """Tokens of a text, guessed high: Russian has about two letters a token, English four."""
    return max(1, ceil(len(text) / 2))


def understands(embedder: Embedder, language: str) -> bool:
    """Whether passages of this language get vectors from this embedder."""
    return embedder.languages is None or language in embedder.languages


def text_hash(embedder: Embedder, text: str) -> str:
    """What makes a vector reusable: the model, its size, the text's form and the text itself."""
    return hashlib.sha256(f"{embedder.name}|{embedder.dim}|{TEXT_FORM}|{text}".encode()).hexdigest()


def unit(
    values: Sequence[Sequence[float]] | Sequence[NDArray[np.float32]] | Vectors, texts: int, dim: int
) -> Vectors:
    """What a model gave for `texts` texts, as unit vectors. ValueError if it is not one vector a text."""
    vectors = np.asarray(values, dtype=np.float64) if texts else np.empty((0, dim))
    if vectors.shape != (texts, dim):
        raise ValueError(f"{vectors.shape} numbers instead of {(texts, dim)}")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.all(np.isfinite(norms)) or not np.all(norms > 0):
        raise ValueError("a vector without direction")
    return np.asarray(vectors / norms, dtype=np.float32)
