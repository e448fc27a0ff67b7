"""The audit trail: nothing that people do is forgotten, nothing that is recorded is changed."""

from __future__ import annotations

import ast
import inspect
import textwrap
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

import api
from api.callers import Caller
from core.application import Application
from core.audit import AuditTrail, EventFilter, marks, record
from core.audit.trail import DAY_S
from core.clients.people import Identity
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import AuditEvent
from core.errors import AdminsOnly, NotFound, NotInvited, ReadOnly
from core.library import kept_moments, views
from core.library.recordings import TranscriptionOptions
from core.monitor import providers
from core.monitor.actions import Actions
from core.principal import EVERYONE, SYSTEM, Door, Principal
from core.settings import Settings
from jobs import installation
from tests.conftest import DATA
from tests.serve import serve
from tests.test_pages import texts, visit

ROOT = Path(__file__).parents[1]
WRITES = {"write", "set_value", "set_if_absent"}
"""Of the database: whatever is stored goes through them."""
UNRECORDED = {
    "ActiveEmbedder.embedder": "the name of the embedder is noted by whoever asks first",
    "AuditTrail.export": "records itself",
    "Deletion.drop_unused": "bytes that were refused, and are nobody's",
    "Estimates.keep": "what was promised, kept beside recordings that are recorded",
    "People._begin": "records a sign-in",
    "People._note": "how somebody is called and their groups, as the provider says it",
    "People.end": "records a sign-out",
    "PeriodicTasks.expedite": "a routine comes sooner",
    "ResumableUploads.begin": "bytes under way; what becomes of them is recorded",
    "ResumableUploads.forget": "the same",
    "SavedSearches.see": "what is new was looked at, by whoever keeps the search",
    "SearchLog.opened": "a log of its own, which the settings turn on",
    "SearchLog.write": "the same",
    "SentenceStore._keep": "a cache",
    "TaskGroups.begin": "with which others something is added",
    "TaskGroups._set": "the same",
    "start.py": "first steps are put away",
}
"""What writes and is no deed of anybody, or records itself; and why."""


class Walker:
    """Follows code to what it writes by, through live services, up to what is marked as recorded."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.known: dict[Any, set[str]] = {}
        self.called = {"application": app, "actions": Actions(app, EVERYONE)}

    def writers(self, function: Any, **bound: Any) -> set[str]:
        """Functions that write and are reached past no mark, by their names."""
        owner = getattr(function, "__self__", None)
        plain = inspect.unwrap(getattr(function, "__func__", function))
        key = (plain, id(owner))
        if key not in self.known:
            self.known[key] = set()
            bindings = {"self": owner, **bound}
            self.known[key] = set(self.reached(_tree(plain), plain.__globals__ | bindings, plain))
        return self.known[key]

    def reached(self, tree: ast.AST, names: dict[str, Any], inside: Any) -> Iterator[str]:
        """The same of what a piece of code names."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._bind(node.targets[0], node.value, names)
        for node in ast.walk(tree):
            found = self.value(node, names) if isinstance(node, ast.Attribute | ast.Name) else None
            if not (inspect.isfunction(found) or inspect.ismethod(found)) or hasattr(found, "audited"):
                continue
            if isinstance(getattr(found, "__self__", None), Database) and found.__name__ in WRITES:
                yield getattr(inside, "__qualname__", inside)
            elif found.__module__.partition(".")[0] in {"core", "api", "jobs"}:
                yield from self.writers(found)

    def value(self, node: ast.AST, names: dict[str, Any]) -> Any:
        """What a name or a chain of attributes is, as far as it is known without running anything."""
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value, names)
            computed = isinstance(inspect.getattr_static(owner, node.attr, None), property | cached_property)
            return None if computed and not isinstance(owner, Caller) else getattr(owner, node.attr, None)
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            return self.called.get(called)
        return None

    def _bind(self, target: ast.AST, value: ast.AST, names: dict[str, Any]) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for each, of in zip(target.elts, value.elts, strict=False):
                self._bind(each, of, names)
        elif isinstance(target, ast.Name) and (found := self.value(value, names)) is not None:
            names[target.id] = found


def _tree(function: Any) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def services(app: Application) -> Iterator[Any]:
    """Every service, and what services offer as parts of theirs."""
    for service in (*vars(app).values(), Actions(app, EVERYONE)):
        if type(service).__module__.startswith("core."):
            yield service
            for name, part in vars(service).items():
                if not name.startswith("_") and type(part).__module__.startswith("core."):
                    yield part


def of_services(app: Application) -> Iterator[tuple[str, Any]]:
    """Public methods of services that somebody calls, who is named or is the service's own."""
    for service in services(app):
        for name, function in inspect.getmembers(type(service), inspect.isfunction):
            somebody = "principal" in inspect.signature(function).parameters or isinstance(service, Actions)
            if not name.startswith("_") and somebody:
                yield f"{type(service).__name__}.{name}", getattr(service, name)
    for function in (views.reading, views.exported, providers.test, providers.keep_key):
        yield function.__name__, function


