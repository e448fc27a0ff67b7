"""GigaAM: Russian and its neighbours, through our own modules and official checkpoints."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.media.waveform import Waveform
from core.settings import Settings
from core.speech.engine import NOT_HERE, Readiness, Speech, refuse_unready
from core.speech.gigaam import description
from core.speech.gigaam.download import MD5, files

if TYPE_CHECKING:
    from core.speech.gigaam.batcher import Asker, Batcher

CODE = 1
"""Version of our modules; raised whenever the same checkpoint may give other words."""

WIDTH = 768
"""Width of the official models: on a CPU it decides about bfloat16."""

TITLES = {
    "multilingual_large_ctc": "GigaAM Multilingual, large (plain words, most exact)",
    "multilingual_ctc": "GigaAM Multilingual (plain words, fastest)",
    "v3_e2e_rnnt": "GigaAM v3 (punctuation, most exact)",
    "v3_e2e_ctc": "GigaAM v3 (punctuation, fastest)",
    "v3_rnnt": "GigaAM v3 (plain words, most exact)",
    "v3_ctc": "GigaAM v3 (plain words, fastest)",
    "v2_rnnt": "GigaAM v2 (plain words, most exact)",
    "v2_ctc": "GigaAM v2 (plain words, fastest)",
    "v1_rnnt": "GigaAM v1 (plain words, most exact)",
    "v1_ctc": "GigaAM v1 (plain words, fastest)",
}
"""The official checkpoints that we run; endings: `ctc` fast, `rnnt` exact, `e2e` with punctuation."""

PUBLISHED_BYTES = 100_000_000
"""The official checkpoints have four times as many."""

_loading = threading.Lock()


class GigaAMEngine:
    """One checkpoint. It is loaded once a process, when the first segment comes; all jobs share it."""

    queue = "gpu"
    max_segment_s = 20.0

    def __init__(
        self,
        name: str,
        title: str,
        checkpoint: Path,
        version: str,
        *,
        numbers: str = "auto",
        compiled: bool = False,
    ) -> None:
        self.name = name
        self.title = title
        self.checkpoint = checkpoint
        self.version = f"{CODE}-{version}" + ("-int8" if numbers == "int8" else "")
        self.numbers = numbers
        self.compiled = compiled

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of the model."""
        return description.languages(self.checkpoint)

    @property
    def batch_segments(self) -> int:
        """A GPU is filled by many segments; a CPU gains nothing by more than a few. Imports torch."""
        from core.speech.gigaam import device  # noqa: PLC0415

        return 256 if device.has_cuda() else 8

    @property
    def full_size(self) -> bool:
        """Whether the checkpoint is as large as a published one; a small one says nothing of speed."""
        return self.checkpoint.exists() and self.checkpoint.stat().st_size >= PUBLISHED_BYTES

    def readiness(self) -> Readiness:
        """Ready when the model's files are where they belong, and all that was asked for is there."""
        if self.compiled and not shutil.which(compiler()):
            return Readiness(False, "GIGAAM_COMPILE needs a C++ compiler: install g++, or turn it off")
        described = description.describe(self.checkpoint)
        if described is not None and not described.has_head:
            return Readiness(False, "this model says no words: choose another GIGAAM_MODEL")
        models = {self.checkpoint.stem, described.base if described else ""} - {""}
        missing = {model for model in models if not self._has(model)}
        if not missing:
            return Readiness(True)
        return Readiness(False, NOT_HERE if MD5.keys() >= missing else "its file is not in MODELS_DIR")

    def _has(self, model: str) -> bool:
        return all((self.checkpoint.parent / name).exists() for name in files(model))

    def device_reason(self) -> str:
        """What a loaded model computes with, and why; imports torch and may measure for 0.1 s."""
        from core.speech.gigaam import device  # noqa: PLC0415

        return device.choose(WIDTH, dtype=device.numbers(self.numbers)).reason

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:
        """Words of each segment, in order."""
        return self.ask(segments, language).wait()

    def ask(self, segments: Sequence[Waveform], language: str) -> Asker:  # noqa: ARG002
        """Have segments heard as soon as the device is free; all jobs of the process share it."""
        refuse_unready(self)
        with _loading:
            batcher = _batcher(self.checkpoint, self.numbers, compiled=self.compiled)
        return batcher.ask(segments)


def compiler() -> str:
    """What torch compiles with, and looks for nothing else: `CXX`, or the system's own."""
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def real(settings: Settings) -> GigaAMEngine:
    """The model that the settings name, in the models' folder."""
    model = settings.gigaam_model
    title = TITLES.get(model, f"GigaAM ({model})")
    checkpoint = settings.models / f"{model}.ckpt"
    numbers, compiled = settings.gigaam_dtype, settings.gigaam_compile
    return GigaAMEngine(f"gigaam-{model}", title, checkpoint, model, numbers=numbers, compiled=compiled)


@functools.cache
def _batcher(checkpoint: Path, numbers: str, *, compiled: bool) -> Batcher:
    """The loaded model, shared by all jobs of this process."""
    from core.speech.gigaam import device  # noqa: PLC0415 - torch is heavy, and pages import this module
    from core.speech.gigaam.batcher import Batcher  # noqa: PLC0415
    from core.speech.gigaam.checkpoint import load  # noqa: PLC0415
    from core.speech.gigaam.recogniser import Recogniser  # noqa: PLC0415

    model = load(checkpoint)
    device_choice = device.choose(model.config.encoder.d_model, dtype=device.numbers(numbers))
    return Batcher(Recogniser(model, device_choice, compiled=compiled))
