"""The published `gigaam` package as an engine of its own, so that people can compare it with ours.

It is not among our requirements: what the package index has knows no v3 and pins a torch of
long ago, and what knows v3 pins an older onnxruntime. Installed beside us without its pins, it reads
the same files, one segment at a time.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.engine import Readiness, Speech, Word, refuse_unready
from core.speech.engines.gigaam import GigaAMEngine

_alone = threading.Lock()
"""Jobs of one process take turns: the package's model was not made for several at once."""


class GigaAMPackageEngine:
    """The package's own loop over the file that our engine uses too."""

    queue = "gpu"
    max_segment_s = 20.0
    batch_segments = 8

    def __init__(self, engine: GigaAMEngine) -> None:
        self.name = "gigaam-package"
        self.title = "gigaam, reference"
        self.version = f"package-{engine.version}"
        self._engine = engine

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of the model."""
        return self._engine.languages

    def readiness(self) -> Readiness:
        """Ready when a package that knows v3 is installed and can be imported, with the model's files."""
        if not knows_v3():
            return Readiness(False, "a gigaam package that knows v3 is not installed, the README says how")
        if not _has_torchaudio():
            return Readiness(False, "the gigaam package needs a torchaudio that fits our torch")
        return self._engine.readiness()

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:  # noqa: ARG002
        """Words of each segment, in order, without confidences."""
        refuse_unready(self)
        with _alone:
            model = _model(self._engine.checkpoint)
            return [_recognise(model, segment) for segment in segments]


def knows_v3() -> bool:
    """Whether the package that is installed is one of 2025 or later; it is not imported for that."""
    spec = importlib.util.find_spec("gigaam")
    folders = (spec and spec.submodule_search_locations) or []
    return any((Path(folder) / "timestamps_utils.py").exists() for folder in folders)


@functools.cache
def _has_torchaudio() -> bool:
    """Whether it can be imported: one that was built for another torch cannot, though it is installed."""
    if importlib.util.find_spec("torchaudio") is None:
        return False
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError, AttributeError):
        return False
    return True


@functools.lru_cache(maxsize=1)
def _model(checkpoint: Path) -> Any:
    """The package's model. Its loader unpickles: that is why it asks for the published checksum."""
    import gigaam  # noqa: PLC0415 - heavy, and rarely there

    return gigaam.load_model(checkpoint.stem, download_root=str(checkpoint.parent))


def _recognise(model: Any, segment: Waveform) -> Speech:
    """One segment through the package's encoder and its greedy loop."""
    import torch  # noqa: PLC0415
    from gigaam.timestamps_utils import compute_frame_shift, frames_to_words  # noqa: PLC0415

    device = next(model.parameters()).device
    wave = torch.from_numpy(segment).float()[None].to(device) / 32768
    with torch.inference_mode():
        encoded, ends = model.forward(wave, torch.tensor([wave.size(1)], device=device))
        ((text, tokens, frames),) = model.decoding.decode(model.head, encoded, ends)
    shift_s = compute_frame_shift(wave.size(1), int(ends[0]))
    timed_words = frames_to_words(model.decoding.tokenizer, tokens, frames, shift_s)
    limit_s = len(segment) / SAMPLE_RATE
    words = tuple(Word(each.text, each.start, min(each.end, limit_s)) for each in timed_words)
    return Speech(text=text.strip(), words=words)