def test_nothing_that_people_do_is_forgotten(app):
    """Every service, address and page: what it writes is recorded, or named above with the reason."""
    walker, forgotten = Walker(app), set()
    for name, method in of_services(app):
        if not hasattr(method, "audited"):
            forgotten |= {(writer, name) for writer in walker.writers(method)}
    caller = Caller(app, EVERYONE, "en")
    for route in api.api.routes:
        if isinstance(route, APIRoute):
            bound = {"caller": caller, "application": app}
            forgotten |= {(writer, route.path) for writer in walker.writers(route.endpoint, **bound)}
    for path in sorted((ROOT / "pages").rglob("*.py")):
        tree = ast.parse(path.read_text())
        modules = {"views": views, "providers": providers, "app": app}
        forgotten |= {(writer, path.name) for writer in walker.reached(tree, modules, path.name)}
    assert {
        writer: sorted({by for each, by in forgotten if each == writer})
        for writer, _ in sorted(forgotten)
        if writer not in UNRECORDED
    } == {}
    assert {writer for writer, _ in forgotten} == set(UNRECORDED), "exceptions that nothing needs any more"
    assert walker.writers(app.tariffs.set_cap) == {"Tariffs.set_cap"}, (
        "it sees what is written, but for marks"
    )


def events(app: Application, **wanted: Any) -> list[tuple[str, str, str]]:
    """Action, who and object of what was recorded, oldest first."""
    rows, _ = app.audit.find(EVERYONE, EventFilter(**wanted))
    return [(row.action, row.who, row.object_id) for row in reversed(rows)]


ANNA = Principal("pages", name="anna@example.com", session="s1")
ANNA_ADMIN = Principal("pages", admin=True, name="anna@example.com")
BOT = Principal("abcd1234", name="a bot", door=Door.API, key="abcd1234")


def test_what_people_do_is_recorded_with_who_and_on_what_and_nothing_of_what_it_says(app):
    with (DATA / "en_meeting.opus").open("rb") as file:
        options = TranscriptionOptions(title="The secret plan", language="en")
        id_ = app.intake.accept(ANNA, file, "secret.opus", options).recording_id
    for _ in range(2):
        views.reading(app.database, app.transcripts, ANNA, id_)
        app.recordings.listen(ANNA, id_)
    app.recordings.rename(ANNA, id_, "Still secret", ("hidden",))
    app.bulk.archive(ANNA, [id_], ["txt"])
    app.recordings.download(ANNA, id_)
    app.recycle_bin.put(ANNA, id_)
    app.recycle_bin.restore(ANNA, id_)
    for refused in (
        lambda: app.recordings.rename(BOT, id_, "Mine now", ()),
        lambda: app.tariffs.set_cap(BOT, "", "5"),
        lambda: app.covers.ask(Principal("pages", read_only=True), id_, ["a lake"], None),
    ):
        for _ in range(2):
            with pytest.raises((NotFound, AdminsOnly, ReadOnly)):
                refused()
    app.recycle_bin.delete(SYSTEM, id_)

    did = ("added", "saw", "heard", "changed", "exported", "exported", "deleted", "restored")
    assert events(app, who="anna@example.com") == [(what, "anna@example.com", id_) for what in did]
    assert events(app, action=AuditAction.REFUSED) == [
        ("refused", "abcd1234", id_), ("refused", "abcd1234", ""), ("refused", "pages", id_),
    ]  # fmt: skip
    assert events(app, who="system") == [("deleted", "system", id_)]
    with app.database.read() as session:
        kept = str(
            [[str(value) for value in row] for row in session.execute(text("SELECT * FROM audit_events"))]
        )
    assert not [word for word in ("secret", "hidden", "Mine", "plan") if word in kept]


