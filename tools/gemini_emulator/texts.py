"""The calls that answer at once: vectors of texts, tokens, models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tools.gemini_emulator import faults, vectors
from tools.gemini_emulator.store import Store
from tools.gemini_emulator.wire import Answer, Refusal, Request, say

MAX_DIM = 3072
MOST_TEXTS = 100

_MODELS = {"gemini-embedding-001": 2048, "gemini-embedding-2": 8192}
"""Each model's longest text in tokens; what is longer is cut silently, as Gemini does."""

_NORM_OF_001 = 0.58
"""About what vectors of -001 below 3072 places measure."""


@dataclass(frozen=True)
class EmbedRequest:
    """One text that is to become one vector; however many parts it came in."""

    model: str
    text: str
    dim: int
    task_type: str | None = None
    key: str | None = None


def embed(store: Store, request: Request) -> Answer:
    """Sync vectors, one for each request in the list."""
    entries = request.json().get("requests", [])
    if len(entries) > MOST_TEXTS:
        refused = f"at most {MOST_TEXTS} requests can be in one batch"
        raise Refusal(400, f"* BatchEmbedContentsRequest.requests: {refused}\n")
    embeddings, usage = _embed_now(store, [read_embed_request(request, one) for one in entries], "embed")
    return say({"embeddings": embeddings, "usageMetadata": usage})


def embed_one(store: Store, request: Request) -> Answer:
    """Sync vector of one text."""
    embeddings, usage = _embed_now(store, [read_embed_request(request, request.json())], "embed_one")
    return say({"embedding": embeddings[0] if embeddings else {}, "usageMetadata": usage})


def count_tokens(_: Store, request: Request) -> Answer:
    known_model(request)
    total = sum(vectors.count_tokens(_text(content)) for content in request.json().get("contents", []))
    return say({"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]})


def list_models(_: Store, __: Request) -> Answer:
    return say({"models": [_model(name) for name in _MODELS]})


def get_model(_: Store, request: Request) -> Answer:
    return say(_model(known_model(request)))


def known_model(request: Request) -> str:
    """The model that the path names. Raise Refusal (404) if there is none."""
    name = request.names["model"]
    if name not in _MODELS:
        raise Refusal(404, f"models/{name} is not found for API version v1beta, or is not supported.")
    return name


def read_embed_request(request: Request, payload: dict[str, Any], key: str | None = None) -> EmbedRequest:
    """Understand an EmbedContentRequest. Raise Refusal (400) if its text or size makes no sense."""
    config = payload | payload.get("embedContentConfig", {})
    embed_request = EmbedRequest(
        model=known_model(request),
        text=_text(payload.get("content", {})),
        dim=config.get("outputDimensionality") or MAX_DIM,
        task_type=config.get("taskType"),
        key=key,
    )
    if not embed_request.text.strip():
        raise Refusal(400, "* EmbedContentRequest.content: content is empty\n")
    if not 0 < embed_request.dim <= MAX_DIM:
        raise Refusal(400, f"* EmbedContentRequest.output_dimensionality: must be 1 to {MAX_DIM}\n")
    return embed_request


def flaws(
    active_faults: Iterable[tuple[str, dict[str, Any]]], keys: list[str | None]
) -> dict[int, dict[str, Any]]:
    """What is wrong with which place, for those faults that strike single vectors or lines."""
    flawed: dict[int, dict[str, Any]] = {}
    for name, options in active_faults:
        if "keys" in options:
            places = faults.choose(options, keys, flawed)
            flawed |= {place: {"name": name, **options} for place in places}
    return flawed


def note(
    store: Store, embed_request: EmbedRequest, flaw: dict[str, Any] | None, batch: int | None = None
) -> int:
    """Write into the ledger that this text was accepted; how many tokens it counts."""
    counted = tokens(embed_request.model, embed_request.text)
    store.insert(
        "texts",
        at=store.now(),
        batch=batch,
        model=embed_request.model,
        dim=embed_request.dim,
        key=embed_request.key,
        text=embed_request.text,
        tokens=counted,
        truncated=counted < vectors.count_tokens(embed_request.text),
        task_type=embed_request.task_type,
        flaw=json.dumps(flaw) if flaw else None,
        usable=flaw is None or flaw["name"] == "duplicate",
    )
    return counted


def tokens(model: str, text: str) -> int:
    """The tokens that are charged for a text: those that fit into the model."""
    return min(vectors.count_tokens(text), _MODELS[model])


def vector(model: str, text: str, dim: int, flaw: dict[str, Any] | None = None) -> list[Any]:
    """The values of a text's vector: unit length, except from -001 below its full size."""
    truncated = text[: _MODELS[model] * 3]
    values = vectors.embed(truncated, dim)
    if model == "gemini-embedding-001" and dim < MAX_DIM:
        values = [value * _NORM_OF_001 for value in values]
    return faults.corrupt(values, flaw)


def _embed_now(store: Store, requests: list[EmbedRequest], call: str) -> tuple[list[object], object]:
    flawed = flaws(store.take_faults(call, set(faults.VECTOR)), [item.key for item in requests])
    total = sum(note(store, item, flawed.get(place)) for place, item in enumerate(requests))
    embeddings: list[object] = [
        {"values": vector(item.model, item.text, item.dim, flawed.get(place))}
        for place, item in enumerate(requests)
        if flawed.get(place, {}).get("name") != "missing"
    ]
    details = [{"modality": "TEXT", "tokenCount": total}]
    return embeddings, {"promptTokenCount": total, "promptTokenDetails": details}


def _text(content: dict[str, Any]) -> str:
    return " ".join(part.get("text", "") for part in content.get("parts", []))


def _model(name: str) -> dict[str, object]:
    return {
        "name": f"models/{name}",
        "version": "1",
        "displayName": f"{name} (emulator)",
        "description": "Bags of words: for tests and demonstrations only.",
        "inputTokenLimit": _MODELS[name],
        "outputTokenLimit": 1,
        "supportedGenerationMethods": ["embedContent", "countTokens", "asyncBatchEmbedContent"],
    }
