"""How much work: sound or texts, in the units that are paid for and limited."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from core.billing.money import Note, amount, whole_number
from core.billing.prices import Assumption, Book

MAX_HOURS = Decimal(10_000_000)
MAX_DOCUMENTS = 1_000_000_000
MAX_TOKENS = Decimal(1_000_000)
HOUR_S = Decimal(3600)


@dataclass(frozen=True)
class Workload:
    """What is to be done: sound, or texts that are there already.

    Without `lengths_s` (length of a recording and how many have it) recordings of the assumed mean
    length stand in. `speech_s` is what the voice detector measured; without it all sound counts.
    """

    audio_s: Decimal = Decimal(0)
    lengths_s: tuple[tuple[Decimal, int], ...] = ()
    speech_s: Decimal | None = None
    documents: int = 0
    tokens_per_document: Decimal = Decimal(0)
    language: str = "ru"


@dataclass(frozen=True)
class Size:
    """The work in the units that are paid for and limited; `error` is the share tokens may be off by."""

    audio_s: Decimal
    lengths_s: tuple[tuple[Decimal, int], ...]
    recordings: int
    passages: int
    tokens: int
    error: Decimal


def work_of_hours(hours: object, language: str = "ru") -> Workload:
    """So many hours of sound. Raise BadRequest for what is no sensible number."""
    return Workload(audio_s=amount(hours, "Hours of sound", MAX_HOURS) * HOUR_S, language=language)


def work_of_files(durations_s: Iterable[object], language: str = "ru", speech_s: object = None) -> Workload:
    """These recordings, by their lengths in seconds; speech as measured, if it was."""
    longest_s = MAX_HOURS * HOUR_S
    checked = (amount(length, "A recording's length", longest_s, zero=True) for length in durations_s)
    lengths = Counter(length for length in checked if length)
    audio_s = amount(sum(lengths.elements()), "Seconds of sound", longest_s)
    speech = None if speech_s is None else amount(speech_s, "Seconds of speech", audio_s, zero=True)
    return Workload(audio_s, tuple(sorted(lengths.items())), speech, language=language)


def work_of_documents(documents: object, tokens_per_document: object, language: str = "ru") -> Workload:
    """So many texts of so many tokens each."""
    texts = whole_number(documents, "The number of documents", MAX_DOCUMENTS)
    tokens = amount(tokens_per_document, "Tokens a document", MAX_TOKENS)
    return Workload(documents=texts, tokens_per_document=tokens, language=language)


def measure(work: Workload, book: Book) -> Size:
    """Recordings, passages and tokens: words a minute × tokens a word × overlap, for sound."""
    if work.documents:
        tokens = _round(work.documents * work.tokens_per_document)
        return Size(Decimal(0), (), 0, work.documents, tokens, Decimal(0))
    lengths = work.lengths_s or _even(work.audio_s, book.assume("recording_s").value)
    recordings = sum(count for _, count in lengths)
    speech_s = work.audio_s if work.speech_s is None else work.speech_s
    passages = max(_up(speech_s / book.assume("passage_s").value), recordings if speech_s else 0)
    tokens = _round(speech_s / HOUR_S * tokens_per_hour(work.language, book))
    return Size(work.audio_s, lengths, recordings, passages, tokens, _error(work.language, book))


def tokens_per_hour(language: str, book: Book) -> Decimal:
    """Tokens sent for an hour of speech; 120 words a minute × 2.0 × 1.2 is 17,280 for Russian."""
    words = book.assume("words_per_minute", language).value * 60
    return words * book.assume("tokens_per_word", language).value * book.assume("passage_overlap").value


@dataclass(frozen=True)
class Counted:
    """Tokens of a text: the estimate, the range it may lie in, and how it was made."""

    tokens: int
    low: int
    high: int
    method: Note


def tokens_of_text(text: str, book: Book) -> Counted:
    """Tokens by characters, Cyrillic ones and others apart, as tokenizers treat them differently."""
    cyrillic = sum(1 for letter in text if "CYRILLIC" in unicodedata.name(letter, ""))
    shares = {"ru": cyrillic, "en": len(text) - cyrillic}
    rates = {language: book.assume("chars_per_token", language) for language in shares}
    tokens, low, high = (
        _up(sum((Decimal(shares[lang]) / rate for lang, rate in which.items()), Decimal(0)))
        for which in (
            {lang: rate.value for lang, rate in rates.items()},
            {lang: rate.high for lang, rate in rates.items()},
            {lang: rate.low for lang, rate in rates.items()},
        )
    )
    return Counted(tokens, low, high, _method(rates))


def _method(rates: dict[str, Assumption]) -> Note:
    message = "Characters ÷ characters a token: {ru} for Cyrillic, {en} for the rest."
    return Note(message, {language: rate.value for language, rate in rates.items()})


def _even(audio_s: Decimal, length_s: Decimal) -> tuple[tuple[Decimal, int], ...]:
    """Recordings of one length, and a shorter last one."""
    count, rest = divmod(audio_s, length_s)
    return tuple((length, int(many)) for length, many in ((length_s, count), (rest, 1)) if length and many)


def _error(language: str, book: Book) -> Decimal:
    """How far tokens may be off: the spreads of the three factors, as independent errors add up."""
    names = ("words_per_minute", "tokens_per_word")
    spreads = [*(book.assume(name, language).spread for name in names), book.assume("passage_overlap").spread]
    return sum((spread * spread for spread in spreads), Decimal(0)).sqrt()


def _up(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_CEILING))


def _round(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_HALF_UP))
