"""Words that must not be said, tags and days in a question."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from core.library import moments
from core.media import dates
from core.principal import EVERYONE
from core.search import operators
from core.search.operators import SearchQuery
from tests import batching


def day(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("клиент -директор", SearchQuery("клиент", ("директор",))),
        ("из-за счёта 45-17 -25", SearchQuery("из-за счёта 45-17 -25")),
        ('договор tag:"новые клиенты" TAG:срочно', SearchQuery("договор", tags=("новые клиенты", "срочно"))),
        ("отчёт before:2026-11-05", SearchQuery("отчёт", before=day(2026, 11, 5))),
        ("отчёт after:2026-11-05", SearchQuery("отчёт", after=day(2026, 11, 6))),
        ("after:2025 отчёт", SearchQuery("отчёт", after=day(2026, 1, 1))),
        (
            "after:2025-12 before:2026-2 отчёт",
            SearchQuery("отчёт", after=day(2026, 1, 1), before=day(2026, 2, 1)),
        ),
        ("before:2026-13-40 отчёт", SearchQuery("before:2026-13-40 отчёт")),
        ("after:9999 отчёт", SearchQuery("after:9999 отчёт")),
        ("«-раз» два", SearchQuery("«-раз» два")),
    ],
)
def test_a_question_is_taken_apart(question, expected):
    assert operators.read(question) == expected


def test_what_narrows_is_named_to_be_taken_out_again():
    asked = 'договор tag:"новые клиенты" -срочно lang:ru speaker:«Анна» longer:10 after:2025 in:best before:x'
    assert operators.parts(asked) == [
        'tag:"новые клиенты"',
        "lang:ru",
        "speaker:«Анна»",
        "longer:10",
        "after:2025",
        "in:best",
    ]
    assert operators.read(operators.quoted("tag", 'a "b"')).tags == ("a b",)


@pytest.mark.parametrize(
    ("question", "mode", "titles"),
    [
        ("Кубернетес", "words", {"right", "misheard"}),
        ("про кубер нетис", "words", {"right", "misheard"}),
        ("кубернетеса lang:ru", "words", {"right", "misheard"}),
        ("кубер", "words", {"misheard"}),
        ("кубер нетис сломался", "hybrid", {"misheard"}),
    ],
)
def test_the_glossary_finds_what_was_misheard_and_the_reverse(app, question, mode, titles):
    texts = {
        "right": "Кубернетес про это знает.",
        "misheard": "Сломался кубер нетис про всё.",
        "x": "Ничего.",
    }
    for title, text in texts.items():
        batching.recording(app, [text], title=title)
    app.glossary.save(EVERYONE, "Кубернетес", ["кубер нетис"])
    found = moments.find(app.searcher, app.recordings, EVERYONE, question, mode=mode, limit=9)
    assert {each.title for each in found.results if each.answer} == titles
    assert bool(found.other_words) == (titles == {"right", "misheard"})
    assert ("кубер нетис" in (found.notice or "").lower() + question) == (question != "кубер")


@pytest.fixture
def archive(app):
    """Three recordings; one has a tag, one was made long before it was brought."""
    texts = {"one": "Клиент и директор подписали договор.", "two": "Клиенты читали договор без директоров."}
    ids = {name: batching.recording(app, [text], title=name) for name, text in texts.items()}
    ids["three"] = batching.recording(app, ["Клиент звонил про договор."], title="three")
    app.recordings.rename(EVERYONE, ids["three"], "three", ("Звонки",))
    app.recordings.date(EVERYONE, ids["one"], dates.of_text("2019-05-06T23:30:00", time.time()))
    return app


@pytest.mark.parametrize(
    ("question", "titles"),
    [
        ("клиент", {"one", "two", "three"}),
        ("клиент -директор", {"three"}),
        ("клиент -директора", {"three"}),
        ("клиент tag:звонки", {"three"}),
        ("клиент tag:нет", set()),
        ("клиент after:2000", {"one", "two", "three"}),
        ("клиент before:2000", set()),
        ("клиент before:2019-05-07", {"one"}),
        ("клиент after:2019-05-06", {"two", "three"}),
        ("дого*", {"one", "two", "three"}),
        ("дого", {"one", "two", "three"}),
    ],
)
def test_operators_narrow_what_is_found(archive, question, titles):
    matches = archive.searcher.search(EVERYONE, question, mode="words").matches
    named = archive.recordings.named(EVERYONE, {match.row.recording_id for match in matches})

    assert {row.title for row in named.values()} == titles
