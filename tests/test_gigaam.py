"""GigaAM's modules: batches change nothing, words have their places, and bad files are refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from core.engines.gigaam import TOY
from core.gigaam import greedy
from core.gigaam.checkpoint import load, read
from core.gigaam.config import UnknownModel
from core.gigaam.recogniser import Recogniser
from core.gigaam.tokens import Emission, Letters, speech
from core.transcribe import SAMPLE_RATE
from tests.test_engines import cut, decoded


@pytest.fixture(scope="module")
def recogniser():
    return Recogniser(load(TOY))


@pytest.fixture(scope="module")
def segments():
    return cut(decoded("ru_meeting.opus")[0], 0)[:5]


def test_a_segment_says_the_same_alone_and_in_any_batch(recogniser, segments):
    alone = [recogniser.transcribe([segment])[0] for segment in segments]
    very_short = np.ones(10, np.int16)

    together = recogniser.transcribe([very_short, *segments, segments[0][: SAMPLE_RATE // 3]])

    assert [heard.text for heard in together[1:-1]] == [heard.text for heard in alone]
    assert [heard.words for heard in together[1:-1]] == [heard.words for heard in alone]


def test_the_encoder_of_a_padded_sample_equals_that_of_the_sample_alone(recogniser):
    encoder = recogniser.model.encoder
    features = torch.randn(2, 64, 303)

    with torch.inference_mode():
        batch = encoder(features, torch.tensor([303, 170]))
        alone = encoder(features[1:, :, :170], None)

    assert torch.allclose(batch[1, : alone.size(1)], alone[0], atol=1e-5)
    assert torch.isfinite(batch).all()


def test_words_stand_where_they_were_said(recogniser, segments):
    """Silence put before a segment moves every word by its length."""
    room = np.random.default_rng(0).normal(0, 50, SAMPLE_RATE).astype(np.int16)

    (before,) = recogniser.transcribe([segments[0]])
    (after,) = recogniser.transcribe([np.concatenate([room, segments[0]])])

    shifts = [b.start_s - a.start_s for a, b in zip(before.words[1:], after.words[1:], strict=True)]
    assert shifts == pytest.approx([1.0] * len(shifts), abs=0.081)


def test_ctc_drops_blanks_and_repeats_and_what_lies_behind_the_end():
    path = torch.tensor([[0, 0, 2, 0, 1, 1, 1], [1, 2, 2, 2, 0, 0, 0]])
    logits = torch.nn.functional.one_hot(path, 3).float() * 9

    first, second = greedy.ctc(logits, torch.tensor([7, 4]))

    assert (first.tokens, first.frames) == ((0, 0, 1), (0, 3, 4))
    assert (second.tokens, second.frames) == ((1,), (0,))
    assert first.probabilities == pytest.approx([0.99975] * 3, abs=1e-4)


def test_a_word_of_one_token_is_widened_but_never_into_the_next():
    letters = Letters([" ", "я", "и"])
    tokens, frames = (1, 0, 2, 0, 1), (0, 2, 3, 20, 30)

    words = speech(Emission(tokens, frames, (0.9,) * 5), letters).words

    assert [(word.text, word.start_s, word.end_s) for word in words] == [
        ("я", 0.0, 0.12),
        ("и", 0.12, 0.42),
        ("я", 1.2, 1.5),
    ]


def test_confidence_is_the_mean_of_a_words_tokens():
    letters = Letters([" ", "д", "а"])

    (word,) = speech(Emission((1, 2), (4, 6), (0.5, 0.7)), letters).words

    assert word.confidence == pytest.approx(0.6)
    assert (word.start_s, word.end_s) == (0.16, 0.28)


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps(Harmful())])
def test_a_file_that_is_no_checkpoint_is_refused_and_nothing_in_it_runs(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(content)

    with pytest.raises(UnknownModel):
        load(bad)
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_that_carries_code_is_refused_and_does_not_run_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"cfg": Harmful(), "state_dict": {}}, tmp_path / "bad.ckpt")

    with pytest.raises(UnknownModel):
        load(tmp_path / "bad.ckpt")
    assert not (tmp_path / "harm").exists()


def test_weights_that_do_not_fit_are_refused(tmp_path):
    from omegaconf import OmegaConf

    cfg, state = read(TOY)
    cfg["encoder"]["n_layers"] = 2
    torch.save({"cfg": OmegaConf.create(cfg), "state_dict": state}, tmp_path / "other.ckpt")

    with pytest.raises(UnknownModel, match="weights"):
        load(tmp_path / "other.ckpt")
