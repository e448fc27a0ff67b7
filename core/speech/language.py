"""Which language is spoken: of a recording as a whole, and stretch by stretch where it changes.

A model says how likely each language is in a window of some seconds. Windows are taken across the whole
recording, because a meeting may begin with music, and a guest may speak another language later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.vad import Span

WINDOW_S = 18.0
"""So much of a segment is listened to. Of 8 s of a far-field meeting the language head says German for
English; of 18 s it is as sure as of 30, in a third of the time (benchmarks/README.md)."""

EVERY_S = 60.0
MOST_AT_ONCE = 12
"""Of a long recording one segment a minute of speech is listened to, but never fewer than these; where
neighbours disagree, the segments between them as well."""

SWITCH = 0.1
"""Probability that the language changes from one segment to the next: a segment alone between others is of
another language if that is a hundred times as likely."""

ENOUGH_S = 5.0
"""What a shorter segment says about its language counts for less, in proportion."""

LEAST_S = 1.0
"""A segment shorter than this says nothing about its language, and takes its neighbours'."""

FLOOR = 1e-4
"""No language is impossible."""

AUTO = "auto"
"""In place of a language: it is to be identified."""

UNDETERMINED = "und"
"""The language of a recording in which nobody speaks (ISO 639-2)."""

HOUSE = ("ru", "en")
"""The languages of this tool, which lists name first."""

Probabilities = Mapping[str, float]


class LanguageModel(Protocol):
    """What can tell languages apart."""

    def language_probabilities(self, sounds: Sequence[Waveform]) -> list[dict[str, float]]:
        """How likely each language is in each sound; the values of one sound add up to 1."""


@dataclass(frozen=True)
class Language:
    """A language and how sure we are: ISO 639-1, and a probability."""

    code: str
    probability: float


@dataclass(frozen=True)
class Identified:
    """The language of a recording, and that of each of its segments, in their order."""

    main: Language
    segments: tuple[str, ...]


@dataclass(frozen=True)
class DetectedLanguages:
    """The language of a recording, and the stretches of one language in each of its channels."""

    main: Language
    stretches: Mapping[str, Sequence[tuple[Span, str]]]

    @property
    def languages(self) -> tuple[str, ...]:
        """All of them, the main one first."""
        others = {code for channel in self.stretches.values() for _, code in channel} - {self.main.code}
        return (self.main.code, *sorted(others))

    def known(self) -> dict[str, object]:
        """As transcripts keep it."""
        return {"languages": list(self.languages), "probability": self.main.probability}


def detect(
    model: LanguageModel, sounds: Mapping[str, Waveform], pieces: Mapping[str, Sequence[Span]]
) -> DetectedLanguages | None:
    """Languages of pieces of speech in channels; None where nobody speaks. The longer channel decides."""
    by_channel: dict[str, Identified] = {}
    spoken_s: dict[str, float] = {}
    for channel, spans in pieces.items():
        windows = [cut(sounds[channel], span) for span in spans]
        if (each := identify(model, windows)) is not None:
            by_channel[channel] = each
            seconds = sum(span.duration_s for span in spans)
            spoken_s[each.main.code] = spoken_s.get(each.main.code, 0.0) + seconds
    if not by_channel:
        return None
    code = max(spoken_s, key=lambda each: spoken_s[each])
    probabilities = [each.main.probability for each in by_channel.values() if each.main.code == code]
    main = Language(code, round(sum(probabilities) / len(probabilities), 4))
    return DetectedLanguages(
        main, {name: stretches(pieces[name], each.segments) for name, each in by_channel.items()}
    )


def sample(spans: Sequence[Span], most: int) -> list[Span]:
    """The longest of them, in order of time."""
    longest = sorted(spans, key=lambda span: -span.duration_s)[:most]
    return sorted(longest, key=lambda span: span.start_s)


def cut(sound: Waveform, span: Span) -> Waveform:
    """The sound of a stretch."""
    return sound[int(span.start_s * SAMPLE_RATE) : int(span.end_s * SAMPLE_RATE)]


def identify(
    model: LanguageModel, sounds: Sequence[Waveform], languages: Sequence[str] | None = None
) -> Identified | None:
    """The language of segments of one channel, in order of time; None where there are none.

    `languages` are the languages that may be answered, all of the model's if it is None.
    """
    if not sounds:
        return None
    seconds = [len(sound) / SAMPLE_RATE for sound in sounds]
    probabilities = _identify_some(model, sounds, seconds)
    scores = {n: _among(each, languages) for n, each in probabilities.items()}
    path = _path(scores, seconds)
    main = _main(scores, seconds)
    return Identified(main, tuple(path))


