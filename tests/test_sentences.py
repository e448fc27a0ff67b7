"""What was found by meaning starts at the sentence that answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from benchmarks import bench_quality as bench
from core.database.tables import Recording, SentenceVectors
from core.embedding.embedder import unit
from core.embedding.embedders import e5
from core.errors import Code, Unavailable
from core.library import moments, views
from core.principal import EVERYONE
from core.search.index import Row
from core.search.query import LEAD_IN_S, Match
from core.search.sentences import LONGEST_WORDS, Sentence, SentenceStore, sentences
from core.speech.engine import Word
from tests import batching

WORD_S = 0.4


class Letters:
    """Vectors by letters: the more they share, the nearer."""

    name = "letters"
    title = "Letters"
    batch_texts = 32
    dim = 33
    languages = None
    answer_cosine = None

    def __init__(self):
        self.asked = []

    def embed(self, texts):
        self.asked += texts
        letters = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
        counts = [[text.lower().count(each) + 1e-6 for each in letters] for text in texts]
        return unit(np.array(counts, np.float32), len(texts), self.dim)

    def embed_query(self, text):
        return self.embed([text])[0]


def spoken(text: str, start_s: float = 0.0) -> list[Word]:
    return [
        Word(word, start_s + n * WORD_S, start_s + n * WORD_S + 0.3) for n, word in enumerate(text.split())
    ]


def test_words_become_sentences_with_the_second_they_start_at():
    result = sentences(spoken("Насос уже сломался. Да. Чинить будем завтра!", 10.0))

    assert [each.text for each in result] == ["Насос уже сломался.", "Да. Чинить будем завтра!"]
    assert [each.start_s for each in result] == pytest.approx([10.0, 10.0 + 3 * WORD_S])
    assert sentences([]) == []


def test_speech_without_full_stops_is_cut_at_pauses_and_when_it_is_long():
    assert len(sentences([*spoken("мы всё решили"), *spoken("поехали дальше по плану", 3.0)])) == 2
    assert len(sentences(spoken("слово " * (2 * LONGEST_WORDS + 1)))) == 3


def test_vectors_of_sentences_are_made_once(app):
    """By whoever comes first, the job that embeds or a question; what is not said any more is dropped."""
    recording_id, embedder = batching.recording(app, []), Letters()
    one = [Sentence(0.0, "ааа"), Sentence(5.0, "ббб"), Sentence(9.0, "ббб")]
    other = [Sentence(0.0, "ввв"), Sentence(3.0, "б")]
    question = embedder.embed_query("б")
    app.sentences.prepare(embedder, recording_id, [one])

    for _ in range(2):
        store = SentenceStore(app.database)
        assert store.nearest(
            embedder, question, [(recording_id, one), (recording_id, []), (recording_id, other)]
        ) == [
            one[1],
            None,
            other[1],
        ]

    assert embedder.asked == ["б", "ааа", "ббб", "ввв", "б"]
    assert store.missing(embedder, recording_id, [one, other]) == []
    assert store.missing(embedder, recording_id, [other, other[:1]]) == [other[:1]]
    assert store.missing(embedder, recording_id, [one]) == [one]


def test_vectors_of_sentences_go_with_their_recording(app):
    recording_id, embedder = batching.recording(app, []), Letters()
    app.sentences.prepare(embedder, recording_id, [[Sentence(0.0, "ааа")]])
    app.deletion.delete_recording(EVERYONE, recording_id)

    assert app.sentences.nearest(embedder, embedder.embed_query("а"), [(recording_id, [Sentence(0.0, "б")])])

    with app.database.read() as session:
        assert session.scalars(select(SentenceVectors)).all() == []


def test_a_search_by_meaning_starts_at_the_sentence_and_words_at_the_word(app, monkeypatch):
    _put(app, monkeypatch, Letters())

    (match,) = app.searcher.search(EVERYONE, "жжж", mode="meaning").matches
    assert match.sentence == "Жужжат жуки жёлтые."
    assert match.play_s == pytest.approx(3 * WORD_S - LEAD_IN_S)

    (match,) = app.searcher.search(EVERYONE, "насоса").matches
    assert match.sentence == ""
    assert match.play_s == 0.0


def test_a_sentence_that_cannot_be_found_leaves_the_hit_where_it_was(app, monkeypatch):
    class Silent(Letters):
        def embed(self, texts):
            if len(texts) > 1:
                raise Unavailable(Code.INDEX_SILENT)
            return super().embed(texts)

    _put(app, monkeypatch, Silent())

    (match,) = app.searcher.search(EVERYONE, "жжж", mode="meaning").matches
    assert (match.sentence, match.play_s) == ("", 0.0)


def _put(app, monkeypatch, embedder) -> None:
    text = "Насос уже сломался. Жужжат жуки жёлтые."
    recording_id = batching.recording(app, [text])
    (row,) = batching.passages(app)
    app.index.put_vectors(embedder, recording_id, "pages", [row.id], ["hash"], Letters().embed([text]))
    monkeypatch.setattr(app.active_embedder, "searched", lambda: embedder)
    monkeypatch.setattr(app.transcripts, "words_at", lambda stretches: [spoken(text) for _ in stretches])


def test_the_page_marks_the_sentence():
    text = "Раз два три. Четыре пять шесть. Семь."
    match = Match(Row("a:0", "a", "", 0.0, 9.0, text, "ru"), 1.0, "meaning", "", 0.0)
    moment = moments._moment(
        replace(match, sentence="Четыре пять шесть."), {"a": Recording(id="a", filename="a", title="a")}
    )

    (group,) = views.grouped([moment], "счёт")

    assert group.hits[0].pieces == [("Раз два три. ", False), ("Четыре пять шесть.", True), (" Семь.", False)]


@pytest.mark.skipif(bool(e5.reason()), reason="search by meaning needs the model of this machine")
def test_most_questions_in_other_words_start_inside_their_answer(app):
    """Each passage of the judged set between two of another recording: a third of them would by chance."""
    passages, embedder, recording_id = bench.passages(), e5.E5(), batching.recording(app, [])
    texts = {passage["id"]: passage["text"] for passage in passages}
    hits = []
    for query in (each for each in bench.queries() if each.kind.startswith("paraphrase")):
        (key,) = list(query.relevant)[:1]
        others = [each["text"] for each in passages if each["recording"] != key.rpartition("-")[0]]
        place = len(hits) % (len(others) - 1)
        before, after = others[place], others[place + 1]
        words = spoken(f"{before} {texts[key]} {after}")
        start_s = len(before.split()) * WORD_S
        question = embedder.embed_query(query.text)
        (nearest,) = app.sentences.nearest(embedder, question, [(recording_id, sentences(words))])
        hits.append(start_s - 3 <= nearest.start_s < start_s + len(texts[key].split()) * WORD_S)

    assert len(hits) >= 30
    assert sum(hits) / len(hits) >= 0.9  # 49 of 52, as with vectors of 32-bit numbers
