"""Passage → vector: the promise of every embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Unit vectors, float32, shape [texts, dim]."""

TEXT_FORM = 1
"""Version of the form in which texts are embedded; part of every text hash."""


class Embedder(Protocol):
    """Anything that turns texts into unit vectors."""

    name: str
    """Stable identifier of model and size, e.g. `gemini-embedding-2`; names the table of vectors."""
    title: str
    dim: int
    languages: tuple[str, ...] | None
    """Languages it understands; None means any."""
    max_tokens: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, in order. Raise ProviderBusy, ProviderRefused or Rejected."""

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question, shape [dim]."""


def understands(embedder: Embedder, language: str) -> bool:
    """Whether passages of this language get vectors from this embedder."""
    return embedder.languages is None or language in embedder.languages


def text_hash(embedder: Embedder, text: str) -> str:
    """What makes a vector reusable: the model, its size, the text's form and the text itself."""
    return hashlib.sha256(f"{embedder.name}|{embedder.dim}|{TEXT_FORM}|{text}".encode()).hexdigest()
