"""Find the speakers of a recording, in processes that load torch only when they work."""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import Code, Rejected
from core.media.waveform import Waveform
from core.speech.speakers.turns import Turn

if TYPE_CHECKING:
    from core.speech.speakers.diarization import SpeakerOptions
    from core.speech.speakers.models import SpeakerModels

SPEAKERS: Final = r"^(|off|auto|[1-9]\d?|[1-9]\d?-[1-9]\d?)$"
"""How many speakers: as is usual here, none, found out, so many, or from so many to so many."""
OFF: Final = "off"
LOOK_S: Final = 0.5
LOWEST_PRIORITY: Final = 19
"""Of a thread on Linux: it computes where nobody else wants to."""


class SpeakersOff(Rejected):
    """The models that tell speakers apart are missing; facts: `reason`, `file`."""

    code = Code.SPEAKER_MODELS_MISSING


@dataclass(frozen=True)
class FoundSpeaker:
    """A speaker as the networks know them."""

    number: int
    alone_s: float
    """How long the speaker speaks while nobody else does."""
    vector: bytes
    """Of the voice, as `voices.to_bytes` makes it."""


@dataclass(frozen=True)
class FoundSpeakers:
    """Who speaks when, and the voices of those who do."""

    turns: tuple[Turn, ...] = ()
    speakers: tuple[FoundSpeaker, ...] = ()


def find(
    sounds: Mapping[str, Waveform],
    speakers: str,
    folder: str,
    progress: Callable[[float], None] | None = None,
    state: Path | None = None,
) -> FoundSpeakers:
    """Who speaks when in each channel, which may be a memory map.

    `speakers` is `auto`, a number or a range, for each channel; `folder` is the setting `SPEAKER_MODELS`;
    `progress` takes seconds of sound, all channels one after another, and what it raises ends the work;
    `state` is a folder for what a later call goes on with. Works in a thread of the lowest priority, so that
    transcription goes first. Raises SpeakersOff where the models are missing.
    """
    models, stop = _models(folder), threading.Event()

    def report(seconds: float) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            progress(seconds)

    with ThreadPoolExecutor(1, "speakers", _lower_priority) as thread:
        task = thread.submit(_find, sounds, speakers, models, report, state)
        try:
            while not task.done():
                wait([task], LOOK_S)  # in steps: a thread that waits in one piece hears no interrupt
        finally:
            stop.set()
    return task.result()


class _Stopped(Exception):
    """Nobody waits for the result any more."""


def _lower_priority() -> None:
    """Let everybody else compute first; Linux knows priorities of threads, elsewhere nothing is changed."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)


def _find(
    sounds: Mapping[str, Waveform],
    speakers: str,
    models: SpeakerModels,
    progress: Callable[[float], None],
    folder: Path | None,
) -> FoundSpeakers:
    import torch  # noqa: PLC0415 - whoever only plans or reads needs no torch

    from core.speech.speakers import voices  # noqa: PLC0415
    from core.speech.speakers.diarization import diarize  # noqa: PLC0415

    turns: list[Turn] = []
    all_speakers: list[FoundSpeaker] = []
    before_s = 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads burned five times the CPU for nothing under load
    try:
        for channel, sound in sounds.items():
            report = functools.partial(_later, progress, before_s)
            diarized = diarize(sound, models, _options(speakers), report, folder=folder and folder / channel)
            first = len(all_speakers)
            turns += [Turn(t.start_s, t.end_s, first + t.speaker, channel) for t in diarized.turns]
            all_speakers += [
                FoundSpeaker(first + one.index, one.alone_s, voices.to_bytes(one.voice))
                for one in diarized.speakers
            ]
            before_s += diarized.duration_s
    finally:
        torch.set_num_threads(threads)
    return FoundSpeakers(tuple(sorted(turns)), tuple(all_speakers))


def _later(progress: Callable[[float], None], before_s: float, seconds: float) -> None:
    progress(before_s + seconds)


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
