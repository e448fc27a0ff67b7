"""Whisper itself: windows of sound to words. The only home of faster_whisper and CTranslate2.

A segment is given to the model as a window of 30 s, filled up with nothing. What a window says does not
depend on the windows beside it: they are searched in one batch, and each that has to be searched again
is searched alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations
from numpy.typing import NDArray

from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.engine import Phrase, Speech, Word, compression
from core.speech.written import as_written

Task = Literal["transcribe", "translate"]
"""What was said, in its language; or in English."""

WINDOW_S = 30.0
"""What the model was trained on, and takes at once."""

SHORT_WINDOWS_S = (10.0, 15.0, 20.0)
MARGIN_S = 2.0
"""A segment that leaves so much of a shorter window empty is given in that: the encoder then costs a third,
and the words of `base` are as good (benchmarks/README.md)."""

FRAMES_S = 100
"""Frames of the log-mel a second."""

BEAMS = 5
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried one after another where the search without chance gave nothing good; the best of five drawn."""

COMPRESSION_MOST = 2.4
"""Text that shrinks by more under zlib repeats itself. This and the next two are OpenAI's own values."""
LOG_PROBABILITY_LEAST = -1.0
"""Mean logarithm of the probability of a token; below it the model is guessing."""
NO_SPEECH_MOST = 0.6
"""Probability of "no speech" from which a guess is not believed."""

INVENTED_LETTERS = 60
"""Where the model says "no speech", it invents credits and thanks, up to so many letters, or a loop; of real
speech in noise it says so too, but then there is more text (benchmarks/README.md has the measurement)."""

HINT_TOKENS = 223
"""What the model was trained to take before a window."""

LEAST_REST_S = 0.5
"""What is left of a window behind its last whole phrase is searched again if it is longer."""

LINE_S = 7.0
"""Phrases that follow each other are joined up to here: the longest that fits a screen."""
LINE_PAUSE_S = 0.6

LOOP_WORDS = 8
"""The longest phrase whose repetition is looked for."""
LOOP_TIMES = 4
"""So many times in a row is a loop, where the text also shrinks as one."""


@dataclass(frozen=True)
class DecodingOptions:
    """How to search: in which language, for what, how much chance, and which words may be said."""

    language: str
    task: Task = "transcribe"
    temperature: float = 0.0
    hints: str = ""


def _prompt(tokenizer: Tokenizer, hints: str) -> list[int]:
    """Tokens before those that are searched; hints stand where the text before the window would."""
    hint_tokens = tokenizer.encode(f" {hints}")[:HINT_TOKENS] if hints else []
    return [*([tokenizer.sot_prev, *hint_tokens] if hint_tokens else []), *tokenizer.sot_sequence]


@dataclass(frozen=True)
class _Window:
    """A part of a segment, at most 30 s: int16, and where it begins in the segment."""

    segment: int
    sound: Waveform
    start_s: float = 0.0

    @property
    def duration_s(self) -> float:
        return len(self.sound) / SAMPLE_RATE


@dataclass(frozen=True)
class _Found:
    """What was found in a window: tokens with times, and how sure the model is."""

    tokens: tuple[int, ...]
    log_probability: float
    no_speech: float
    compression: float
    letters: int

    @property
    def silent(self) -> bool:
        """Whether its text is not believed."""
        return self.no_speech > NO_SPEECH_MOST and (
            self.log_probability < LOG_PROBABILITY_LEAST
            or self.compression > COMPRESSION_MOST
            or self.letters <= INVENTED_LETTERS
        )

    @property
    def doubtful(self) -> bool:
        """Whether to search again."""
        if self.silent:
            return False
        return self.compression > COMPRESSION_MOST or self.log_probability < LOG_PROBABILITY_LEAST


@dataclass(frozen=True)
class _Line:
    """Tokens between two times, in seconds from the start of the window."""

    tokens: tuple[int, ...]
    start_s: float
    end_s: float


