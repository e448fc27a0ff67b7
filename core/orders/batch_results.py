"""Results of a batch: read as a stream, matched by key alone, good rows kept apart from bad ones.

A line is `{"key": …, "response": {"embedding": {"values": […]}, "tokenCount": "…"}}` or has an
`error`. Order means nothing, and nothing that is not clearly one good vector of a text that was
asked for becomes one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simdjson
from numpy.typing import NDArray

from core.embedding.embedder import Vectors
from core.errors import GEMINI, ProviderBusy

BLOCK = 1000
"""Vectors handed on at once: 12 MB at 3072 numbers each."""
READ_BYTES = 1 << 20
TOO_MANY_UNKNOWN = 0.001
"""Share of keys that nobody asked for above which a person should look."""


@dataclass(frozen=True)
class EmbeddingResult:
    """What became of one request: a vector as the provider gave it, or what was wrong."""

    custom_id: str
    values: NDArray[np.float64] | None
    tokens: int | None = None
    error: str = ""


@dataclass
class Match:
    """What became of every key that was asked for, once `vectors` was read to its end."""

    expected: Mapping[str, int]
    """Keys, and the tokens each was guessed to have."""
    dim: int
    tokens: dict[str, int] = field(default_factory=dict)
    """Good keys and what they are billed."""
    errors: dict[str, str] = field(default_factory=dict)
    unknown: int = 0
    duplicates: int = 0
    unreadable: int = 0

    @property
    def missing(self) -> list[str]:
        """Keys that the result does not mention at all."""
        return [key for key in self.expected if key not in self.tokens and key not in self.errors]

    @property
    def suspicious(self) -> bool:
        """Whether a person should look at this result."""
        return self.unknown > TOO_MANY_UNKNOWN * len(self.expected)

    def vectors(self, path: Path) -> Iterator[tuple[list[str], Vectors]]:
        """Blocks of keys with their unit vectors. The first good line of a key wins."""
        block = np.empty((BLOCK, self.dim), np.float64)
        keys: list[str] = []
        for result in results(path):
            if not self._wanted(result):
                continue
            if result.values is None or result.values.shape != (self.dim,):
                self.errors[result.custom_id] = _shortcoming(result, self.dim)
                continue
            block[len(keys)] = result.values
            keys.append(result.custom_id)
            self._take(result)
            if len(keys) == BLOCK:
                yield self._unit(keys, block)
                keys = []
        if keys:
            yield self._unit(keys, block[: len(keys)])

    def _wanted(self, result: EmbeddingResult) -> bool:
        if not result.custom_id:
            self.unreadable += 1
        elif result.custom_id not in self.expected:
            self.unknown += 1
        elif result.custom_id in self.tokens:
            self.duplicates += 1
        else:
            return True
        return False

    def _take(self, result: EmbeddingResult) -> None:
        self.tokens[result.custom_id] = (
            self.expected[result.custom_id] if result.tokens is None else result.tokens
        )
        if self.errors.pop(result.custom_id, None):
            self.duplicates += 1

    def _unit(self, keys: list[str], block: NDArray[np.float64]) -> tuple[list[str], Vectors]:
        """Unit vectors of those that have a direction; the others are errors."""
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(block, axis=1)
        valid = np.isfinite(norms) & (norms > 0)
        for key in (key for key, fine in zip(keys, valid, strict=True) if not fine):
            del self.tokens[key]
            self.errors[key] = "a vector without direction"
        valid_keys = [key for key, fine in zip(keys, valid, strict=True) if fine]
        return valid_keys, np.asarray(block[valid] / norms[valid, None], np.float32)


def results(path: Path) -> Iterator[EmbeddingResult]:
    """Every line of a result, one at a time; a line that cannot be read has no key."""
    parser = simdjson.Parser()
    with path.open("rb", buffering=READ_BYTES) as file:
        for raw in file:
            if not raw.isspace():
                yield _parse(parser, raw)


def count(path: Path) -> int:
    """Lines of a whole result. Raise ProviderBusy if its last line broke off: nothing of it is used then."""
    total, last = 0, b""
    with path.open("rb", buffering=READ_BYTES) as file:
        for raw in file:
            if not raw.isspace():
                total, last = total + 1, raw
    if total and not _is_json(last):
        raise ProviderBusy(GEMINI, "the result broke off")
    return total


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep(path: Path, final: Path) -> None:
    """Put a finished download into its place for good: it is paid for, so the disk must have it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parse(parser: Any, raw: bytes) -> EmbeddingResult:
    try:
        document = parser.parse(raw)
        values = document.at_pointer("/response/embedding/values").as_buffer(of_type="d")
        key, tokens = document["key"], _tokens(document["response"])
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):  # unusual: slower, and forgiving
        return _explain(raw)
    return EmbeddingResult(str(key), np.frombuffer(values, np.float64), tokens)


def _explain(raw: bytes) -> EmbeddingResult:
    """A line that is not as usual: whose it is, its vector or what is wrong with it."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return EmbeddingResult("", None)
    if not isinstance(document, dict):
        return EmbeddingResult("", None)
    key = document.get("key") or document.get("custom_id") or document.get("request_id") or ""
    response = document.get("response")
    response = response if isinstance(response, dict) else {}
    problem = document.get("error") or document.get("status") or response.get("error")
    if problem:
        return EmbeddingResult(str(key), None, error=_message(problem))
    return EmbeddingResult(str(key), _plain_vector(response), _tokens(response), error="no usable vector")


def _plain_vector(response: dict[str, Any]) -> NDArray[np.float64] | None:
    embedding = response.get("embedding")
    values = embedding.get("values") if isinstance(embedding, dict) else None
    try:
        return np.asarray(values, np.float64) if isinstance(values, list) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _shortcoming(result: EmbeddingResult, dim: int) -> str:
    return result.error if result.values is None else f"{result.values.size} numbers instead of {dim}"


def _message(problem: object) -> str:
    if isinstance(problem, dict):
        return str(problem.get("message") or problem.get("code") or "an error without words")[:500]
    return str(problem)[:500]


def _tokens(response: Any) -> int | None:
    """What a line is billed: a number or a string of digits, in either of two places."""
    usage = response.get("usageMetadata") or {}
    count = response.get("tokenCount") or usage.get("promptTokenCount")
    return int(count) if count is not None and str(count).isdecimal() else None


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except ValueError:
        return False
    return True
