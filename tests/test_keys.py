"""Keys: shown once, kept as digests, refused at once when they are wrong or revoked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest
from starlette.testclient import TestClient

from api import build
from core.clients import keys as keys_module
from core.clients.keys import FORM, Keys
from core.database.database import Database
from core.database.tables import Key
from core.errors import NotFound
from core.principal import EVERYONE
from core.settings import ROOT
from tests.installation import generous


@pytest.fixture
def database(tmp_path):
    return Database(f"sqlite:///{tmp_path / 'records.sqlite'}")


@pytest.fixture
def keys(database):
    return Keys(database)


def test_a_key_says_whose_it_is(keys):
    key = keys.make(EVERYONE, "bot", language="ru")

    who = keys.check(key)

    assert FORM.fullmatch(key)
    assert (who.owner, who.admin, who.language) == (key[4:12], False, "ru")


@pytest.mark.parametrize("spoilt", ["", "gam_", "ключ", "\0", "gam_00000000_" + "a" * 43 + "_00000000"])
def test_what_is_no_key_is_nobodys(keys, spoilt):
    assert keys.check(spoilt) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key.swapcase(),
        lambda key: "gam_00000000" + key[12:],
        lambda key: key[:20] + ("A" if key[20] != "A" else "B") + key[21:],
        lambda key: key.replace("gam_", "gam_ "),
    ],
)
def test_a_spoilt_key_is_nobodys(keys, spoil):
    assert keys.check(spoil(keys.make(EVERYONE, "bot"))) is None


def test_a_well_formed_key_of_another_installation_is_nobodys(keys, tmp_path):
    elsewhere = Keys(Database(f"sqlite:///{tmp_path / 'other.sqlite'}"))

    assert keys.check(elsewhere.make(EVERYONE, "bot")) is None


def test_a_revoked_key_is_refused_at_once(keys):
    key = keys.make(EVERYONE, "bot")
    keys.check(key)

    keys.revoke(EVERYONE, key[4:12])

    assert keys.check(key) is None


def test_the_secret_is_not_in_the_database(keys, database, tmp_path):
    key = keys.make(EVERYONE, "bot")
    keys.check(key)
    database.close()

    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert key[13:56].encode() not in content


def test_another_pepper_opens_nothing(database):
    key = Keys(database, "one").make(EVERYONE, "bot")

    assert Keys(database, "another").check(key) is None
    assert Keys(database, "one").check(key) is not None


def test_the_first_key_is_made_once(keys):
    first = keys.make_first()

    assert keys.check(first).admin
    assert keys.make_first() is None


def test_last_use_is_noted_but_not_every_time(keys, database):
    key = keys.make(EVERYONE, "bot")
    keys.check(key)
    with database.read() as session:
        noted = session.get(Key, key[4:12]).last_used_at
    keys.check(key)
    with database.read() as session:
        assert session.get(Key, key[4:12]).last_used_at == noted is not None


def test_a_ticket_opens_one_thing_for_a_while(keys, monkeypatch):
    ticket = keys.ticket("a recording")

    assert keys.admits(ticket, "a recording")
    assert not keys.admits(ticket, "another")
    assert not keys.admits("9999999999-" + ticket.partition("-")[2], "a recording")
    assert not any(keys.admits(bad, "a recording") for bad in ("", "-", "x-y", "1", ticket[:-1], "9²-"))
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert not keys.admits(ticket, "a recording")


def test_make_key_prints_the_key_and_nothing_else(tmp_path):
    environment = {**os.environ, "STENOGRAM_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tools.key", "телефония", "--admin"]

    completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    assert re.fullmatch(FORM.pattern + "\n", completed.stdout)
    keys = Keys(Database(f"sqlite:///{tmp_path / 'records.sqlite'}"))
    assert keys.check(completed.stdout.strip()).admin
    assert [key.name for key in keys.all(EVERYONE)] == ["телефония"]


def test_a_good_key_is_recalled_for_two_seconds_and_a_revoked_one_not(database):
    now = [0.0]
    keys, elsewhere = Keys(database, clock=lambda: now[0]), Keys(database)
    my_key, their_key = keys.make(EVERYONE, "mine"), keys.make(EVERYONE, "theirs")
    assert keys.recall(my_key) is None
    who = keys.check(my_key)
    assert keys.recall(my_key) == who
    assert keys.recall(their_key) is None

    keys.revoke(EVERYONE, my_key[4:12])
    assert keys.recall(my_key) is None

    keys.check(their_key)
    elsewhere.revoke(EVERYONE, their_key[4:12])
    now[0] = 2.1
    assert keys.recall(their_key) is None
    assert keys.check(their_key) is None


def test_a_key_ends_when_it_was_made_to(keys, monkeypatch):
    key = keys.make(EVERYONE, "bot", days=1)
    assert keys.check(key)
    later = time.time() + keys_module.DAY_S
    monkeypatch.setattr(time, "time", lambda: later)

    assert keys.check(key) is None
    with pytest.raises(NotFound):
        keys.rotate(EVERYONE, key[4:12])


@pytest.mark.parametrize("may", [{}, {"admin": True}, {"read_only": True, "days": 30}])
def test_a_key_is_renewed_without_a_gap(keys, monkeypatch, may):
    old = keys.make(EVERYONE, "bot", language="ru", **may)
    new = keys.rotate(EVERYONE, old[4:12])
    newest = keys.rotate(EVERYONE, new[4:12])

    before, after = keys.check(old), keys.check(newest)

    assert before == after == keys.check(new)
    assert keys.secret(before.owner) == keys.secret(after.owner)
    later = time.time() + keys_module.OVERLAP_S
    monkeypatch.setattr(time, "time", lambda: later)
    assert keys.check(old) is None
    assert keys.check(newest) == after
    later += 30 * keys_module.DAY_S
    assert (keys.check(newest) is None) == ("days" in may)


def test_a_key_that_may_only_look_changes_nothing_at_any_address(tmp_path):
    """Whatever the API describes: every address and method that takes a key."""
    app = generous(tmp_path / "home")
    api, key = build(lambda: app), app.keys.make(EVERYONE, "auditor", admin=True, read_only=True)
    asked = TestClient(api, headers={"X-API-Key": key, "Tus-Resumable": "1.0.0"})
    answers = {
        (method, path): asked.request(
            method, re.sub(r"\{\w+\}", "x", path), headers={"Tus-Resumable": "1.0.0"}
        )
        for path, operations in api.openapi()["paths"].items()
        for method, operation in operations.items()
        if operation.get("security")
    }

    changing = {key: answer.status_code for key, answer in answers.items() if key[0] not in {"get", "head"}}
    assert len(changing) > 30
    assert {key: status for key, status in changing.items() if status != 403} == {}
    assert 403 not in {answer.status_code for key, answer in answers.items() if key not in changing}
