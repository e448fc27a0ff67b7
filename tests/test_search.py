"""Search: by meaning where that is possible, by words always, loosely only when it must."""

import numpy as np
import pytest

from core.embedding.embedder import text_hash
from core.embedding.embedders.local import Local
from core.errors import GEMINI, BadRequest, ProviderRefused
from core.library.views import excerpt
from core.search.index import Index, Row, Scope
from core.search.query import LEAD_IN_S, NO_MEANING, NOT_ITS_LANGUAGE, marks, play_s, search
from core.speech.engine import Word

ENGLISH = [
    "The quarterly revenue fell because many customers cancelled their subscriptions.",
    "We baked sourdough bread and let the dough rise overnight.",
    "An unhappy client complained that the device arrived broken.",
    "The orbiter entered the atmosphere of Mars after seven months.",
]
RUSSIAN = [
    "Обсудили ипотечные ставки и досрочное погашение займа.",
    "Директор завода рассказал о поставках стали.",
    "Настройка кластера kubernetes завершена, код заказа XJ-4471.",
]


class Broken:
    """An embedder whose key was refused."""

    name, title, dim, batch_texts, languages, answer_cosine = "broken", "Broken", 4, 10, None, None

    def embed_query(self, _text):
        raise ProviderRefused(GEMINI, "A_KEY")


@pytest.fixture(scope="module")
def local():
    return Local()


@pytest.fixture(scope="module")
def index(tmp_path_factory, local):
    """An English recording with vectors and a Russian one without, as the packaged model leaves them."""
    index = Index(str(tmp_path_factory.mktemp("search") / "lancedb"))
    for name, texts, language in (("en", ENGLISH, "en"), ("ru", RUSSIAN, "ru")):
        rows = [
            Row(f"{name}:{n}", name, "me", n * 40, n * 40 + 40, text, language)
            for n, text in enumerate(texts)
        ]
        index.put(name, rows)
    hashes = [text_hash(local, text) for text in ENGLISH]
    index.put_vectors(local, "en", "me", [f"en:{n}" for n in range(4)], hashes, local.embed(ENGLISH))
    index.maintain(after_rows=1)
    return index


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("why did the company earn less money", "en:0"),
        ("someone was angry about a faulty gadget", "en:2"),
        ("spacecraft reaching another planet", "en:3"),
    ],
)
def test_other_words_with_the_same_meaning_are_found(index, local, question, best):
    first = search(index, local, question).matches[0]

    assert (first.row.id, first.why, first.how) == (best, "meaning", "")
    assert first.play_s == first.row.start_s


def test_what_is_meant_and_said_comes_first_and_says_so(index, local):
    matches = search(index, local, "dough for bread").matches

    assert (matches[0].row.id, matches[0].why, matches[0].how) == ("en:1", "both", "all")
    assert matches[0].score > matches[1].score


def test_an_inflected_russian_word_is_found_where_the_model_knows_no_russian(index, local):
    result = search(index, local, "ипотечной ставкой")

    assert [match.row.id for match in result.matches] == ["ru:0"]
    assert result.matches[0].why == "words"
    assert result.notice == NOT_ITS_LANGUAGE


@pytest.mark.parametrize(
    ("question", "best", "how"),
    [
        ("директор завода", "ru:1", "all"),
        ("директор банка", "ru:1", "any"),
        ("дерректора", "ru:1", "fuzzy"),
        ("верше", "ru:2", "substring"),
        ("j-44", "ru:2", "substring"),
    ],
)
def test_the_question_is_read_more_loosely_only_when_it_must(index, question, best, how):
    matches = search(index, None, question, mode="words").matches

    assert [(match.row.id, match.how) for match in matches] == [(best, how)]


def test_words_alone_ask_no_embedder(index):
    result = search(index, Broken(), "customers", mode="words")

    assert [match.row.id for match in result.matches] == ["en:0"]
    assert result.notice is None


@pytest.mark.parametrize("mode", ["hybrid", "meaning"])
@pytest.mark.parametrize("embedder", [Broken(), None])
def test_without_meaning_words_are_searched_and_it_is_said(index, embedder, mode):
    result = search(index, embedder, "customers", mode=mode)

    assert [match.row.id for match in result.matches] == ["en:0"]
    assert result.notice == NO_MEANING


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ('"customers cancelled"', ["en:0"]),
        ("«досрочное погашение» ставки", ["ru:0"]),
        ('"cancelled customers"', []),
        ('"dough rise" bread', ["en:1"]),
    ],
)
def test_a_phrase_must_be_said_just_so(index, local, question, found):
    assert [match.row.id for match in search(index, local, question).matches] == found


@pytest.mark.parametrize("question", ["", "   ", "\n\t", '""', "«»"])
def test_no_question_has_no_answer(index, local, question):
    assert search(index, local, question).matches == ()


def test_an_unknown_mode_is_refused(index):
    with pytest.raises(BadRequest):
        search(index, None, "bread", mode="magic")


def test_scope_holds_for_both_kinds_of_search(index, local):
    assert search(index, local, "bread", scope=Scope("you")).matches == ()
    assert search(index, local, "bread", scope=Scope("me", ("ru",))).matches == ()


