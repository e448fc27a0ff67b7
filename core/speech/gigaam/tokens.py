"""Tokens → words with times. The characters `▁` (pieces) and space (letters) begin a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from core.speech.engine import Speech, Word

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

FRAME_S = 0.04
"""Seconds an encoded frame lasts: 10 ms hop, subsampled by 4."""

LONGEST_WIDENING_S = 0.3
"""How far a word of one token may reach towards the next word, so that a subtitle can show it."""


@dataclass(frozen=True)
class Emission:
    """What greedy decoding found: token ids, the frames they stand in, and their probabilities."""

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    probabilities: tuple[float, ...]


class Tokenizer(Protocol):
    """Token ids → text."""

    def piece(self, token: int) -> str:
        """The token's own text; a leading `▁` or a lone space begins a word."""

    def __len__(self) -> int:
        """How many tokens there are, blank aside."""


class Letters:
    """One token, one character of the checkpoint's vocabulary."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._vocabulary = tuple(vocabulary)

    def piece(self, token: int) -> str:
        """The character itself; a space as `▁`."""
        return self._vocabulary[token].replace(" ", "▁")

    def __len__(self) -> int:
        """How many characters."""
        return len(self._vocabulary)


class Pieces:
    """Pieces of a sentencepiece model. One that stands for a byte is kept as Python's escape of it."""

    def __init__(self, path: str) -> None:
        from sentencepiece import SentencePieceProcessor  # noqa: PLC0415 - only end-to-end models need it

        model = SentencePieceProcessor(model_file=path)
        tokens = range(model.GetPieceSize())
        self._pieces = [_piece(model, token) for token in tokens]

    def piece(self, token: int) -> str:
        """The piece; a token outside the training's alphabet is written as ⁇."""
        return self._pieces[token]

    def __len__(self) -> int:
        """How many pieces."""
        return len(self._pieces)


def _piece(model: SentencePieceProcessor, token: int) -> str:
    piece = str(model.IdToPiece(token))
    if model.IsByte(token):  # <0xD0>: letters outside the pieces come as the bytes of their UTF-8
        return bytes([int(piece[3:5], 16)]).decode(errors="surrogateescape").replace(" ", "▁")
    return "⁇" if model.IsUnknown(token) else piece


def speech(emission: Emission, tokenizer: Tokenizer) -> Speech:
    """Words with times and confidences, and the text that they make."""
    words = _widened(_apart([_word(group) for group in _groups(emission, tokenizer)]))
    return Speech(text=" ".join(word.text for word in words), words=tuple(words))


_Group = list[tuple[str, int, float]]


def _groups(emission: Emission, tokenizer: Tokenizer) -> list[_Group]:
    """Tokens that make one word: (text, frame, probability) each."""
    groups: list[_Group] = [[]]
    for token, frame, probability in zip(
        emission.tokens, emission.frames, emission.probabilities, strict=True
    ):
        piece = tokenizer.piece(token)
        if piece.startswith("▁"):
            groups.append([])
        if text := piece.removeprefix("▁"):
            groups[-1].append((text, frame, probability))
    return [group for group in groups if group]


def _word(group: _Group) -> Word:
    """Start of the first token's frame to the end of the last one's; confidence is the tokens' mean."""
    text = "".join(text for text, _, _ in group)
    return Word(
        text=text.encode(errors="surrogateescape").decode(errors="replace"),
        start_s=round(group[0][1] * FRAME_S, 3),
        end_s=round((group[-1][1] + 1) * FRAME_S, 3),
        confidence=round(sum(probability for _, _, probability in group) / len(group), 4),
    )


def _apart(words: list[Word]) -> list[Word]:
    """Words that begin in one frame share it evenly, and each ends before the next begins."""
    begun = [list(group) for _, group in groupby(words, key=lambda word: word.start_s)]
    starts = [
        round(word.start_s + n * FRAME_S / len(group), 3) for group in begun for n, word in enumerate(group)
    ]
    followed = zip(words, starts, [*starts[1:], float("inf")], strict=False)
    return [
        Word(word.text, start_s, min(word.end_s, next_s), word.confidence)
        for word, start_s, next_s in followed
    ]


def _widened(words: list[Word]) -> list[Word]:
    """Words that last one frame reach to the next word, at most 0.3 s; no two words overlap."""
    starts = [*(word.start_s for word in words[1:]), float("inf")]
    return [_wide(word, following) for word, following in zip(words, starts, strict=False)]


def _wide(word: Word, following_s: float) -> Word:
    if word.end_s - word.start_s > FRAME_S * 1.5:
        return word
    end_s = max(word.end_s, min(following_s, word.start_s + LONGEST_WIDENING_S))
    return Word(word.text, word.start_s, round(end_s, 3), word.confidence)
