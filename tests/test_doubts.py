"""Doubts: a text that is wrong is called so, one that is right is not."""

import pytest

from core.database.tables import Segment
from core.transcripts.doubts import evidence
from tests import voices


def segment(text: str, confidence: float, log_probability: float = -0.6) -> Segment:
    words = [[word, 0.0, 1.0, confidence] for word in text.split()]
    return Segment(text=text, words=words, start_s=0.0, end_s=1.0, log_probability=log_probability)


@pytest.mark.parametrize(
    ("text", "confidence", "understood"),
    [
        ("that was it that was it", 0.63, False),  # "thou also thou also" was said
        ("but the hole is kind", 0.65, False),  # "but behold these kine"
        ("the days for an adult is ten minutes", 0.68, True),
        ("hold on hold fast hold out patience is genius", 0.69, True),
    ],
)
def test_it_is_told_by_the_mean_confidence_of_words(text, confidence, understood):
    assert evidence([segment(text, confidence)], "en").understood is understood


def test_short_words_count_as_words():
    assert not evidence([segment("it's built on it", 0.45)], "en").understood
    assert evidence([segment("it's built on it", 0.45)], "en").doubtful


def test_of_a_word_or_two_nothing_is_said():
    assert evidence([segment("oh hi", 0.3)], "en").understood


@voices.REAL
def test_turns_of_a_recording_belong_to_where_they_begin():
    assert voices.reference("jfk.flac", 8.1, 10.8) == "ask what you can do for your country"
    assert voices.reference("jfk.flac") == voices.references()["jfk.flac"]
    assert voices.reference("golos_02.wav", 0.2, 2.0) == "заказать яблоки зеленые"
