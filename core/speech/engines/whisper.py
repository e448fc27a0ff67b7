"""Whisper on this machine, through CTranslate2: 99 languages, and a model that is installed with us."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.media.waveform import Waveform
from core.settings import Settings
from core.speech.cores import thread_count
from core.speech.engine import NOT_HERE, Readiness, Speech, Tunable, refuse_unready
from core.speech.engines import whisper_models

if TYPE_CHECKING:
    from core.speech.engines.whisper_decoder import Decoder

CODE = 1
"""Version of our search; raised whenever the same model may give other words."""

_CODES = (
    "ru en af am ar as az ba be bg bn bo br bs ca cs cy da de el es et eu fa fi fo fr gl gu ha haw he "
    "hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl "
    "nn no oc pa pl ps pt ro sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi "
    "yi yo zh"
)
LANGUAGES: tuple[str, ...] = tuple(_CODES.split())
"""Whisper's own codes, the two of the house first. They are ISO 639-1 but for Hawaiian (haw)."""

SHORT_WINDOWS = ("base",)
"""Models whose words were found to be as good in windows shorter than 30 s."""

_loading = threading.Lock()


class WhisperEngine(Tunable):
    """One model. It is loaded once a process, when the first segment comes; all jobs share it."""

    queue = "gpu"
    max_segment_s = 28.0
    varies = True

    def __init__(self, model: str, models_dir: Path) -> None:
        self.model = model
        self.models_dir = models_dir
        model_name = Path(model).name if whisper_models.is_folder(model) else model
        self.name = f"whisper-{model_name}"
        self.title = f"Whisper ({model_name})"
        self.version = f"{CODE}-{model_name}"
        self.languages: tuple[str, ...] = whisper_models.languages(model) or LANGUAGES

    @property
    def batch_segments(self) -> int:
        """A GPU is filled by many segments; a CPU gains nothing, and few let progress be seen."""
        return 16 if _device() == "cuda" else 2

    def readiness(self) -> Readiness:
        """Ready when the model is here, or can be joined from the packages that are installed."""
        if importlib.util.find_spec("faster_whisper") is None:
            return Readiness(False, "the package faster-whisper is not installed")
        if whisper_models.is_here(self.models_dir, self.model):
            return Readiness(True)
        return Readiness(False, NOT_HERE)

    def device_reason(self) -> str:
        """The device and its numbers; imports CTranslate2."""
        return f"computes in {_numbers(_device())} on the {'GPU' if _device() == 'cuda' else 'CPU'}"

    @property
    def translates(self) -> bool:
        """Distilled models know English only."""
        return len(self.languages) > 1 and knows_translation(self.model)

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:
        """Words of each segment, in order."""
        from core.speech.engines.whisper_decoder import DecodingOptions  # noqa: PLC0415

        options = DecodingOptions(
            language, "translate" if self.translate else "transcribe", self.temperature, self.hints
        )
        return self._decoder().transcribe(segments, options)

    def language_probabilities(self, sounds: Sequence[Waveform]) -> list[dict[str, float]]:
        """How likely each language is in each sound, by the model's own language head."""
        return self._decoder().language_probabilities(sounds)

    def _decoder(self) -> Decoder:
        refuse_unready(self)
        with _loading:
            return _decoder(self.model, self.models_dir)


def knows_translation(model: str) -> bool:
    """Whether a model of this name has learnt it: a large-v3-turbo has never seen a translation."""
    return "turbo" not in model and "distil" not in model


def engine(settings: Settings) -> WhisperEngine:
    """The model that the settings name."""
    return WhisperEngine(settings.whisper_model, settings.models)


def language_model(settings: Settings) -> WhisperEngine:
    """What tells languages apart: `base`, which is installed with us, whatever transcribes."""
    return WhisperEngine("base", settings.models)


def _device() -> str:
    """`cuda` where CTranslate2 sees a GPU, else `cpu`."""
    import ctranslate2  # noqa: PLC0415 - pages import this module

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def _numbers(device: str) -> str:
    """int8 on a CPU; on a GPU float16, or int8 with float16 where the card has no fast float16."""
    import ctranslate2  # noqa: PLC0415

    preferred = ("float16", "int8_float16", "float32") if device == "cuda" else ("int8", "float32")
    supported = ctranslate2.get_supported_compute_types(device)
    return next(numbers for numbers in preferred if numbers in supported)


@functools.cache
def _decoder(model: str, models_dir: Path) -> Decoder:
    """The loaded model, shared by all jobs of this process."""
    from core.speech.engines.whisper_decoder import Decoder  # noqa: PLC0415 - CTranslate2 is heavy

    device = _device()
    folder = whisper_models.prepare(models_dir, model)
    short = device == "cpu" and model in SHORT_WINDOWS
    return Decoder(folder, device, _numbers(device), thread_count(), short_windows=short)
