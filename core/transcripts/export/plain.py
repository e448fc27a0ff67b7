"""Transcripts as plain text, with and without times."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from core.speech.engine import Word
from core.transcripts.export.channels import MONO, channel_name, in_time
from core.transcripts.export.clauses import PAUSE_S, ends_sentence
from core.transcripts.segments import TranscribedSegment
from core.transcripts.warnings import WarningAnswer


def noted(warnings: Sequence[WarningAnswer]) -> str:
    """What is to be known about a text, in lines above it; nothing where there is nothing."""
    return "".join(f"[{warning.message}]\n" for warning in warnings) + ("\n" if warnings else "")


def text(segments: Sequence[TranscribedSegment], language: str = "en") -> str:
    """What was said, without times; in a call a line for each turn, led by its channel."""
    if all(segment.channel == MONO for segment in segments):
        return " ".join(segment.text for segment in segments)
    return "\n".join(_with_channel_name(channel, line, language) for channel, line in _turns(segments))


def timecodes(segments: Iterable[TranscribedSegment], language: str = "en") -> str:
    """One line a segment, by start: `[HH:MM:SS - HH:MM:SS] text`."""
    return "\n".join(
        f"[{clock(s.start_s)} - {clock(s.end_s)}] {_with_channel_name(s.channel, s.text, language)}"
        for s in in_time(segments)
    )


def clock(seconds: float) -> str:
    """`HH:MM:SS`, cut to whole seconds."""
    minutes, s = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{s:02}"


def _with_channel_name(channel: str, text: str, language: str) -> str:
    name = channel_name(channel, language)
    return f"{name}: {text}" if name else text


def _turns(segments: Iterable[TranscribedSegment]) -> Iterator[tuple[str, str]]:
    """Channel and text of each turn. Who speaks into another's sentence comes behind that sentence."""
    pieces = [piece for segment in segments for piece in _pieces(segment)]
    pieces.sort(key=lambda piece: piece[0])
    for channel, turn in itertools.groupby(pieces, key=lambda piece: piece[1]):
        yield channel, " ".join(text for _, _, text in turn)


def _pieces(segment: TranscribedSegment) -> Iterator[tuple[float, str, str]]:
    """Start, channel and text of the sentences of a segment; of all of it if its words do not make it up."""
    if " ".join(word.text for word in segment.words) != segment.text:
        yield segment.start_s, segment.channel, segment.text
        return
    sentence: list[Word] = []
    for word in segment.words:
        if sentence and (ends_sentence(sentence[-1].text) or word.start_s - sentence[-1].end_s > PAUSE_S):
            yield sentence[0].start_s, segment.channel, " ".join(w.text for w in sentence)
            sentence = []
        sentence.append(word)
    if sentence:
        yield sentence[0].start_s, segment.channel, " ".join(w.text for w in sentence)
