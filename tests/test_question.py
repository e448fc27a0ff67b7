"""How a question is read: numbers, codes, asking words, other layouts and scripts, as words sound."""

import pytest

from core.search import layout, numbers
from core.search.index import Index, Row
from core.search.query import marks, search
from core.search.question import read


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("давление сто шестьдесят на девяносто пять", "давление 160 на 95"),
        ("двадцать пятого ноября", "25 ноября"),
        ("25-го ноября, the 11th", "25 ноября, the 11"),
        ("тысяча восемьсот шестьдесят первый год", "1861 год"),
        ("две тысячи двадцать третьем", "2023"),
        ("двести двадцать тысяч", "220000"),
        ("127 миллионов", "127000000"),
        ("140 000 км", "140000 км"),
        ("seven hundred and fifty dollars", "750 dollars"),
        ("twenty-five people", "25 people"),
        ("восемь девятьсот двадцать шесть сто двадцать три сорок пять шестьдесят семь", "9261234567"),
        ("8 926 123-45-67", "9261234567"),
        ("сорок пять семнадцать", "45 17"),
        ("3.4 million", "3.4 million"),
        ("MSKU 904417", "MSKU 904417"),
        ("стал стоять у стола", "стал стоять у стола"),
    ],
)
def test_numbers_are_read_as_they_are_said(text, written):
    assert numbers.written(text) == written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("в тринадцать сорок седьмом", "1347"),
        ("nineteen eighty four", "1984"),
        ("MSKU 904417", "msku904417"),
        ("машина А 317 КМ", "a317km"),
        ("сто двадцать семь миллионов", "127"),
    ],
)
def test_a_passage_is_found_by_what_its_numbers_and_codes_stand_for(text, found):
    assert found in numbers.spoken(text)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("сколько стоит лицензия?", ("стоит", "лицензия")),
        ("how many patients", ("patients",)),
        ("790 рублей", ("790",)),
        ("рублей", ("рублей",)),
        ("кто где когда", ("кто", "где", "когда")),
        ("152-ФЗ", ("152", "фз")),
    ],
)
def test_words_that_only_ask_carry_no_weight(question, words):
    assert read(question).words == words


def test_keys_of_the_other_layout():
    assert layout.switched("rjatvjkrf") == "кофемолка"
    assert layout.switched("зукьфакщые") == "permafrost"


@pytest.mark.parametrize(
    ("latin", "russian"), [("kofemolka", "кофемолка"), ("borshch", "борщ"), ("beton", "бетон")]
)
def test_the_same_word_in_the_other_script(latin, russian):
    assert russian in layout.cyrillic(latin)


@pytest.mark.parametrize(("latin", "russian"), [("redis", "редис"), ("docker", "докер"), ("excel", "эксель")])
def test_names_as_they_sound(latin, russian):
    assert layout.sound(latin) == layout.sound(russian)


SAID = [
    "Ночью упал Redis, закончилась память.",
    "Кластер кубернетис обновили ночью.",
    "Контейнер MSKU 904417 стоит на терминале.",
    "Договор сорок пять семнадцать, адрес улица Гагарина.",
    "Пришла кофемолка вместо мясорубки.",
    "Давление сто шестьдесят на девяносто пять.",
    "Спасибо за звонок, до свидания.",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    index = Index(str(tmp_path_factory.mktemp("question") / "lancedb"))
    index.put("r", [Row(str(n), "r", "me", n, n + 1, text, "ru") for n, text in enumerate(SAID)])
    index.put("again", [Row("again", "again", "me", 0, 1, SAID[6], "ru")])
    index.put("hidden", [Row("hidden", "hidden", "you", 0, 1, "бадминтон", "ru")])
    index.maintain(after_rows=1)
    return index


@pytest.mark.parametrize(
    ("question", "best", "how"),
    [
        ("редис", 0, "sound"),
        ("kubernetes", 1, "sound"),
        ("rjatvjkrf", 4, "layout"),
        ("kofemolka", 4, "sound"),
        ("кофимолка", 4, "fuzzy"),
        ("упал redis", 0, "all"),
        ("MSKU904417", 2, "all"),
        ("904417", 2, "all"),
        ("45-17", 3, "all"),
        ("160 на 95", 5, "all"),
    ],
)
def test_a_word_is_found_however_it_is_written(index, question, best, how):
    result = search(index, None, question, mode="words")

    assert (result.matches[0].row.id, result.matches[0].how, result.how) == (str(best), how, how)
    assert result.matches[0].sure


def test_what_a_word_was_read_as_is_said(index):
    assert search(index, None, "кофимолка", mode="words").instead == (("кофимолка", "кофемолка"),)


def test_a_code_that_nobody_says_has_no_sure_answer(index):
    result = search(index, None, "договор 77-12", mode="words")

    assert result.matches
    assert not any(match.sure for match in result.matches)
    assert set(result.missing) == {"77", "12"}


def test_words_of_others_are_never_suggested(index):
    from core.search.index import Scope

    assert search(index, None, "бодминтон", scope=Scope("me"), mode="words").instead == ()


def test_the_very_same_text_is_shown_once(index):
    (match,) = search(index, None, "спасибо за звонок", mode="words").matches

    assert {match.row.recording_id, *(row.recording_id for row in match.also)} == {"r", "again"}


@pytest.mark.parametrize("question", ["(", "%%%", "…", "--"])
def test_what_has_no_letter_is_no_question(index, question):
    assert search(index, None, question).matches == ()


def test_a_number_that_is_said_in_words_is_marked():
    pieces = marks(SAID[5], "160")

    assert [piece for piece, marked in pieces if marked] == ["сто", "шестьдесят"]
