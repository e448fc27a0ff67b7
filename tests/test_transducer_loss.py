"""The transducer's loss is the sum over all ways to a text, and what it teaches is what the search finds."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.speech.gigaam.config import TransducerConfig
from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.transducer import Search
from tests.toy.transducer_loss import along, loss

CLASSES = 4
SIZES = st.tuples(st.integers(1, 5), st.integers(0, 4))


def one_by_one(logits, tokens):
    """Minus log of the sum over every way: frames × blank, tokens between them, a blank at the end."""
    scores = logits.log_softmax(-1)
    frames, count = scores.size(0), len(tokens)
    ways = []
    for places in itertools.combinations(range(frames + count - 1), count):
        frame, token, way = 0, 0, scores.new_zeros(())
        for step in range(frames + count):
            if step in places:
                way, token = way + scores[frame, token, tokens[token]], token + 1
            else:
                way, frame = way + scores[frame, token, -1], frame + 1
        ways.append(way)
    return -torch.stack(ways).logsumexp(0)


def sample(sizes, seed=0):
    """Logits, tokens, ends and counts of a batch, with numbers behind the ends too."""
    torch.manual_seed(seed)
    ends, counts = (torch.tensor(column) for column in zip(*sizes, strict=True))
    logits = 3 * torch.randn(len(sizes), int(ends.max()), int(counts.max()) + 1, CLASSES, dtype=torch.double)
    return logits, torch.randint(CLASSES - 1, (len(sizes), int(counts.max()))), ends, counts


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(SIZES, min_size=1, max_size=4), seed=st.integers(0, 10_000))
def test_the_loss_is_the_sum_over_all_ways_alone_and_in_a_padded_batch(sizes, seed):
    logits, tokens, ends, counts = sample(sizes, seed)

    losses = loss(logits, tokens, ends, counts)

    for row, (end, count) in enumerate(sizes):
        expected = one_by_one(logits[row, :end, : count + 1], tokens[row, :count].tolist())
        assert losses[row].item() == pytest.approx(expected.item(), rel=1e-9)


def test_its_gradient_is_that_of_its_value_and_nothing_behind_the_ends_has_one():
    logits, tokens, ends, counts = sample([(4, 3), (2, 1), (3, 0), (1, 2)])
    logits.requires_grad_(True)

    assert torch.autograd.gradcheck(lambda given: loss(given, tokens, ends, counts), (logits,))
    loss(logits, tokens, ends, counts).sum().backward()
    for row, (end, count) in enumerate(zip(ends, counts, strict=True)):
        assert not logits.grad[row, end:].any()
        assert not logits.grad[row, :, count + 1 :].any()
        assert logits.grad[row, :end, : count + 1].any()


def test_single_precision_is_enough_for_a_long_text():
    logits, tokens, ends, counts = sample([(300, 170), (260, 120)])

    exact, single = loss(logits, tokens, ends, counts), loss(logits.float(), tokens, ends, counts)

    assert single.tolist() == pytest.approx(exact.tolist(), rel=1e-5)


def head():
    torch.manual_seed(0)
    return Transducer(24, CLASSES, TransducerConfig(pred_hidden=16, joint_hidden=20))


@torch.no_grad()
def test_the_text_read_at_once_predicts_what_it_predicts_token_by_token():
    transducer, encoded, tokens = head(), torch.randn(2, 5, 24), torch.tensor([[0, 1, 2], [2, 2, 1]])
    transducer.tabulate()

    whole = along(transducer, encoded, tokens)

    hidden = cell = torch.zeros(2, 16)
    for place, token in enumerate([torch.tensor([transducer.blank] * 2), *tokens.T]):
        predicted, hidden, cell = transducer.predict(token, hidden, cell)
        step = transducer.score(transducer.project_encoder(encoded), predicted[:, None])
        assert torch.allclose(whole[:, :, place], step, atol=1e-5)


def test_what_was_learned_by_it_is_what_the_search_finds():
    transducer, encoded = head(), torch.randn(3, 9, 24)
    tokens = torch.tensor([[0, 1, 2, 2, 0], [2, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    ends, counts = torch.tensor([9, 7, 4]), torch.tensor([5, 3, 1])
    optimizer = torch.optim.Adam(transducer.parameters(), lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        loss(along(transducer, encoded, tokens), tokens, ends, counts).sum().backward()
        optimizer.step()

    assert not transducer.embed.weight[transducer.blank].any()
    transducer.tabulate()
    for row, emission in enumerate(Search(transducer)(encoded, ends)):
        assert emission.tokens == tuple(tokens[row, : counts[row]].tolist())
