"""Scores → tokens: the best path, with the frame and the probability of every token."""

from __future__ import annotations

import torch
from torch import Tensor

from core.speech.gigaam.tokens import Emission


def ctc(logits: Tensor, ends: Tensor) -> list[Emission]:
    """Best path through logits [batch, time, classes], repeats and blanks dropped.

    `ends` [batch] counts each sample's frames. Probabilities are taken only where a token stands,
    so there is no softmax over all frames; the answer crosses to the CPU once.
    """
    labels = logits.argmax(dim=-1)
    is_token = labels != logits.size(-1) - 1
    is_token[:, 1:] &= labels[:, 1:] != labels[:, :-1]
    is_token &= torch.arange(labels.size(1), device=labels.device) < ends[:, None]
    sample, frame = is_token.nonzero(as_tuple=True)
    token = labels[sample, frame]
    scores = logits[sample, frame].float()
    probability = scores.softmax(-1).gather(1, token[:, None])[:, 0]
    return split(sample, token, frame, probability, batch=logits.size(0))


def split(sample: Tensor, token: Tensor, frame: Tensor, probability: Tensor, batch: int) -> list[Emission]:
    """Flat answers, in order of samples → one emission a sample."""
    counts = torch.bincount(sample, minlength=batch).tolist()
    tokens, frames, probabilities = (
        [tuple(part.tolist()) for part in torch.split(column.cpu(), counts)]
        for column in (token, frame, probability)
    )
    return [Emission(*one) for one in zip(tokens, frames, probabilities, strict=True)]
