"""Errors are known by their code: sentences may be reworded, and nothing but what people read changes."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from core.database import error_codes, migrations
from core.database.database import Database
from core.database.tables import Breaker
from core.errors import Code, Rejected, code_of, record
from core.i18n import catalogue
from core.settings import ROOT

SOURCES = [
    path
    for folder in ("core", "pages", "api", "jobs", "deploy")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
WITHOUT_OWN = {"StenogramError", "Rejected", "BadRequest", "Conflict"}
"""Classes that say what to do and not what happened: each raise says it by its code."""


@functools.cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in SOURCES}


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def classes() -> set[str]:
    """Names of all error classes, wherever they are defined."""
    names = {"StenogramError"}
    defined = [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in range(5):
        names |= {node.name for node in defined if names & {name_of(base) for base in node.bases}}
    return names


@functools.cache
def raised() -> dict[str, ast.Call]:
    """Every place that makes an error, by file and line."""
    known_classes = classes()
    return {
        f"{path.relative_to(ROOT)}:{node.lineno}:{node.col_offset}": node
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and name_of(node.func) in known_classes
    }


def codes(call: ast.AST) -> list[Code]:
    """Codes that are named within a call."""
    attributes = (node for node in ast.walk(call) if isinstance(node, ast.Attribute))
    named = (node.attr for node in attributes if name_of(node.value) == "Code")
    return [Code[name] for name in named if name in Code.__members__]


def complete(call: ast.Call) -> bool:
    """Whether it names its code, where its class is none, and has all facts of the code's sentence."""
    named = codes(call)
    if name_of(call.func) in WITHOUT_OWN and not named:
        return False
    if any(keyword.arg is None for keyword in call.keywords):
        return True  # facts that were kept are handed on
    if name_of(call.func) in {"ProviderRefused", "HttpClient"}:
        return True  # it has its facts as parameters
    keywords = {keyword.arg for keyword in call.keywords}
    return all(set(re.findall(r"\{(\w+)\}", code.message)) <= keywords for code in named)


def test_whoever_makes_an_error_says_its_code_and_all_its_facts():
    assert len(raised()) > 100
    assert [place for place, call in raised().items() if not complete(call)] == []


@pytest.mark.parametrize(
    ("call", "whole"),
    [
        ("Rejected(Code.RECORDING_TOO_LONG, limit='2 h')", True),
        ("Rejected(Code.RECORDING_TOO_LONG)", False),
        ("Rejected('too long')", False),
        ("Rejected(Code.RECORDING_TOO_LONG, **facts)", True),
        ("NotFound()", True),
    ],
)
def test_an_error_without_code_or_facts_would_be_noticed(call, whole):
    assert complete(ast.parse(call, mode="eval").body) is whole


def test_every_code_has_one_sentence_and_every_sentence_one_code():
    messages = [code.message for code in Code]

    assert [code.value for code in Code] == [name.lower() for name in Code.__members__]
    assert len(set(messages)) == len(messages)


def test_no_code_is_without_use():
    used = {code for tree in trees().values() for code in codes(tree)}

    assert set(Code) - used == set()


def test_a_kept_error_is_the_same_error_again():
    error = Rejected.restored(record(Code.REQUEST_REFUSED, provider="Groq", detail="HTTP 400"))

    assert (error.code, str(error)) == (Code.REQUEST_REFUSED, "Groq refused: HTTP 400.")


def test_an_error_of_a_newer_version_is_shown_as_it_was_kept():
    stored = {"code": "of_tomorrow", "message": "The {thing} is late.", "facts": {"thing": "train"}}

    assert str(Rejected.restored(stored)) == catalogue.translate_error(stored, "en") == "The train is late."


# Earlier versions


def breaker(name: str, error: dict[str, object] | None) -> Breaker:
    return Breaker(provider=name, fingerprint="", failures=1, refused=False, open_until=0.0, error=error)


def test_errors_of_versions_without_codes_are_understood(tmp_path):
    """Also after rewording: the sentences of these versions are written down."""
    database = Database(f"sqlite:///{tmp_path / 'records.sqlite'}")
    old = {
        "message": "{provider} is not asked: the monthly cap is reached ({setting}).",
        "facts": {"provider": "Gemini", "setting": "MONTHLY_CAP_USD"},
    }
    with database.write() as session:
        session.add_all(
            [breaker("old", old), breaker("fine", None), breaker("other", {"message": "Never said."})]
        )
    database.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'records.sqlite'}")
    with engine.begin() as connection:
        error_codes.add_codes(connection)
        error_codes.add_codes(connection)

    with database.read() as session:
        assert session.get_one(Breaker, "old").error == {"code": "cap_reached", **old}
        assert session.get_one(Breaker, "fine").error is None
        assert code_of(session.get_one(Breaker, "other").error) is None


def test_opening_a_database_of_such_a_version_does_that(tmp_path):
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    with create_engine(url).begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(migrations.HERE))
        command.upgrade(config, "0002")
    with Session(create_engine(url)) as session, session.begin():
        session.add(breaker("old", {"message": "Not found.", "facts": {}}))

    with Database(url).read() as session:
        assert code_of(session.get_one(Breaker, "old").error) is Code.NOT_FOUND


def test_every_sentence_of_old_is_of_a_code_that_is_there():
    assert set(error_codes.CODES.values()) <= {code.value for code in Code}
