"""Passages: how long, where they end, what they repeat."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.transcripts.chunking import MAX_LETTERS, Utterance, language, passages


def talk(*lengths_s: float, gap_s: float = 0.5, speakers: str = "A") -> list[Utterance]:
    """Utterances one after another, numbered in their text."""
    utterances, at_s = [], 0.0
    for number, length_s in enumerate(lengths_s):
        speaker = speakers[number % len(speakers)]
        utterances.append(Utterance(at_s, at_s + length_s, f"Sentence {number} of this talk.", speaker))
        at_s += length_s + gap_s
    return utterances


def test_nothing_said_is_no_passage():
    assert passages([]) == []
    assert passages([Utterance(0, 3, " "), Utterance(4, 5, "")]) == []


def test_a_short_note_is_one_passage():
    (only,) = passages(talk(5, 6, 7))

    assert (only.start_s, only.end_s, only.speaker) == (0, 19, "A")
    assert only.text.startswith("Sentence 0")
    assert "Sentence 2" in only.text


def test_a_long_talk_is_cut_into_passages_of_half_a_minute_to_a_minute():
    lengths = [passage.end_s - passage.start_s for passage in passages(talk(*[7] * 60))]

    assert len(lengths) > 5
    assert all(30 <= length <= 60 for length in lengths)


def test_neighbours_share_one_sentence():
    first, second, *_ = passages(talk(*[7] * 20))

    shared = first.text[first.text.rindex("Sentence") :]
    assert second.text.startswith(shared)
    assert second.start_s < first.end_s


def test_no_passage_crosses_a_long_pause():
    before, after = talk(10), [Utterance(16, 20, "After the break.", "A")]

    assert [passage.end_s for passage in passages([*before, *after])] == [10, 20]
    assert len(passages([*before, Utterance(13, 20, "No break.", "A")])) == 1


def test_a_change_of_speaker_repeats_nothing():
    first, second = passages(
        [*talk(20, 15), Utterance(36, 60, "Now I.", "B"), Utterance(61, 75, "Still I.", "B")]
    )

    assert (first.speaker, second.speaker) == ("A", "B")
    assert second.text == "Now I. Still I."


def test_question_and_answer_are_passages_of_two_speakers():
    result = passages(talk(3, 4, speakers="AB"))

    assert [(one.speaker, one.text) for one in result] == [
        ("A", "Sentence 0 of this talk."),
        ("B", "Sentence 1 of this talk."),
    ]


def test_a_passage_goes_on_over_what_others_throw_in():
    result = passages(
        [
            Utterance(0, 10, "Hello, do you hear me?", "L"),
            Utterance(9, 10, "Yes.", "R"),
            Utterance(11, 14, "Good.", "L"),
        ]
    )

    assert [(one.speaker, one.text) for one in result] == [
        ("L", "Hello, do you hear me? Good."),
        ("R", "Yes."),
    ]


def test_an_hour_without_a_full_stop_is_still_cut():
    hour = Utterance(0, 3600, "слово " * 7200)

    result = passages([hour])

    assert all(passage.end_s - passage.start_s <= 60 for passage in result)
    assert sum(len(passage.text.split()) for passage in result) == 7200


def test_sentences_of_one_utterance_get_their_share_of_its_time():
    first, second = passages([Utterance(0, 80, "Раз два три. " * 5 + "Пять шесть. " * 5)], max_s=50)

    assert 40 <= first.end_s <= 50
    assert second.end_s == pytest.approx(80)


SPOKEN = st.tuples(st.floats(0, 500), st.floats(0.1, 90), st.integers(1, 40), st.sampled_from("AB"))


@given(st.lists(SPOKEN, max_size=30))
def test_every_word_is_found_again_in_passages_of_bounded_length(spoken):
    utterances = [
        Utterance(start, start + length, " ".join(f"w{number}x{word}" for word in range(words)), speaker)
        for number, (start, length, words, speaker) in enumerate(spoken)
    ]

    result = passages(utterances)

    assert {word for passage in result for word in passage.text.split()} == {
        word for utterance in utterances for word in utterance.text.split()
    }
    assert all(earlier.start_s <= later.start_s for earlier, later in pairwise(result))
    assert all(passage.end_s >= passage.start_s for passage in result)
    speaker_of = {word: one.speaker for one in utterances for word in one.text.split()}
    assert all(speaker_of[word] == passage.speaker for passage in result for word in passage.text.split())


def test_a_sentence_keeps_its_quotation_marks():
    (only,) = passages([Utterance(0, 9, "Он сказал: «Да!» Потом ушёл. (И не пришёл.) Всё.")])

    assert only.text == "Он сказал: «Да!» Потом ушёл. (И не пришёл.) Всё."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Привет, как дела?", "ru"),
        ("настройка nginx", "ru"),
        ("Hello there", "en"),
        ("the ГОСТ standard", "en"),
        ("42", "en"),
    ],
)
def test_the_script_names_the_language(text, expected):
    assert language(text) == expected


@pytest.mark.parametrize("text", ["слово " * 3000, "а" * 10_000])
def test_a_text_too_long_for_an_embedder_is_split_and_loses_nothing(text):
    result = passages([Utterance(0.0, 30.0, text)])

    assert max(len(passage.text) for passage in result) <= MAX_LETTERS
    assert "".join(passage.text.replace(" ", "") for passage in result) == text.replace(" ", "")
    assert (result[0].start_s, result[-1].end_s) == (0.0, 30.0)
