"""The channels of a recording as sound, on disk while its transcript is being made.

They are decoded when somebody needs them and nobody has done it here yet (another machine, a death);
what is cut from them and where is planned once, in `spans`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from core.database.tables import Recording, Segment, Transcript
from core.media import decode
from core.media.decode import Decoded
from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech import vad
from core.speech.engine import Engine, RemoteEngine
from core.speech.vad import Listener, Span

FACTS = "decoded.json"
"""What was decoded into a folder; it comes last, so where it is the sound is whole."""
EXCERPT = "excerpt.pcm"
PIECE_S = 12.0
"""The longest piece whose language is identified."""

OnProgress = Callable[[float], None]
"""Hears how many seconds are done."""


class Channels:
    """Decoded channels, a folder a transcript."""

    def __init__(self, folder: Path, place: Callable[[str], Path]) -> None:
        self._folder = folder
        self._place = place

    def of(
        self, recording: Recording, transcript: Transcript, on_progress: OnProgress | None = None
    ) -> dict[str, Waveform]:
        """Int16 sound by the name of its channel: mono, left and right, or one a track."""
        return waveforms(self.decoded(recording, transcript, on_progress))

    def decoded(
        self,
        recording: Recording,
        transcript: Transcript,
        on_progress: OnProgress | None = None,
        listener: Listener | None = None,
    ) -> Decoded:
        """The files of the channels, and what was damaged or left out.

        `listener` listens along while sound of one channel is decoded, which another process does.
        """
        folder = self.folder(transcript)
        try:
            facts = json.loads((folder / FACTS).read_text())
        except FileNotFoundError:
            return self._decode(recording, transcript, folder, on_progress, listener)
        files = {str(channel): folder / file for channel, file in facts.pop("files").items()}
        return Decoded(files, tuple(facts.pop("not_heard")), tuple(facts.pop("breaks_s")), **facts)

    def _decode(
        self,
        recording: Recording,
        transcript: Transcript,
        folder: Path,
        on_progress: OnProgress | None,
        listener: Listener | None,
    ) -> Decoded:
        """In a place of its own first: another task of the same transcript may be decoding, too."""
        with TemporaryDirectory(prefix=f"{transcript.id}-", dir=self._made()) as scratch:

            def progress(seconds: float) -> None:
                if on_progress:
                    on_progress(seconds)
                if listener and (growing := decode.growing(Path(scratch))) is not None:
                    listener.listen(growing)

            decoded = decode.decode_tracks(
                self._place(recording.sha256),
                Path(scratch),
                split_channels=transcript.split_channels,
                tracks=transcript.tracks,
                language=transcript.language,
                hint=recording.format,
                on_progress=progress,
            )
            folder.mkdir(exist_ok=True)
            files = {channel: file.replace(folder / file.name) for channel, file in decoded.files.items()}
            names = {channel: file.name for channel, file in files.items()}
            facts = Path(scratch) / FACTS
            facts.write_text(json.dumps(asdict(decoded) | {"files": names}))
            facts.replace(folder / FACTS)
            return replace(decoded, files=files)

    def excerpt(self, recording: Recording, transcript: Transcript, channel: str, stretch: Span) -> Waveform:
        """Int16 sound of a stretch of a channel; no more is decoded where channels are not kept apart."""
        if transcript.split_channels or transcript.tracks:
            sound = self.of(recording, transcript)[channel]
            return sound[int(stretch.start_s * SAMPLE_RATE) : int(stretch.end_s * SAMPLE_RATE)]
        file = self.folder(transcript) / EXCERPT
        if not file.exists():
            with TemporaryDirectory(prefix=f"{transcript.id}-", dir=self._made()) as scratch:
                pcm = decode.clip(
                    self._place(recording.sha256),
                    Path(scratch),
                    stretch.start_s,
                    stretch.end_s,
                    "pcm",
                    hint=recording.format,
                    rate=SAMPLE_RATE,
                )
                file.parent.mkdir(exist_ok=True)
                pcm.replace(file)
        return decode.waveform(file)

    def _made(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def folder(self, transcript: Transcript) -> Path:
        """Where its channels are, and what stages keep to go on with; goes with them."""
        return self._folder / transcript.id

    def kept(self, older_than_s: float) -> list[str]:
        """Folders that nobody has touched for so long; their names begin with their transcript's id."""
        if not self._folder.is_dir():
            return []
        before = time.time() - older_than_s
        return [folder.name for folder in self._folder.iterdir() if folder.stat().st_mtime < before]

    def drop(self, transcript_id: str) -> None:
        """Nobody needs them any more."""
        shutil.rmtree(self._folder / transcript_id, ignore_errors=True)


def waveforms(decoded: Decoded) -> dict[str, Waveform]:
    """The sound of each channel, mapped and not read."""
    return {channel: decode.waveform(file) for channel, file in decoded.files.items()}


def duration_s(sounds: Mapping[str, Waveform]) -> float:
    """Of the longest channel, as it was decoded; headers lie."""
    return max(len(sound) for sound in sounds.values()) / SAMPLE_RATE


def policy(engine: Engine, *, subtitles: bool) -> vad.Policy:
    """Providers say their phrases themselves, whatever the pieces."""
    if isinstance(engine, RemoteEngine):
        return "orders"
    return "subtitles" if subtitles else "reading"


def speech(
    sounds: Mapping[str, Waveform], on_progress: OnProgress, listener: Listener
) -> dict[str, list[Span]]:
    """Where somebody speaks in each channel. `listener` may have listened to the only one already."""
    if len(sounds) == 1:
        return {channel: listener.finish(sound, on_progress) for channel, sound in sounds.items()}
    return {channel: vad.speech(sound, on_progress) for channel, sound in sounds.items()}


def pieces(sounds: Mapping[str, Waveform], spoken: Mapping[str, list[Span]]) -> dict[str, list[Span]]:
    """Speech cut for the identification of its language."""
    return {
        channel: list(vad.cut(spans, PIECE_S, policy="languages", sound=sounds[channel]))
        for channel, spans in spoken.items()
    }


def cuts(sound: Waveform, spoken: Sequence[Span], engine: Engine, *, subtitles: bool) -> list[Span]:
    """Where speech is to be cut, so that the engine takes the pieces."""
    cut_policy = policy(engine, subtitles=subtitles)
    return list(vad.cut(spoken, engine.max_segment_s, policy=cut_policy, sound=sound))


def within(spoken: Sequence[Span], stretch: Span) -> list[Span]:
    """What of the speech lies in a stretch."""
    clipped = (Span(max(each.start_s, stretch.start_s), min(each.end_s, stretch.end_s)) for each in spoken)
    return [span for span in clipped if span.duration_s > 0]


def cut(sounds: Mapping[str, Waveform], piece: Segment) -> Waveform:
    """The sound of one segment."""
    return sounds[piece.channel][int(piece.start_s * SAMPLE_RATE) : int(piece.end_s * SAMPLE_RATE)]
