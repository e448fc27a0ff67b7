"""The straightforward way, as a measure: one segment at a time, float32, the textbook greedy loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.media.waveform import Waveform
from core.speech.engine import Speech
from core.speech.gigaam import greedy
from core.speech.gigaam.checkpoint import Model
from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.tokens import speech
from core.speech.gigaam.transducer import MAX_SYMBOLS

Found = tuple[list[int], list[int]]
"""Tokens, and the frames they stand in."""


@torch.inference_mode()
def transducer(head: Transducer, encoded: Tensor, frames: int) -> Found:
    """Frame by frame: while a token comes out (ten at most), feed it back. Encoded [time, width]."""
    tokens: list[int] = []
    places: list[int] = []
    last, state = encoded.new_zeros(1, 1, head.embed.embedding_dim), None
    for frame in range(frames):
        projected = head.enc(encoded[frame])
        for _ in range(MAX_SYMBOLS):
            predicted, following = head.lstm(last, state)
            token = int(head.joint(torch.relu(projected + head.pred(predicted[0, 0]))).argmax())
            if token == head.blank:
                break
            tokens.append(token)
            places.append(frame)
            last, state = head.embed.weight[token].view(1, 1, -1), following
    return tokens, places


@torch.inference_mode()
def transcribe(model: Model, segments: Sequence[Waveform]) -> list[Speech]:
    """One segment after another."""
    return [speech(emission(model, segment), model.tokenizer) for segment in segments]


def emission(model: Model, segment: Waveform) -> greedy.Emission:
    """Features, encoder, then a search that knows no batch."""
    wave = torch.from_numpy(segment).to(model.features.mel.device).float()[None] / 32768
    around = model.features.padding()
    padded = torch.nn.functional.pad(wave[None], (around, around), mode="reflect")[0] if around else wave
    encoded = model.encoder(model.features(padded), None)
    if isinstance(model.head, Transducer):
        tokens, frames = transducer(model.head, encoded[0], encoded.size(1))
        return greedy.Emission(tuple(tokens), tuple(frames), (1.0,) * len(tokens))
    return greedy.ctc(model.head(encoded), torch.tensor([encoded.size(1)], device=encoded.device))[0]