class Decoder:
    """One loaded model. Any number of threads may use it; the device does one batch at a time."""

    def __init__(
        self, folder: Path, device: str, numbers: str, threads: int, *, short_windows: bool = False
    ) -> None:
        self._windows_s = (*(SHORT_WINDOWS_S if short_windows else ()), WINDOW_S)
        self._whisper = WhisperModel(
            str(folder), device=device, compute_type=numbers, cpu_threads=threads, local_files_only=True
        )
        self._model = self._whisper.model
        self.languages: tuple[str, ...] = tuple(self._whisper.supported_languages)

    def language_probabilities(self, sounds: Sequence[Waveform]) -> list[dict[str, float]]:
        """How likely each language is in each sound, of which the first 30 s are looked at."""
        if not self._model.is_multilingual:
            return [{"en": 1.0} for _ in sounds]
        probabilities: dict[int, dict[str, float]] = {}
        for group in self._alike(sounds):
            answers = self._model.detect_language(self._encode([sounds[n] for n in group]))
            for n, answer in zip(group, answers, strict=True):
                probabilities[n] = {token[2:-2]: float(p) for token, p in answer}
        return [probabilities[n] for n in range(len(sounds))]

    def transcribe(self, segments: Sequence[Waveform], options: DecodingOptions) -> list[Speech]:
        """Words of each segment, in order; a segment longer than a window is taken window by window."""
        tokenizer = self._tokenizer(options)
        phrases: list[list[Phrase]] = [[] for _ in segments]
        waiting = [_Window(n, segment) for n, segment in enumerate(segments) if segment.any()]
        while waiting:
            windows = [_first(window) for window in waiting]
            rests: list[_Window] = []
            for group in self._alike([window.sound for window in windows]):
                results = self._transcribe_window([windows[n] for n in group], tokenizer, options)
                for n, (phrases_of_window, searched_s) in zip(group, results, strict=True):
                    phrases[windows[n].segment] += phrases_of_window
                    rests += _rest(waiting[n], searched_s)
            waiting = rests
        return [speech(_joined(each)) for each in phrases]

    def _alike(self, sounds: Sequence[Waveform]) -> Iterator[list[int]]:
        """Indices of sounds that are given in windows of the same length."""
        lengths = [self._window_s(sound) for sound in sounds]
        for length in sorted(set(lengths)):
            yield [n for n, each in enumerate(lengths) if each == length]

    def _window_s(self, sound: Waveform) -> float:
        needed_s = len(sound) / SAMPLE_RATE + MARGIN_S
        return next((each for each in self._windows_s if each >= needed_s), WINDOW_S)

    def _transcribe_window(
        self, windows: Sequence[_Window], tokenizer: Tokenizer, options: DecodingOptions
    ) -> list[tuple[list[Phrase], float]]:
        """Phrases of each window of one length, and how far it was searched, in seconds."""
        encoded = self._encode([window.sound for window in windows])
        results = [
            self._again(window, each, tokenizer, options) if each.doubtful else each
            for window, each in zip(
                windows, self._generate(encoded, len(windows), tokenizer, options), strict=True
            )
        ]
        lines = [_lines(each, window, tokenizer) for each, window in zip(results, windows, strict=True)]
        aligned = self._aligned(windows, lines, encoded, tokenizer)
        return [
            (_plausible(phrases, each), _searched_s(each, window, tokenizer))
            for phrases, each, window in zip(aligned, results, windows, strict=True)
        ]

    def _tokenizer(self, options: DecodingOptions) -> Tokenizer:
        return Tokenizer(
            self._whisper.hf_tokenizer,
            self._model.is_multilingual,
            task=options.task,
            language=options.language if self._model.is_multilingual else "en",
        )

    def _features(self, sound: Waveform) -> NDArray[np.float32]:
        """Log-mel, float32 [mel, frames of 10 ms]; what is missing of the window is filled up with zeros."""
        features = self._whisper.feature_extractor(sound.astype(np.float32) / np.float32(32768))
        return np.asarray(pad_or_trim(features, round(self._window_s(sound) * FRAMES_S)), dtype=np.float32)

    def _encode(self, sounds: Sequence[Waveform]) -> Any:
        """The encoder's output on the device, [batch, frames of 20 ms, width]; windows are alike."""
        return self._whisper.encode(np.stack([self._features(sound) for sound in sounds]))

    def _again(
        self, window: _Window, first: _Found, tokenizer: Tokenizer, options: DecodingOptions
    ) -> _Found:
        """The first attempt that is not doubtful, else the most probable that does not repeat itself."""
        encoded = self._encode([window.sound])
        attempts = [first]
        for temperature in TEMPERATURES:
            if temperature <= options.temperature:
                continue
            attempts += self._generate(encoded, 1, tokenizer, replace(options, temperature=temperature))
            if not attempts[-1].doubtful:
                return attempts[-1]
        varied = [each for each in attempts if each.compression <= COMPRESSION_MOST]
        return max(varied or attempts, key=lambda each: each.log_probability)

    def _generate(
        self, encoded: Any, count: int, tokenizer: Tokenizer, options: DecodingOptions
    ) -> list[_Found]:
        """Tokens of each window of a batch: by beams, or where there is a temperature by chance."""
        chance = {
            "beam_size": 1,
            "num_hypotheses": 5,
            "sampling_topk": 0,
            "sampling_temperature": options.temperature,
        }
        ctranslate2.set_random_seed(1)
        results = self._model.generate(
            encoded,
            [_prompt(tokenizer, options.hints)] * count,
            max_length=self._whisper.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            **(chance if options.temperature else {"beam_size": BEAMS}),
        )
        return [_found(result, tokenizer) for result in results]

    def _aligned(
        self,
        windows: Sequence[_Window],
        lines: Sequence[Sequence[_Line]],
        encoded: Any,
        tokenizer: Tokenizer,
    ) -> list[list[Phrase]]:
        """Phrases with their words, in seconds from the segment's start."""
        spoken = [n for n, each in enumerate(lines) if each]
        if not spoken:
            return [[] for _ in lines]
        if len(spoken) < len(windows):
            encoded = self._encode([windows[n].sound for n in spoken])
        alignments = self._whisper.find_alignment(
            tokenizer,
            [[token for line in lines[n] for token in line.tokens] for n in spoken],
            encoded,
            [max(1, round(windows[n].duration_s * FRAMES_S)) for n in spoken],
        )
        placed = dict(zip(spoken, alignments, strict=True))
        return [
            _phrases(each, placed[n], windows[n], tokenizer) if each else [] for n, each in enumerate(lines)
        ]


