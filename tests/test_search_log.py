"""What was asked of the search: counted always, its words and what was opened only where somebody said so."""

from __future__ import annotations

import pytest

from core.application import Application
from core.principal import EVERYONE, PAGES, Principal
from core.search.log import AGAIN_S, KEPT_S
from core.settings import Settings
from tests import batching
from tests.clock import Clock

WEEK_S = 7 * 86_400.0


def installation(home, **settings) -> Application:
    app = Application(Settings(stenogram_home=home, **settings), clock=Clock())
    batching.recording(app, ["Договор подписали в четверг."])
    return app


def ask(app, *questions):
    for question in questions:
        app.searcher.search(EVERYONE, question, mode="words")


def test_questions_are_counted_and_their_words_are_not_kept(tmp_path):
    app = installation(tmp_path)
    ask(app, "договор", "редис", "редис")

    summary = app.search_log.summary(WEEK_S)

    assert (summary.asked, summary.unanswered, summary.questions) == (2, 1, ())
    assert summary.median_ms > 0


def test_words_without_an_answer_are_kept_where_somebody_said_so(tmp_path):
    app = installation(tmp_path, search_log=True)
    ask(app, "договор", "редис")
    app.clock.ahead_s += AGAIN_S
    ask(app, "редис", "кофе")

    assert app.search_log.summary(WEEK_S).questions == (("редис", 2), ("кофе", 1))

    app.clock.ahead_s += KEPT_S + 1
    app.search_log.forget()
    assert app.search_log.summary(10 * KEPT_S).asked == 0


def test_the_same_question_of_somebody_else_is_another(tmp_path):
    app = installation(tmp_path)
    ask(app, "договор")
    app.searcher.search(Principal(PAGES), "договор", mode="words")

    assert app.search_log.summary(WEEK_S).asked == 1 + (EVERYONE.owner != PAGES)


@pytest.mark.parametrize("kept", [False, True])
def test_opened_answers_are_kept_only_where_somebody_said_so(tmp_path, kept):
    app = installation(tmp_path, search_clicks=kept)
    (recording,) = app.recordings.find(EVERYONE)[1]
    app.search_log.opened("договор", recording.id, 3.0, 2)

    summary = app.search_log.summary(WEEK_S)

    assert (summary.opened, summary.median_place) == ((1, 2) if kept else (0, None))
