"""A database that fails is a sentence on the pages too, in the language of the person."""

from __future__ import annotations

import sqlite3

import pytest
from streamlit.testing.v1 import AppTest

from core.library import views
from core.settings import ROOT
from jobs import installation


@pytest.fixture(autouse=True)
def _served(app):
    installation.serve(app)
    yield
    installation.serve(None)


@pytest.mark.parametrize(("locale", "text"), [("en-GB", "restore the backup"), ("ru-RU", "резервную копию")])
def test_a_damaged_database_is_a_sentence_on_a_page(monkeypatch, locale, text):
    def damaged(*_, **__):
        error = sqlite3.DatabaseError("database disk image is malformed: /srv/secret")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    monkeypatch.setattr(views, "totals", damaged)
    at = AppTest.from_file(str(ROOT / "pages" / "_frame.py"), default_timeout=60)
    at.context = {"locale": locale, "timezone": "Europe/Moscow"}
    at.run()
    at.switch_page("search.py")
    at.run()

    assert not at.exception
    assert text in "\n".join(error.value for error in at.error)
