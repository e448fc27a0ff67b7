"""What Whisper says, as ours: `verbose_json` of OpenAI-compatible services and of faster-whisper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import OutcomeUnknown, Provider
from core.speech.engine import Phrase, Speech, Word

LANGUAGES: tuple[str, ...] = (
    "ru",
    "en",
    "uk",
    "be",
    "kk",
    "uz",
    "hy",
    "az",
    "ka",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "pl",
    "nl",
    "tr",
)
"""ISO 639-1 codes; Whisper knows eighty more."""


def read(told: Mapping[str, Any], provider: Provider) -> Speech:
    """A reply as speech. OutcomeUnknown if it is none: an odd answer must never become silence."""
    try:
        return _read(told)
    except (KeyError, TypeError, ValueError) as error:
        raise OutcomeUnknown(provider, "an answer that makes no sense") from error


def _read(told: Mapping[str, Any]) -> Speech:
    """Phrases from the segments, which are punctuated; words by time into the phrase they belong to."""
    words = [_word(each) for each in told.get("words") or told.get("word_timestamps") or ()]
    if told.get("segments") is None:
        return _whole(str(told["text"]).strip(), words)
    phrases, rest = [], words
    segments = [each for each in told["segments"] if str(each["text"]).strip()]
    for n, each in enumerate(segments):
        end_s = float(segments[n + 1]["start"]) if n + 1 < len(segments) else float("inf")
        mine = [word for word in rest if (word.start_s + word.end_s) / 2 < end_s]
        rest = rest[len(mine) :]
        phrases.append(_phrase(each, mine or [_word(word) for word in each.get("words") or ()]))
    return speech(phrases)


def speech(phrases: Sequence[Phrase]) -> Speech:
    """Phrases, and the text and words that they make up."""
    text = " ".join(phrase.text for phrase in phrases)
    return Speech(text, tuple(word for phrase in phrases for word in phrase.words), tuple(phrases))


def _whole(text: str, words: Sequence[Word]) -> Speech:
    return Speech(text, _punctuated(text, words))


def _phrase(segment: Mapping[str, Any], words: Sequence[Word]) -> Phrase:
    text = str(segment["text"]).strip()
    start_s, end_s = float(segment["start"]), float(segment["end"])
    return Phrase(text, start_s, max(start_s, end_s), _punctuated(text, words))


def _punctuated(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Words come bare; where they are as many as in the text, they are written as there."""
    written = text.split()
    if len(written) != len(words):
        return tuple(words)
    return tuple(
        Word(shown, word.start_s, word.end_s, word.confidence)
        for shown, word in zip(written, words, strict=True)
    )


def _word(told: Mapping[str, Any]) -> Word:
    start_s, end_s = float(told["start"]), float(told["end"])
    probability = told.get("probability")
    return Word(
        str(told["word"]).strip(),
        start_s,
        max(start_s, end_s),
        None if probability is None else float(probability),
    )
