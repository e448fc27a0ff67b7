"""Find the speakers of a recording, in processes that load torch only when they work."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import Code, Rejected
from core.media.waveform import Waveform
from core.speech.speakers.turns import Turn

if TYPE_CHECKING:
    from core.speech.speakers.diarization import SpeakerOptions
    from core.speech.speakers.models import SpeakerModels

SPEAKERS: Final = r"^(|off|auto|[1-9]\d?|[1-9]\d?-[1-9]\d?)$"
"""How many speakers: none, found out, so many, or from so many to so many."""


class SpeakersOff(Rejected):
    """The models that tell speakers apart are missing; facts: `reason`, `file`."""

    code = Code.SPEAKER_MODELS_MISSING


def turns(
    sound: Waveform, speakers: str, folder: str, progress: Callable[[float], None] | None = None
) -> tuple[Turn, ...]:
    """Who speaks when in mono sound, which may be a memory map, with one thread of torch.

    `speakers` is `auto`, a number or a range; `folder` is the setting `SPEAKER_MODELS`. Raises SpeakersOff
    where the models are missing.
    """
    import torch  # noqa: PLC0415 - whoever only plans or reads needs no torch

    from core.speech.speakers.diarization import diarize  # noqa: PLC0415

    models = _models(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads burned five times the CPU for nothing under load
    try:
        return diarize(sound, models, _options(speakers), progress).turns
    finally:
        torch.set_num_threads(threads)


@functools.lru_cache(maxsize=1)
def _models(folder: str) -> SpeakerModels:
    """The networks, once a process."""
    from core.speech.speakers import models  # noqa: PLC0415

    try:
        return models.load(Path(folder).expanduser() if folder else None)
    except models.SpeakerModelsMissing as error:
        raise SpeakersOff(reason=error.reason, file=error.file) from error


def _options(speakers: str) -> SpeakerOptions:
    """`auto`, `3` or `2-4` as options. Raises ValueError for anything else."""
    from core.speech.speakers.diarization import SpeakerOptions  # noqa: PLC0415

    if not re.match(SPEAKERS, speakers) or speakers in {"", "off"}:
        raise ValueError(f"{speakers!r} is no number of speakers")
    if speakers == "auto":
        return SpeakerOptions()
    least, _, most = speakers.partition("-")
    return SpeakerOptions(int(least), int(most or least))