def _first(window: _Window) -> _Window:
    """The part that the model takes at once."""
    return replace(window, sound=window.sound[: round(WINDOW_S * SAMPLE_RATE)])


def _rest(window: _Window, searched_s: float) -> Iterator[_Window]:
    """What is behind the part that was searched, if it is worth it."""
    rest = window.sound[round(searched_s * SAMPLE_RATE) :]
    if len(rest) > LEAST_REST_S * SAMPLE_RATE:
        yield replace(window, sound=rest, start_s=window.start_s + searched_s)


def _found(result: Any, tokenizer: Tokenizer) -> _Found:
    tokens = tuple(result.sequences_ids[0])
    # The score is the mean over the tokens; the end counts too in OpenAI's measure.
    log_probability = result.scores[0] * len(tokens) / (len(tokens) + 1)
    text = tokenizer.decode(tokens).strip()
    return _Found(tokens, log_probability, result.no_speech_prob, compression(text), len(text))


def _cuts(tokens: Sequence[int], begin: int) -> list[int]:
    """Where two times follow each other: the end of a phrase and the beginning of the next."""
    return [n for n in range(1, len(tokens)) if tokens[n] >= begin and tokens[n - 1] >= begin]


def _whole(tokens: Sequence[int], begin: int) -> bool:
    """Whether the last phrase ends with its time, behind which nothing was said."""
    return len(tokens) >= 2 and tokens[-1] >= begin > tokens[-2]


def _searched_s(result: _Found, window: _Window, tokenizer: Tokenizer) -> float:
    """How far the window was searched: to the last whole phrase where another one begins behind it."""
    tokens, begin = result.tokens, tokenizer.timestamp_begin
    cuts = _cuts(tokens, begin)
    if not cuts or _whole(tokens, begin) or result.silent:
        return window.duration_s
    end_s = (tokens[cuts[-1] - 1] - begin) * 0.02
    return min(end_s, window.duration_s) if end_s > LEAST_REST_S else window.duration_s


def _lines(result: _Found, window: _Window, tokenizer: Tokenizer) -> list[_Line]:
    """Tokens phrase by phrase; what stands behind the last whole one is left to the next search."""
    if result.silent:
        return []
    tokens, begin = result.tokens, tokenizer.timestamp_begin
    cuts = _cuts(tokens, begin)
    if cuts and (_whole(tokens, begin) or _searched_s(result, window, tokenizer) == window.duration_s):
        cuts.append(len(tokens))
    parts = [tokens[a:b] for a, b in itertools.pairwise([0, *cuts])] if cuts else [tokens]
    return [line for part in parts if (line := _line(part, window, tokenizer)) is not None]