def test_the_limit_cuts_the_list_and_changes_nothing_else(index, local):
    all_of_them = search(index, local, "customers and bread").matches

    assert search(index, local, "customers and bread", limit=2).matches == all_of_them[:2]


def test_a_passage_without_words_is_not_shown_by_its_vector(index, local):
    """A vector whose passage has just gone must not become a hit."""
    index.put("gone", [Row("gone:0", "gone", "me", 0, 1, "nothing", "en")])
    index.put_vectors(local, "gone", "me", ["gone:0"], ["h"], local.embed(["dough for bread"]))
    index.remove("gone")

    assert "gone:0" not in {match.row.id for match in search(index, local, "dough for bread").matches}


@pytest.mark.parametrize(
    ("text", "question", "marked"),
    [
        ("Обсудили ипотечные ставки, и счёт.", "ставка счета", ["ставки", "счёт"]),
        ("We were running the tests.", "run a test", ["running", "tests"]),
        ("Настройка nginx и nginx-а", "nginx", ["nginx", "nginx"]),
        ("Код XJ-4471 готов", "j-44", ["J-44"]),
        ("Директор ушёл", "дерректор", ["Директор"]),
        ("Мама мыла раму", "«мыла раму»", ["мыла", "раму"]),
        ("Новый бюджет и новый план", "«новый план»", ["новый", "план"]),
        ("Новый бюджет, а план старый", "«новый план» бюджет", ["бюджет"]),
        ("Ничего такого", "kubernetes", []),
        ("<b>Жирный</b>", "жирный", ["Жирный"]),
        ("Текст", "", []),
        ("", "вопрос", []),
    ],
)
def test_marks_show_what_was_asked_for(text, question, marked):
    pieces = marks(text, question)

    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, is_marked in pieces if is_marked] == marked


def test_marking_a_page_of_results_is_quick_enough_to_do_each_time():
    import time

    text = " ".join(f"слово{number} настройками" for number in range(60))
    marks(text, "настройка")

    began = time.perf_counter()
    for _ in range(20):
        marks(text, "настройка")

    assert time.perf_counter() - began < 1


def test_a_question_in_a_space_without_vectors_is_answered_by_words(index):
    class Fresh(Broken):
        def embed_query(self, _text):
            return np.ones(4, np.float32)

    result = search(index, Fresh(), "customers")

    assert [match.row.id for match in result.matches] == ["en:0"]


INFLECTED = [
    ("день", "Завтра остаётся два дня до отпуска."),
    ("кредит", "Клиент просит оформить ему два кредита."),
    ("лимита", "На карте увеличили лимит."),
    ("режим", "Работа идёт в обычном режиме."),
    ("деньги", "На это не хватило денег."),
    ("ребёнок", "Приходите вместе с детьми."),
    ("люди", "В зале сидел один человек."),
    ("время", "Не хватает времени."),
]


@pytest.fixture(scope="module")
def inflected(tmp_path_factory):
    index = Index(str(tmp_path_factory.mktemp("inflected") / "lancedb"))
    index.put("r", [Row(str(n), "r", "me", n, n + 1, text, "ru") for n, (_, text) in enumerate(INFLECTED)])
    index.maintain(after_rows=1)
    return index


@pytest.mark.parametrize(("n", "question"), list(enumerate(asked for asked, _ in INFLECTED)))
def test_a_noun_is_found_and_marked_in_every_case_and_number(inflected, n, question):
    result = search(inflected, None, question, mode="words")

    assert [match.row.id for match in result.matches] == [str(n)]
    assert result.matches[0].how == "all"
    assert any(marked for _, marked in marks(result.matches[0].row.text, question))


def test_of_several_words_each_must_be_there_in_some_form(inflected):
    both = search(inflected, None, "кредит клиента", mode="words").matches
    one = search(inflected, None, "кредит человеку", mode="words").matches

    assert [(match.row.id, match.how) for match in both] == [("1", "all")]
    assert {match.how for match in one} == {"any"}
    assert {match.row.id for match in one} == {"1", "6"}


def test_what_is_quoted_must_be_said_in_that_form(inflected):
    assert not search(inflected, None, "«два день»", mode="words").matches
    assert len(search(inflected, None, "«два дня»", mode="words").matches) == 1


SPOKEN = "новый бюджет обсудили вчера а сегодня после долгого разговора в бухгалтерии приняли новый план"


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("«новый план»", "новый план"),
        ("новый план", "новый план"),
        ("бюджеты", "бюджет"),
        ("бугалтерия", "бухгалтерии"),
        ("ипотека", ""),
    ],
)
def test_playing_starts_where_it_was_said_and_not_at_the_first_word_alike(question, word):
    words = [Word(part, float(n), n + 0.5) for n, part in enumerate(SPOKEN.split())]
    row = Row("1", "r", "me", 0.0, 20.0, SPOKEN, "ru")
    expected = len(SPOKEN[: SPOKEN.index(word)].split()) - LEAD_IN_S if word else 0.0

    assert play_s(question, row, words) == expected


def test_of_a_long_text_the_stretch_is_shown_that_has_most_of_it():
    text = "Новый бюджет. " + "Потом говорили о другом. " * 40 + "Приняли новый план. " + "И всё. " * 40

    excerpt_text = "".join(piece for piece, _ in excerpt(marks(text, "новый план")))

    assert "новый план" in excerpt_text