def test_an_event_stands_and_falls_with_its_change(app, monkeypatch):
    def breaks(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(kept_moments, "_arranged", breaks)
    collection = app.kept_moments.make_collection(EVERYONE, "mine").id
    with pytest.raises(RecursionError):
        app.kept_moments.arrange(EVERYONE, collection, [])
    assert events(app) == [("added", "pages", collection)]

    monkeypatch.setattr(marks, "record", breaks)
    with pytest.raises(RecursionError):
        app.tariffs.set_cap(EVERYONE, "", "5")
    assert app.tariffs.caps() == {}


def test_sign_ins_their_ends_and_who_is_turned_away_are_recorded(tmp_path):
    lists = {"proxy_user_header": "X-User", "trusted_proxies": "127.0.0.1", "oidc_members": "*@example.com"}
    app = Application(Settings(stenogram_home=tmp_path, **lists))
    anna = Identity("anna@example.com", session="a" * 64, signed_in_at=time.time())
    for _ in range(2):
        app.people.principal(anna)
        with pytest.raises(NotInvited):
            app.people.principal(Identity("eve@elsewhere.org"))
    app.people.end(anna.session)
    app.people.end(anna.session)

    assert events(app) == [
        ("signed_in", "anna@example.com", "a" * 12),
        ("refused", "eve@elsewhere.org", ""),
        ("signed_out", "anna@example.com", "a" * 12),
    ]


def aged(days: float, n: int = 0) -> AuditEvent:
    """An event that is so old."""
    return AuditEvent(
        at=time.time() - days * DAY_S,
        who=BOT.actor,
        door=BOT.door,
        action=AuditAction.CHANGED,
        subject=AuditSubject.RECORDING,
        object_id=f"=r{n}",
        operation="test",
    )


def test_nobody_changes_or_deletes_what_was_recorded_before_its_time_is_over(database):
    trail = AuditTrail(database, time.time, keep_days=60)
    with database.write() as session:
        session.add_all([aged(days) for days in (1, 29, 40, 70, 80)])
    attempts = [
        update(AuditEvent).values(who="nobody"),
        delete(AuditEvent),
        delete(AuditEvent).where(AuditEvent.id == 1),
    ]
    if database.has_local_clock is False:
        attempts.append(text("TRUNCATE audit_events"))
    for attempt in attempts:
        with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
            session.execute(attempt)

    assert [trail.sweep(), trail.sweep()] == [2, 0]
    with database.read() as session:
        assert len(session.scalars(select(AuditEvent)).all()) == 3
    with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
        session.execute(delete(AuditEvent).where(AuditEvent.at > time.time() - 50 * DAY_S))


def test_events_are_found_page_by_page_and_saved_as_a_table(database):
    trail = AuditTrail(database, time.time, keep_days=60)
    with database.write() as session:
        session.add_all([aged(n, n) for n in range(5)])
        record(session, SYSTEM, AuditAction.PAID, AuditSubject.ORDER, "o1", "gemini", "0.5")
    first, following = trail.find(EVERYONE, EventFilter(who=BOT.actor), 2)
    second, after = trail.find(EVERYONE, EventFilter(who=BOT.actor), 3, following)
    assert [row.object_id for row in (*first, *second)] == ["=r0", "=r1", "=r2", "=r3", "=r4"]
    assert after == ""

    now = time.time()
    since = EventFilter(since=now - 3.5 * DAY_S, until=now - 1.5 * DAY_S)
    for wanted, count in (
        (since, 2),
        (EventFilter(object_id="=r3"), 1),
        (EventFilter(action=AuditAction.PAID), 1),
    ):
        assert len(trail.find(EVERYONE, wanted)[0]) == count
    lines = trail.export(EVERYONE, EventFilter()).decode("utf-8-sig").splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("at,who,door,action")
    assert lines[1].endswith(",system,system,paid,order,o1,gemini,0.5")
    assert ",'=r0," in lines[2]
    assert [row.object_id for row in trail.find(EVERYONE, EventFilter(action=AuditAction.EXPORTED))[0]] == [
        "audit"
    ]
    for ask in (trail.find, trail.export):
        with pytest.raises(AdminsOnly):
            ask(BOT, EventFilter())


def test_programs_and_pages_show_the_trail_to_admins(app):
    app.tariffs.set_cap(ANNA_ADMIN, "", "5")
    with serve(app) as served:
        auditor = app.keys.make(EVERYONE, "auditor", admin=True, read_only=True)
        wrong = auditor[:-1] + ("0" if auditor[-1] != "0" else "1")
        member = app.keys.make(EVERYONE, "member")
        with served.client(member) as client:
            assert client.get("/api/v1/audit").status_code == 403
        with served.client(wrong) as client:
            assert client.get("/api/v1/audit").status_code == 401
        with served.client(auditor) as client:
            assert client.post("/api/v1/recordings/r1/transcribe").status_code == 403
            refused = client.get("/api/v1/audit", params={"action": "refused"}).json()["events"]
            page = client.get("/api/v1/audit", params={"who": "anna@example.com", "limit": 1}).json()
    assert [(one["who"], one["operation"]) for one in refused] == [
        (auditor[4:12], "read_only"),
        ("", "key_refused"),
        (member[4:12], "admins_only"),
    ]
    assert [(one["subject"], one["operation"]) for one in page["events"]] == [("budget", "tariffs.set_cap")]
    assert page["next"] == ""


def test_the_page_lists_filters_and_turns_pages(app, monkeypatch):
    monkeypatch.setenv("STENOGRAM_HOME", str(app.settings.home))
    installation.serve(None)
    key = app.keys.make(EVERYONE, "scripts")
    for n in range(60):
        app.tariffs.set_cap(ANNA_ADMIN, f"key{n}", "5")

    at = visit("audit", "en")
    assert f"scripts (gam_{key[4:12]}_…)" in at.selectbox(key="audit-who").options
    newest = at.dataframe[0].value
    at.button(key="audit-older").click().run()
    older = at.dataframe[0].value
    at.selectbox(key="audit-who").select("system").run()
    installation.serve(None)

    assert (len(newest), len(older)) == (50, 11), "and that the key was made"
    assert newest["object_id"].iloc[0] == "key59"
    assert older["object_id"].iloc[-2] == "key0"
    assert "Nothing was recorded that fits" in texts(at)
