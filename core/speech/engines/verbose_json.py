"""What Whisper says, as ours: `verbose_json` of OpenAI-compatible services and of faster-whisper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import OutcomeUnknown, Provider
from core.speech.engine import Phrase, Speech, Word
from core.speech.written import as_written


def read(payload: Mapping[str, Any], provider: Provider) -> Speech:
    """A reply as speech. OutcomeUnknown if it is none: an odd answer must never become silence."""
    try:
        return _read(payload)
    except (KeyError, TypeError, ValueError) as error:
        raise OutcomeUnknown(provider, "an answer that makes no sense") from error


def _read(payload: Mapping[str, Any]) -> Speech:
    """Phrases from the segments, which are punctuated; words by time into the phrase they belong to."""
    words = [_word(each) for each in payload.get("words") or payload.get("word_timestamps") or ()]
    if payload.get("segments") is None:
        return _whole(str(payload["text"]).strip(), words)
    phrases, rest = [], words
    segments = [each for each in payload["segments"] if str(each["text"]).strip()]
    for n, each in enumerate(segments):
        end_s = float(segments[n + 1]["start"]) if n + 1 < len(segments) else float("inf")
        words_of_segment = [word for word in rest if (word.start_s + word.end_s) / 2 < end_s]
        rest = rest[len(words_of_segment) :]
        phrases.append(_phrase(each, words_of_segment or [_word(word) for word in each.get("words") or ()]))
    return speech(phrases)


def speech(phrases: Sequence[Phrase]) -> Speech:
    """Phrases, and the text and words that they make up."""
    text = " ".join(phrase.text for phrase in phrases)
    return Speech(text, tuple(word for phrase in phrases for word in phrase.words), tuple(phrases))


def _whole(text: str, words: Sequence[Word]) -> Speech:
    return Speech(text, as_written(text, words))


def _phrase(segment: Mapping[str, Any], words: Sequence[Word]) -> Phrase:
    text = str(segment["text"]).strip()
    start_s, end_s = float(segment["start"]), float(segment["end"])
    return Phrase(
        text,
        start_s,
        max(start_s, end_s),
        as_written(text, words),
        _number(segment.get("avg_logprob")),
        _number(segment.get("no_speech_prob")),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _word(payload: Mapping[str, Any]) -> Word:
    start_s, end_s = float(payload["start"]), float(payload["end"])
    probability = payload.get("probability")
    return Word(
        str(payload["word"]).strip(),
        start_s,
        max(start_s, end_s),
        None if probability is None else float(probability),
    )
