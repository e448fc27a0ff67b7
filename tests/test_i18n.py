"""People read every sentence in their language, and numbers as people write them."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

import pytest
from babel.messages.pofile import read_po

from core import errors
from core.billing import shipped
from core.i18n import catalogue as words
from core.media import decode
from core.search import query
from core.settings import ROOT

SOURCES = [
    path for folder in ("core", "pages", "api", "jobs") for path in sorted((ROOT / folder).rglob("*.py"))
]
ERRORS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
}


TWICE = ("msgstr", "msgstr")


def _texts(call: ast.Call) -> Iterator[str]:
    for argument in call.args[: 2 if _name(call.func) == "ngettext" else None]:
        yield from _strings(argument)


def _strings(argument: ast.expr) -> Iterator[str]:
    for node in (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_sentence(text: str) -> bool:
    return " " in text or text.endswith(".")


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield _name(node.func), node


def _facts_of_errors() -> Iterator[str]:
    """English phrases that are facts of an error."""
    for name, call in _calls():
        if name in ERRORS:
            for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                yield from _strings(argument)


def shown_templates() -> set[str]:
    """Every template that the code can show to a person."""
    texts: set[str] = {code.message for code in errors.Code}
    for name, call in _calls():
        if name in {"gettext", "N_"}:
            texts.update(list(_texts(call))[:1])
        elif name == "ngettext":
            texts.update(_texts(call))
        elif name in {"Choice", "Note"}:
            texts.update(filter(_is_sentence, _texts(call)))
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and _name(node.targets[0]) == "message":
                texts.update(_strings(node.value))
    texts.update((query.NO_MEANING, query.NOT_ITS_LANGUAGE))
    return texts


def facts() -> set[str]:
    """Every phrase that stands within another sentence: the context `fact` of the catalogue."""
    within = {text for text in _facts_of_errors() if " " in text}
    return {*decode.REASONS.values(), *within}


def literals() -> set[str]:
    return {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def catalogue(language: str) -> list[tuple[tuple[str, ...], tuple[str, ...], str | None]]:
    with (words.LOCALES / f"{language}.po").open("rb") as file:
        return [(_forms(m.id), _forms(m.string), m.context) for m in read_po(file, locale=language) if m.id]


def _forms(text: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize(("language", "size"), [("en", "73.8 GB"), ("ru", "73,8 ГБ")])
def test_numbers_within_facts_have_the_digits_of_the_language(language, size):
    assert words.translate_fact("73.8 GB", language) == size


def test_everything_said_has_a_russian_translation():
    translated = {
        form for ids, strings, context in catalogue("ru") if all(strings) and not context for form in ids
    }

    missing = sorted(shown_templates() - translated - {""})
    assert not missing, "\n".join(missing)


def test_every_phrase_within_a_sentence_has_a_russian_translation():
    assert sorted(fact for fact in facts() if words.translate_fact(fact, "ru") == fact) == []


def test_every_figure_of_the_price_book_says_in_russian_what_it_is_and_whence():
    book = shipped()
    rows = [
        *book.prices,
        *book.limits,
        *book.waits,
        *book.assumptions.values(),
        *book.qualities.values(),
    ]
    shown = ("model", "about", "source", "second_source", "note", "unit")
    texts = {str(getattr(row, field, "")) for row in rows for field in shown}
    english = {text for text in texts if re.search(r"[a-z]{2,} [a-z(\d]", re.sub(r"https?://\S+", "", text))}

    assert len(english) > 50
    assert sorted(text for text in english if words.translate_fact(text, "ru") == text) == []


def test_the_catalogue_holds_nothing_that_nobody_says():
    unknown = {form for ids, _, context in catalogue("ru") if context is None for form in ids} - literals()

    assert sorted(unknown) == []


def test_every_entry_of_the_catalogue_is_translated_once():
    lines = [line.split(" ")[0] for line in (words.LOCALES / "ru.po").read_text().splitlines()]

    twice = [number for number, pair in enumerate(itertools.pairwise(lines), 2) if pair == TWICE]
    assert twice == [], "two people translated this, and git kept both"


def test_translations_use_the_facts_of_their_templates():
    for ids, strings, _ in catalogue("ru"):
        for string in strings:
            assert _placeholders(string) <= set().union(*map(_placeholders, ids)), ids
            assert len(ids) > 1 or _placeholders(string) == _placeholders(ids[0]), ids


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-GB", "en"),
        ("de-DE,ru;q=0.5", "ru"),
        ("en;q=0.3, ru;q=0.7", "ru"),
        ("ru_RU", "ru"),
        ("de", "en"),
        ("", "en"),
        (None, "en"),
        (";;q=,*;q=oops,\x00", "en"),
    ],
)
def test_the_language_is_what_the_visitor_likes_best(accepted, language):
    assert words.language(accepted) == language


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "Fireworks ends this on 10 Jun 2026."), ("ru", "Fireworks закрывает эту услугу 10 июн. 2026.")],
)
def test_a_day_within_a_sentence_is_written_as_people_write_it(language, sentence):
    facts = {"title": "Fireworks", "day": "2026-06-10"}

    assert (
        words.translate_error({"message": "{title} ends this on {day}.", "facts": facts}, language)
        == sentence
    )


def test_a_fact_may_be_called_language_and_user_text_is_left_alone():
    text = words.gettext(
        "{title} does not understand this language: {language}.", "ru", title="{0} *x*", language="de"
    )

    assert text == "{0} *x* не понимает этот язык: de."


def test_a_reason_within_a_reason_is_translated_too():
    error = errors.Rejected(
        errors.Code.NO_ENGINE_READY,
        missing="Whisper (small) is not ready (its files are not here yet, the settings page gets them)",
    )

    assert (
        words.translate_error(error, "ru") == "Ни один движок не готов: Whisper (small) не готов "
        "(его файлы ещё не скачаны: это делается на странице настроек)."
    )


def test_every_engine_says_in_russian_what_it_lacks(app):
    for engine in app.engines.values():
        reason = engine.readiness().reason
        assert not reason or re.search("[а-я]", str(words.translate_fact(reason, "ru"))), reason


@pytest.mark.parametrize(("code", "name"), [("de", "Немецкий"), ("ru", "Русский"), ("xx", "Xx")])
def test_languages_have_names(code, name):
    assert words.language_name(code, "ru") == name


def test_a_long_list_of_languages_is_counted():
    assert words.language_names(["ru", "en"], "ru") == "Русский, английский"
    assert words.language_names(["ru", "en", "uk", "de"], "ru").endswith(", украинский, немецкий")
    assert words.language_names(["ru", "en", "uk", "de", "fr"], "en").endswith(", Ukrainian and 2 more")


def test_a_stored_error_that_lost_its_facts_still_reads():
    assert words.translate_error({"message": "Unexpected: {what}."}, "en") == "Unexpected: …."


@pytest.mark.parametrize(
    ("seconds", "english", "russian"),
    [
        (0.4, "0 s", "0 с"),
        (45, "45 s", "45 с"),
        (65, "1 min 5 s", "1 мин 5 с"),
        (59.6 * 60, "1 h", "1 ч"),
        (3900, "1 h 5 min", "1 ч 5 мин"),
        (1234 * 3600, "1,234 h", "1\xa0234 ч"),
        (None, "–", "–"),
    ],
)
def test_durations_are_in_units_of_people(seconds, english, russian):
    assert (words.duration(seconds, "en"), words.duration(seconds, "ru")) == (english, russian)


@pytest.mark.parametrize(
    ("size_bytes", "english", "russian"),
    [
        (0, "0 bytes", "0 Б"),
        (999, "999 bytes", "999 Б"),
        (1000, "1 kB", "1 кБ"),
        (1_440_000, "1.4 MB", "1,4 МБ"),
        (215_000_000, "215 MB", "215 МБ"),
        (3e15, "3,000 TB", "3\xa0000 ТБ"),
    ],
)
def test_sizes_are_in_decimal_units(size_bytes, english, russian):
    assert (words.size(size_bytes, "en"), words.size(size_bytes, "ru")) == (english, russian)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0:00"), (62.9, "1:02"), (3723, "1:02:03"), (36000, "10:00:00")]
)
def test_places_in_a_recording_look_like_a_players_clock(seconds, expected):
    assert words.clock(seconds) == expected


NOW = 1_795_300_000.0
"""Saturday, 21 November 2026, 22:26 in London, 01:26 of the 22nd in Moscow."""


@pytest.mark.parametrize(
    ("ago_s", "english", "russian"),
    [
        (0, "today 22:26", "сегодня в 01:26"),
        (3600 * 2, "today 20:26", "вчера в 23:26"),
        (3600 * 23, "yesterday 23:26", "вчера в 02:26"),
        (86400 * 60, "22 Sept, 23:26", "23 сент., 01:26"),
        (86400 * 1000, "25 Feb 2024, 22:26", "26 февр. 2024\u202fг., 01:26"),
    ],
)
def test_times_are_where_the_reader_is(ago_s, english, russian):
    local_times = (
        words.moment(NOW - ago_s, "en", "Europe/London", now=NOW),
        words.moment(NOW - ago_s, "ru", "Europe/Moscow", now=NOW),
    )

    assert local_times == (english, russian)


@pytest.mark.parametrize(
    ("shares", "percents"),
    [
        ((0.125, 0.375, 0.5), [13, 37, 50]),
        ((0.335, 0.335, 0.33), [34, 33, 33]),
        ((0.3333, 0.3333, 0.3333), [34, 33, 33]),
        ((0.005, 0.995), [1, 99]),
        ((1.0,), [100]),
        ((0.0, 0.0), [0, 0]),
        ((), []),
    ],
)
def test_shares_of_a_whole_add_up_to_it(shares, percents):
    assert words.whole_percents(shares) == percents


@pytest.mark.parametrize(
    ("digits", "english", "russian"), [(0, "12%", "12\u00a0%"), (1, "11.5%", "11,5\u00a0%")]
)
def test_percents_stand_as_their_language_writes_them(digits, english, russian):
    assert words.percent(0.1152, "en", digits) == english
    assert words.percent(0.1152, "ru", digits) == russian
    assert words.percent(0.5, "en", digits) == "50%"


def test_an_unknown_timezone_means_utc():
    assert words.moment(0, "en", "Not/There", now=1e9) == words.moment(0, "en", None, now=1e9)


@pytest.mark.parametrize(
    ("usd", "expected"), [(0, "$0.00"), (1234.5, "$1,234.50"), (0.15, "$0.15"), (0.00021, "$0.00021")]
)
def test_small_amounts_keep_their_digits(usd, expected):
    assert words.money(usd) == expected


def test_money_has_the_digits_of_the_language():
    assert words.money(-1234.5, "ru") == "-1\xa0234,50\xa0$"
    assert words.money(1234.5, "ru", "₽", 0) == "1\xa0234\xa0₽"
    assert words.money(0.0505) == "$0.0505"


@pytest.mark.parametrize(
    ("seconds", "english", "russian"),
    [
        (None, "–", "–"),
        (76 * 3600 + 540, "3 d 4 h", "3 д 4 ч"),
        (86_300, "1 d", "1 д"),
        (30 * 86_400, "30 d", "30 д"),
        (3 * 3600, "3 h", "3 ч"),
    ],
)
def test_from_a_day_on_waiting_is_said_in_days(seconds, english, russian):
    assert (words.wait(seconds, "en"), words.wait(seconds, "ru")) == (english, russian)


@pytest.mark.parametrize(("language", "expected"), [("en", "0.000123"), ("ru", "0,000123")])
def test_a_number_has_as_many_digits_as_were_asked_for(language, expected):
    assert words.number(0.0001234, language, 6) == expected