def stretches(spans: Sequence[Span], codes: Sequence[str]) -> list[tuple[Span, str]]:
    """Neighbouring segments of one language as one stretch."""
    found: list[tuple[Span, str]] = []
    for span, code in zip(spans, codes, strict=True):
        if found and found[-1][1] == code:
            found[-1] = (Span(found[-1][0].start_s, span.end_s), code)
        else:
            found.append((span, code))
    return found


def _identify_some(
    model: LanguageModel, sounds: Sequence[Waveform], seconds: Sequence[float]
) -> dict[int, Probabilities]:
    """Probabilities by segment: of some across the recording, and of all between those that disagree."""
    positions = _spread(seconds)
    probabilities = _ask(model, sounds, positions)
    ends = sorted(probabilities)
    between = [
        n
        for one, other in pairwise(ends)
        if _best(probabilities[one]) != _best(probabilities[other])
        for n in range(one + 1, other)
        if seconds[n] >= LEAST_S
    ]
    return probabilities | _ask(model, sounds, between)


def _spread(seconds: Sequence[float]) -> list[int]:
    """Segments to listen to: all of a short recording, else one a minute of speech, the longest of it."""
    long = [n for n, each in enumerate(seconds) if each >= LEAST_S]
    if not long:
        return [max(range(len(seconds)), key=lambda n: seconds[n])]
    if len(long) <= MOST_AT_ONCE:
        return long
    groups: dict[int, list[int]] = {}
    step_s = min(EVERY_S, sum(seconds) / MOST_AT_ONCE)
    done_s = 0.0
    for n, each in enumerate(seconds):
        if each >= LEAST_S:
            groups.setdefault(int(done_s // step_s), []).append(n)
        done_s += each
    return [max(group, key=lambda n: seconds[n]) for group in groups.values()]


def _ask(
    model: LanguageModel, sounds: Sequence[Waveform], positions: Sequence[int]
) -> dict[int, Probabilities]:
    probabilities: dict[int, Probabilities] = {}
    for n in range(0, len(positions), 4):
        some = positions[n : n + 4]
        windows = [sounds[index][: round(WINDOW_S * SAMPLE_RATE)] for index in some]
        probabilities |= zip(some, model.language_probabilities(windows), strict=True)
    return probabilities


def _among(probabilities: Probabilities, languages: Sequence[str] | None) -> Probabilities:
    if languages is None:
        return probabilities
    selected = {code: probabilities.get(code, 0.0) for code in languages}
    whole = sum(selected.values()) or 1.0
    return {code: value / whole for code, value in selected.items()}


def _best(probabilities: Probabilities) -> str:
    return max(probabilities, key=lambda code: probabilities[code])


def _main(scores: Mapping[int, Probabilities], seconds: Sequence[float]) -> Language:
    """The language with the most of the speech, and its mean probability where it leads."""
    lead: dict[str, float] = {}
    for n, each in scores.items():
        for code, value in each.items():
            lead[code] = lead.get(code, 0.0) + value * seconds[n]
    code = _best(lead)
    positions = [n for n, each in scores.items() if _best(each) == code] or list(scores)
    weight = sum(seconds[n] for n in positions)
    return Language(code, round(sum(scores[n].get(code, 0.0) * seconds[n] for n in positions) / weight, 4))


def _path(scores: Mapping[int, Probabilities], seconds: Sequence[float]) -> list[str]:
    """The most probable sequence of languages (Viterbi): it changes only where enough speaks for it."""
    codes = sorted({_best(each) for each in scores.values()})
    change, stay = math.log(SWITCH), math.log(1 - SWITCH)
    best, back = dict.fromkeys(codes, 0.0), []
    for n in range(len(seconds)):
        leader = max(codes, key=lambda code: best[code])
        came = {code: code if best[code] + stay >= best[leader] + change else leader for code in codes}
        best = {
            code: best[came[code]]
            + (stay if came[code] == code else change)
            + _weight(scores.get(n), code) * min(1.0, seconds[n] / ENOUGH_S)
            for code in codes
        }
        back.append(came)
    path = [max(codes, key=lambda code: best[code])]
    for came in reversed(back[1:]):
        path.append(came[path[-1]])
    return path[::-1]


def _weight(probabilities: Probabilities | None, code: str) -> float:
    """What a segment says for a language; nothing if it was not listened to."""
    return math.log(max(FLOOR, probabilities.get(code, 0.0))) if probabilities else 0.0
