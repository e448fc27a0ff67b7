"""The transducer's batched search gives, token by token and frame by frame, what the textbook loop gives."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import textbook
from core.speech.gigaam.config import TransducerConfig
from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.transducer import MAX_SYMBOLS, Search

WIDTH = 24


def head(seed, blank_bias, classes=12):
    """A random head whose answers change from frame to frame."""
    torch.manual_seed(seed)
    transducer = Transducer(WIDTH, classes, TransducerConfig(pred_hidden=16, joint_hidden=20)).eval()
    transducer.requires_grad_(False)
    for name, weight in transducer.named_parameters():
        if "bias" not in name:
            weight.mul_(3)
    transducer.embed.weight[transducer.blank] = 0
    transducer.joint.bias[transducer.blank] += blank_bias
    transducer.tabulate()
    return transducer


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    blank_bias=st.sampled_from([-100.0, 0.0, 1.0, 2.0, 4.0, 100.0]),
    ends=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    window=st.integers(1, 9),
    asking=st.booleans(),
)
def test_tokens_and_frames_are_those_of_the_textbook_loop(seed, blank_bias, ends, window, asking):
    transducer = head(seed, blank_bias)
    encoded = torch.randn(len(ends), max(ends), WIDTH)

    search = Search(transducer, window, asking=asking)
    search(encoded.flip(0), torch.tensor(ends[::-1]))  # what is kept of one batch must not reach the next
    result = search(encoded, torch.tensor(ends))

    for sample, end, emission in zip(encoded, ends, result, strict=True):
        tokens, frames = textbook.transducer(transducer, sample, end)
        assert (list(emission.tokens), list(emission.frames)) == (tokens, frames)


def test_a_head_that_never_says_blank_gives_ten_tokens_a_frame():
    (emission,) = Search(head(0, -100.0))(torch.randn(1, 7, WIDTH), torch.tensor([7]))

    assert len(emission.tokens) == 7 * MAX_SYMBOLS
    assert emission.frames == tuple(frame for frame in range(7) for _ in range(MAX_SYMBOLS))


def test_a_head_that_only_says_blank_gives_nothing():
    (emission,) = Search(head(0, 100.0))(torch.randn(1, 7, WIDTH), torch.tensor([7]))

    assert emission.tokens == ()


def test_probabilities_are_the_softmax_of_the_joint():
    transducer = head(3, 1.0)
    encoded = torch.randn(1, 30, WIDTH)

    (emission,) = Search(transducer)(encoded, torch.tensor([30]))

    first = transducer.score(
        transducer.project_encoder(encoded[0, emission.frames[0]]),
        transducer.predict(torch.tensor([transducer.blank]), torch.zeros(1, 16), torch.zeros(1, 16))[0][0],
    )
    assert emission.tokens[0] == int(first.argmax())
    assert abs(emission.probabilities[0] - first.softmax(-1).max().item()) < 1e-5
