"""Every embedder we know, by name. Nothing heavy is imported until one works."""

from __future__ import annotations

from core.embedding.embedder import Embedder
from core.embedding.embedders import e5
from core.embedding.embedders.e5 import E5
from core.embedding.embedders.gemini import Gemini
from core.embedding.embedders.local import Local
from core.settings import Settings


def by_name(settings: Settings, name: str) -> Embedder:
    """`gemini` or `local` as the settings say, or the very embedder that once had this name.

    A missing key or model shows when the embedder is asked to work.
    """
    if name.startswith("gemini"):
        return gemini(settings, name.removeprefix("gemini"))
    embedder = _local(settings, settings.local_embedding_model)
    model = name.removeprefix("local").removeprefix("-")
    return embedder if not model or embedder.name == name else _local(settings, model)


def _local(settings: Settings, model: str) -> Embedder:
    """The model of this machine: multilingual-e5-small from its package, unless another one is named."""
    packaged = ("", e5.MODEL, e5.NAME.removeprefix("local-"))
    return E5() if model in packaged else Local(model, settings.models)


def gemini(settings: Settings, stored: str = "") -> Gemini:
    """Gemini as the settings say; `stored` is what its name once had after the word."""
    version, _, dim = stored.removesuffix("+emulator").partition("@")
    return Gemini(
        settings.gemini_api_key,
        model=f"gemini{version}" if version else settings.embedding_model,
        dim=int(dim) if dim else settings.embedding_dim,
        base_url=settings.gemini_base_url,
    )
