"""The channels of a recording as sound, on disk while its transcript is being made.

They are decoded when somebody needs them and nobody has done it here yet (another machine, a death);
what is cut from them and where is planned once, in `spans`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from core.database.tables import Recording, Segment, Transcript
from core.media import decode
from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech import vad
from core.speech.engine import Engine, RemoteEngine
from core.speech.vad import Span

Told = Callable[[float], None]
"""Hears how many seconds are done."""


class Channels:
    """Decoded channels, a folder a transcript."""

    def __init__(self, folder: Path, place: Callable[[str], Path]) -> None:
        self._folder = folder
        self._place = place

    def of(
        self, recording: Recording, transcript: Transcript, heard: Told | None = None
    ) -> dict[str, Waveform]:
        """Int16 sound by the name of its channel: left and right, or mono."""
        folder = self._folder / transcript.id
        names = ("left", "right") if transcript.split_channels else ("mono",)
        files = [folder / f"{name}.pcm" for name in names]
        if not all(file.is_file() for file in files):
            files = self._decode(recording, transcript, folder, heard)
        return {file.stem: decode.waveform(file) for file in files}

    def _decode(
        self, recording: Recording, transcript: Transcript, folder: Path, heard: Told | None
    ) -> list[Path]:
        """In a place of its own first: another task of the same transcript may be decoding, too."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f"{transcript.id}-", dir=self._folder) as own:
            sound, split = self._place(recording.sha256), transcript.split_channels
            files = decode.decode(sound, Path(own), split_channels=split, on_progress=heard)
            folder.mkdir(exist_ok=True)
            return [file.replace(folder / file.name) for file in files]

    def kept(self, older_than_s: float) -> list[str]:
        """Folders that nobody has touched for so long; their names begin with their transcript's id."""
        if not self._folder.is_dir():
            return []
        before = time.time() - older_than_s
        return [folder.name for folder in self._folder.iterdir() if folder.stat().st_mtime < before]

    def drop(self, transcript_id: str) -> None:
        """Nobody needs them any more."""
        shutil.rmtree(self._folder / transcript_id, ignore_errors=True)


def duration_s(sounds: Mapping[str, Waveform]) -> float:
    """Of the longest channel, as it was decoded; headers lie."""
    return max(len(sound) for sound in sounds.values()) / SAMPLE_RATE


def policy(engine: Engine, *, subtitles: bool) -> vad.Policy:
    """Providers say their phrases themselves, whatever the pieces."""
    if isinstance(engine, RemoteEngine):
        return "orders"
    return "subtitles" if subtitles else "reading"


def spans(
    sounds: Mapping[str, Waveform], engine: Engine, how: vad.Policy, heard: Told
) -> Iterator[tuple[str, Span]]:
    """Where each channel is to be cut, so that the engine takes the pieces."""
    for channel, sound in sounds.items():
        spoken = vad.speech(sound, heard)
        yield from (
            (channel, span) for span in vad.cut(spoken, engine.max_segment_s, policy=how, sound=sound)
        )


def cut(sounds: Mapping[str, Waveform], piece: Segment) -> Waveform:
    """The sound of one segment."""
    return sounds[piece.channel][int(piece.start_s * SAMPLE_RATE) : int(piece.end_s * SAMPLE_RATE)]