def _line(tokens: Sequence[int], window: _Window, tokenizer: Tokenizer) -> _Line | None:
    """A phrase with its times; None where nothing is said in it."""
    times = [
        (token - tokenizer.timestamp_begin) * 0.02 for token in tokens if token >= tokenizer.timestamp_begin
    ]
    text = tuple(token for token in tokens if token < tokenizer.eot)
    if not tokenizer.decode(list(text)).strip():
        return None
    start_s = times[0] if times else 0.0
    end_s = times[-1] if len(times) > 1 else window.duration_s
    return _Line(text, min(start_s, window.duration_s), min(max(start_s, end_s), window.duration_s))


def _phrases(
    lines: Sequence[_Line], alignment: list[dict[str, Any]], window: _Window, tokenizer: Tokenizer
) -> list[Phrase]:
    """The words of an alignment, given to the lines that their tokens come from."""
    merge_punctuations(alignment, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
    words, phrases = iter(alignment), []
    for line in lines:
        token_count, segment_words = 0, []
        while token_count < len(line.tokens) and (word := next(words, None)) is not None:
            token_count += len(word["tokens"])
            if word["word"].strip():
                segment_words.append(_word(word, window))
        text = tokenizer.decode(list(line.tokens)).strip()
        start_s = segment_words[0].start_s if segment_words else window.start_s + line.start_s
        end_s = segment_words[-1].end_s if segment_words else window.start_s + line.end_s
        phrases.append(Phrase(text, start_s, max(start_s, end_s), as_written(text, segment_words)))
    return phrases


def _word(word: dict[str, Any], window: _Window) -> Word:
    start_s = min(float(word["start"]), window.duration_s)
    end_s = min(max(start_s, float(word["end"])), window.duration_s)
    return Word(
        str(word["word"]).strip(),
        round(window.start_s + start_s, 2),
        round(window.start_s + end_s, 2),
        round(float(word["probability"]), 3),
    )


def _plausible(phrases: Sequence[Phrase], result: _Found) -> list[Phrase]:
    """Phrases as they are, each as sure as its window; of a text that repeats itself, a loop once."""
    if result.compression > COMPRESSION_MOST:
        believed = without_loops([word for phrase in phrases for word in phrase.words])
        text = " ".join(word.text for word in believed)
        phrases = [Phrase(text, believed[0].start_s, believed[-1].end_s, tuple(believed))] if believed else []
    log_probability, no_speech = round(result.log_probability, 4), round(result.no_speech, 4)
    return [replace(phrase, log_probability=log_probability, no_speech=no_speech) for phrase in phrases]


def without_loops(words: Sequence[Word]) -> list[Word]:
    """Words without what is said again and again, up to eight words at a time: it stays once."""
    result: list[Word] = []
    n = 0
    while n < len(words):
        size, times = _loop(words, n)
        result += words[n : n + size]
        n += size * times
    return result


def _loop(words: Sequence[Word], n: int) -> tuple[int, int]:
    """How many words from the n-th on repeat, and how many times; (1, 1) where they do not."""
    texts = [word.text.casefold().strip(".,!?…") for word in words]
    for size in range(1, LOOP_WORDS + 1):
        times = 1
        while texts[n : n + size] == texts[n + size * times : n + size * (times + 1)]:
            times += 1
        if times >= LOOP_TIMES:
            return size, times
    return 1, 1


def _joined(phrases: Sequence[Phrase]) -> list[Phrase]:
    """Phrases that follow each other, together while they fit a screen."""
    joined: list[Phrase] = []
    for phrase in phrases:
        last = joined[-1] if joined else None
        if last and phrase.end_s - last.start_s <= LINE_S and phrase.start_s - last.end_s <= LINE_PAUSE_S:
            text, words = f"{last.text} {phrase.text}", last.words + phrase.words
            joined[-1] = replace(last, text=text, end_s=phrase.end_s, words=words)
        else:
            joined.append(phrase)
    return joined


def speech(phrases: Sequence[Phrase]) -> Speech:
    """Phrases, and the text and words that they make up."""
    text = " ".join(phrase.text for phrase in phrases)
    return Speech(text, tuple(word for phrase in phrases for word in phrase.words), tuple(phrases))
