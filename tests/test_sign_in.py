"""People sign in at a real OpenID provider, or a proxy says who they are; the lists say what they may do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from api.proxies import Proxies
from core.clients import people
from core.clients.keys import Keys
from core.clients.people import Identity, People
from core.database.database import Database
from core.errors import Code, NotInvited, SignInNeeded
from core.principal import PAGES, Role
from core.settings import ROOT, Settings, SettingsInvalid, load
from pages.components.sessions import sign_in_secrets
from tests.installation import generous

OIDC = {
    "oidc_issuer": "https://id.example",
    "oidc_client_id": "stenogram",
    "oidc_client_secret": "secret",
}
LISTS = {
    "oidc_admins": "anna@example.com, it-admins",
    "oidc_members": "*@example.com",
    "oidc_readers": "listeners",
}
CLAIMS = {
    "aud": ["stenogram"],
    "sub": "17",
    "iss": "https://id.example",
    "iat": 1000.0,
    "nonce": "n",
    "email": "anna@example.com",
}
OPEN = "HOST={} can be reached from elsewhere, and nobody would be asked who they are"


@pytest.fixture
def crowd(tmp_path):
    """Everybody who signed in at second 1000; it is 1100."""
    now = [1100.0]
    database = Database(f"sqlite:///{tmp_path / 'records.sqlite'}")
    found = People(Settings(**OIDC, **LISTS), database, lambda: now[0], lambda: now[0])
    yield found, now
    database.close()


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({}, Role.ADMIN),
        ({"email": "ANNA@Example.com"}, Role.ADMIN),
        ({"email": "boris@example.com"}, Role.MEMBER),
        ({"email": "boris@example.com", "groups": ["IT-Admins"]}, Role.ADMIN),
        ({"email": "clara@elsewhere.example", "groups": "listeners"}, Role.READER),
        ({"email": "stranger@elsewhere.example"}, None),
        ({"email": "anna@example.com", "email_verified": False}, None),
        ({"email": "anna\u200b@example.com"}, None),
        ({"email": "", "sub": "anna@example.com.evil.example"}, None),
        ({"email": None, "name": "anna@example.com", "preferred_username": "anna@example.com"}, None),
        ({"aud": "another"}, None),
        ({"aud": []}, None),
        ({"aud": "stenogram"}, Role.ADMIN),
        ({"email": "x@evil.example", "groups": ["*@example.com"]}, None),
    ],
)
def test_the_lists_say_what_somebody_may_do(claims, role):
    settings = Settings(**OIDC, **LISTS)
    identity = people.of_claims({**CLAIMS, **claims}, settings)

    assert (people.role(identity, settings) if identity else None) is role


def test_a_principal_is_what_the_role_allows(crowd):
    found, _ = crowd
    anna, boris, clara = (
        found.principal(Identity(name, groups, name, 1000.0))
        for name, groups in (
            ("anna@example.com", ()),
            ("boris@example.com", ()),
            ("clara@x.example", ("listeners",)),
        )
    )

    assert [(one.admin, one.read_only, one.may_administer) for one in (anna, boris, clara)] == [
        (True, False, True),
        (False, False, False),
        (False, True, False),
    ]
    assert len({one.owner for one in (anna, boris, clara)}) == 3
    assert {one.common for one in (anna, boris, clara)} == {PAGES}
    with pytest.raises(NotInvited):
        found.principal(Identity("stranger@elsewhere.example", (), "s", 1000.0))
    with pytest.raises(SignInNeeded):
        found.principal(None)


def test_a_session_ends_by_signing_out_in_every_process_and_by_the_clock(crowd, tmp_path):
    found, now = crowd
    anna = people.of_claims(CLAIMS, found._settings)
    found.principal(anna)
    other = People(Settings(**OIDC, **LISTS), found._database, lambda: now[0], lambda: now[0])
    other.principal(anna)

    other.end(anna.session)

    now[0] += people.FRESH_S
    for each in (found, other):
        with pytest.raises(SignInNeeded):
            each.principal(anna)
    again = people.of_claims({**CLAIMS, "iat": now[0], "nonce": "m"}, found._settings)
    assert found.principal(again).session != anna.session
    now[0] += 12 * 3600
    with pytest.raises(SignInNeeded):
        found.principal(again)


@pytest.mark.parametrize(
    ("peer", "user"),
    [("10.0.0.7", "anna@example.com"), ("203.0.113.9", ""), ("127.0.0.1", "")],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_only_a_trusted_proxy_says_who_somebody_is(peer, user, kind):
    settings = Settings(proxy_user_header="X-Forwarded-User", trusted_proxies="10.0.0.0/8")
    seen = []

    async def app(scope, _receive, _send):
        seen.append(dict(scope["headers"]).get(b"x-forwarded-user", b"").decode())

    sent = [(b"x-forwarded-user", b"anna@example.com"), (b"x-forwarded-for", b"10.0.0.7")]
    scope = {"type": kind, "client": (peer, 1), "scheme": kind, "headers": sent}
    asyncio.run(Proxies(app, lambda: settings)(scope, None, None))

    assert seen == [user]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"HOST": "0.0.0.0"}, OPEN.format("0.0.0.0")),
        ({"HOST": "::"}, OPEN.format("::")),
        ({"HOST": "scribe.example.com"}, OPEN.format("scribe.example.com")),
        ({"OIDC_ISSUER": "https://id.example", "OIDC_ADMINS": "a"}, "OIDC_ISSUER needs OIDC_CLIENT_ID"),
        ({"PROXY_USER_HEADER": "X-User", "OIDC_ADMINS": "a"}, "PROXY_USER_HEADER needs TRUSTED_PROXIES"),
        ({"PROXY_USER_HEADER": "X-User", "TRUSTED_PROXIES": "127.0.0.1"}, "Nobody could come in"),
        ({name.upper(): value for name, value in OIDC.items()}, "Nobody could come in"),
    ],
)
def test_what_would_let_everybody_in_or_nobody_is_refused_with_one_sentence(monkeypatch, settings, said):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsInvalid) as caught:
        load()

    (sentence,) = caught.value.sentences
    assert sentence.startswith(said)
    if "HOST" in settings:
        monkeypatch.setenv("PAGES_OPEN", "true")
        assert load().host == settings["HOST"]


def test_the_tool_does_not_start_where_everybody_could_come(tmp_path):
    environment = {**os.environ, "STENOGRAM_HOME": str(tmp_path / "home"), "HOST": "0.0.0.0"}

    ended = subprocess.run(
        [sys.executable, "app.py"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ended.returncode == 2
    assert ended.stderr.strip().splitlines()[-1].startswith(OPEN.format("0.0.0.0"))


def test_tickets_end_with_the_session_they_were_given_to(crowd):
    found, _ = crowd
    keys = Keys(found._database, is_open=found.is_open)
    anna = found.principal(people.of_claims(CLAIMS, found._settings))
    sound, upload = keys.ticket("a recording", anna.session), keys.upload_ticket(anna, "a1")
    assert keys.admits(sound, "a recording")
    assert keys.uploader(upload) == (anna.owner, "a1")
    assert not keys.admits(sound.replace(f".{anna.session}", ""), "a recording")

    found.end(anna.session)

    assert not keys.admits(sound, "a recording")
    assert keys.uploader(upload) is None


def test_the_secrets_of_signing_in_are_on_no_disk_and_the_same_after_a_restart(tmp_path):
    app = generous(tmp_path / "home", **{**OIDC, "oidc_client_secret": "a-client-secret"}, **LISTS)
    secrets = sign_in_secrets(app)["auth"]
    app.database.close()

    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    again = sign_in_secrets(generous(tmp_path / "home", **OIDC, **LISTS))["auth"]

    assert secrets["client_kwargs"]["code_challenge_method"] == "S256"
    assert secrets["client_secret"].encode() not in kept
    assert secrets["cookie_secret"].encode() not in kept
    assert again["cookie_secret"] == secrets["cookie_secret"]
    assert json.dumps(sign_in_secrets(generous(tmp_path / "other"))) == "{}"
    assert Code.SIGN_IN_NEEDED.message
