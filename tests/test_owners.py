"""People own what they bring; others see of it what is shared with them, and nothing tells of the rest."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from core.application import Application
from core.clients.links import WRONG_PER_MIN, Links
from core.clients.people import Identity
from core.database.database import Database
from core.database.states import Access, ShareKind
from core.database.tables import Person, Recording, Share
from core.errors import AdminsOnly, BadRequest, NotFound, ReadOnly, SignInNeeded, TooMany
from core.library import moments, views
from core.library.kept_moments import Stretch
from core.library.recording_sharing import RecordingSharing, Sharing
from core.library.recordings import TranscriptionOptions
from core.monitor import monitor
from core.principal import EVERYONE, PAGES, Principal
from core.settings import ROOT, Settings
from core.storage.resumable import HELD
from jobs import installation
from pages.components import common
from tests import drive
from tests.clock import Clock

PEOPLE = {
    name: Identity(name, ("Sales",) if name == "boris" else ())
    for name in ("anna", "boris", "clara", "admin")
}
ANNA = Principal(PEOPLE["anna"].owner, name="anna")
BORIS = Principal(PEOPLE["boris"].owner, name="boris", groups=("sales",))
CLARA = Principal(PEOPLE["clara"].owner, name="clara", read_only=True)
ADMIN = Principal(PEOPLE["admin"].owner, name="admin", admin=True)
PROGRAM = Principal("0a1b2c3d")
LINES = "1\n00:00:00,000 --> 00:00:04,000\n{}\n"


@pytest.fixture
def app(tmp_path):
    """A team of four, all of whom have been here."""
    settings = Settings(
        stenogram_home=tmp_path / "home",
        proxy_user_header="X-User",
        trusted_proxies="127.0.0.1",
        oidc_admins="admin",
        oidc_members="anna, boris",
        oidc_readers="clara",
    )
    team = Application(settings, clock=Clock())
    here = [team.people.principal(PEOPLE[name]) for name in PEOPLE]
    assert here == [ANNA, BORIS, CLARA, ADMIN]
    return team


def bring(app, principal, name, text, **options):
    """A recording that is a transcript, indexed."""

    task = app.intake.accept(
        principal,
        io.BytesIO(LINES.format(text).encode()),
        name,
        TranscriptionOptions(language="en", **options),
    )
    drive.perform_all(app)
    return task.recording_id


def share(app, recording_id, everybody=Access.NONE, **named):
    with app.database.write() as session:
        session.get_one(Recording, recording_id).everybody = everybody
        for kind, (who, access) in named.items():
            session.add(Share(recording_id=recording_id, kind=ShareKind(kind), who=who, access=access))


def found(app, principal, question="zebra"):
    return moments.find(app.searcher, app.recordings, principal, question, mode="words", limit=9)


READERS = {
    "private": ({}, set()),
    "everybody": ({"everybody": Access.READ}, {BORIS, CLARA}),
    "by name": ({"person": (CLARA.owner, Access.READ)}, {CLARA}),
    "by group": ({"group": ("sales", Access.READ)}, {BORIS}),
}


@pytest.mark.parametrize("how", READERS)
def test_everything_shows_what_somebody_may_see_and_nothing_else(app, how):
    sharing, readers = READERS[how]
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", tags=("animals",), everybody=False)
    other = bring(app, BORIS, "other.srt", "the zebra sleeps", everybody=False)
    share(app, id_, **sharing)

    for principal in (ANNA, BORIS, CLARA, ADMIN, PROGRAM):
        sees = principal in {*readers, ANNA, ADMIN}
        also = [other] if principal in {BORIS, ADMIN} else []
        expected = {*([id_] if sees else []), *also}
        total, cards = views.cards(app.database, principal)
        assert ({card.recording.id for card in cards}, total) == (expected, len(expected))
        result = found(app, principal)
        assert {each.recording_id for each in result.results} == expected
        assert set(result.tags) == ({"animals"} if sees else set())
        assert set(views.tags(app.database, principal)) == ({"animals"} if sees else set())
        assert views.totals(app.database, principal).recordings == len(expected)
        assert {row.recording_id for row in app.recordings.tasks(principal)[1]} == expected
        if not sees:
            with pytest.raises(NotFound):
                app.recordings.get(principal, id_)
            with pytest.raises(NotFound):
                app.recording_text.utterances(principal, id_)


@pytest.mark.parametrize(
    ("access", "error"), [(Access.READ, ReadOnly), (Access.WRITE, None), (Access.NONE, NotFound)]
)
def test_others_change_what_they_may_and_never_delete_it_for_good(app, access, error):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=False)
    share(app, id_, access)
    row = app.recordings.find(ANNA)[1][0]
    version = app.recording_text.utterances(ANNA, id_)[0].version

    def attempts(principal):
        yield lambda: app.recordings.rename(principal, id_, "Herd", ())
        yield lambda: app.recording_text.rewrite(principal, id_, 0, [version], "the zebra runs")
        yield lambda: app.bulk.tag(principal, [id_], ["x"])
        yield lambda: app.recycle_bin.put(principal, id_)
        yield lambda: app.recycle_bin.restore(principal, id_)

    for attempt in attempts(BORIS):
        if error is None:
            attempt()
        else:
            with pytest.raises(error):
                attempt()
    for attempt in attempts(CLARA):
        with pytest.raises(ReadOnly if access is not Access.NONE else NotFound):
            attempt()
    with pytest.raises(ReadOnly if access is not Access.NONE else NotFound):
        app.recycle_bin.delete(BORIS, id_)
    app.recycle_bin.put(ANNA, id_)
    assert app.recycle_bin.empty(BORIS) == 0
    assert app.recycle_bin.empty(ANNA) == 1
    assert row.owner == ANNA.owner


def test_what_is_shared_no_more_is_gone_for_others_and_their_quotation_stays(app):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=True)
    kept = app.kept_moments.keep(BORIS, Stretch(id_, 0.0, 3.0))
    saved = app.saved_searches.save(BORIS, "zebra", "words", standing=True)
    app.saved_searches.run(app.recordings.get(ANNA, id_))
    assert [one.new for one in app.saved_searches.all(BORIS)] == [1]

    share(app, id_, Access.NONE)

    assert app.kept_moments.get(BORIS, kept.moment.id).recording is None
    assert app.saved_searches.hits(BORIS, saved.id) == []
    assert [one.new for one in app.saved_searches.all(BORIS)] == [0]
    for principal in (ANNA, CLARA):
        assert app.saved_searches.all(principal) == app.kept_moments.find(principal) == []


def test_what_came_before_anybody_signed_in_is_everybodys(app):
    id_ = bring(app, EVERYONE, "herd.srt", "the zebra crosses")
    moment = app.kept_moments.keep(EVERYONE, Stretch(id_, 0.0, 3.0)).moment
    app.saved_searches.save(EVERYONE, "zebra", "words")

    for principal in (ANNA, CLARA):
        assert app.recordings.get(principal, id_).everybody is Access.WRITE
        assert [kept.moment.id for kept in app.kept_moments.find(principal)] == [moment.id]
        assert len(app.saved_searches.all(principal)) == 1
    app.recordings.rename(ANNA, id_, "Herd", ())
    with pytest.raises(ReadOnly):
        app.recordings.rename(CLARA, id_, "Mine", ())
    with pytest.raises(NotFound):
        app.recordings.get(PROGRAM, id_)


def test_readers_write_through_no_service(app):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=True)
    task = app.recordings.tasks(ANNA)[1][0]
    search = app.saved_searches.save(EVERYONE, "zebra", "words")
    collection = app.kept_moments.make_collection(EVERYONE, "Herds")
    moment = app.kept_moments.keep(EVERYONE, Stretch(id_, 0.0, 3.0)).moment
    entry = app.glossary.save(EVERYONE, "Zebra")
    attempts = [
        lambda: bring(app, CLARA, "mine.srt", "mine"),
        lambda: app.intake.transcribe_again(CLARA, id_, TranscriptionOptions()),
        lambda: app.tasks.cancel(CLARA, task.id),
        lambda: app.deletion.delete_task(CLARA, task.id),
        lambda: app.kept_moments.keep(CLARA, Stretch(id_, 0.0, 2.0)),
        lambda: app.kept_moments.change(CLARA, moment.id, title="x"),
        lambda: app.kept_moments.add(CLARA, collection.id, moment.id),
        lambda: app.kept_moments.delete_collection(CLARA, collection.id),
        lambda: app.saved_searches.save(CLARA, "lion", "words"),
        lambda: app.saved_searches.delete(CLARA, search.id),
        lambda: app.glossary.save(CLARA, "Lion"),
        lambda: app.glossary.forget(CLARA, entry.id),
        lambda: app.recording_speakers.rename(CLARA, id_, "left", "Ann"),
        lambda: app.resumable_uploads.begin(CLARA, 10, {}),
        lambda: app.task_groups.begin(CLARA),
        lambda: app.recycle_bin.empty(CLARA),
        lambda: app.keys.upload_ticket(CLARA, "a1"),
    ]
    for attempt in attempts:
        with pytest.raises(ReadOnly):
            attempt()
    with app.database.read() as session:
        assert len(session.scalars(select(Recording)).all()) == 1


def test_half_a_file_is_its_senders_alone(app):
    row = app.resumable_uploads.begin(ANNA, 10, {HELD: "1"}, "a1")

    for principal in (BORIS, Principal(PAGES), PROGRAM):
        with pytest.raises(NotFound):
            app.resumable_uploads.get(principal, row.id)
        assert app.resumable_uploads.held(principal, [row.id]) == []
    assert app.keys.uploader(app.keys.upload_ticket(ANNA, "a1")) == (ANNA.owner, "a1")
    forged = app.keys.upload_ticket(ANNA, "a1").replace(ANNA.owner, BORIS.owner)
    assert app.keys.uploader(forged) is None


def test_the_board_shows_only_work_that_somebody_may_see(app, clip):
    with clip.open("rb") as file:
        app.intake.accept(ANNA, file, clip.name, TranscriptionOptions(everybody=False))

    assert [monitor.open_tasks(app.database, one) for one in (ANNA, BORIS, PROGRAM, ADMIN)] == [1, 0, 0, 1]
    assert monitor.now(app.database, BORIS).waiting == []
    assert len(monitor.now(app.database, ANNA).waiting) == 1
    assert app.keys.board_viewer(app.keys.board_ticket(replace(BORIS, owner=PAGES))) == Principal(PAGES)


def test_an_owner_shares_a_recording_and_takes_that_back(app):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=False)
    sharing = app.recording_sharing
    wanted = Sharing(Access.NONE, {"Boris": Access.WRITE}, {"Sales": Access.READ})

    sharing.change(ANNA, id_, wanted)

    view = sharing.view(BORIS, id_)
    assert view.sharing == Sharing(Access.NONE, {"boris": Access.WRITE}, {"sales": Access.READ})
    assert (view.owner, view.can_change, sharing.view(ANNA, id_).can_change) == ("anna", False, True)
    app.recordings.rename(BORIS, id_, "Herd", ())
    for principal, error in ((BORIS, ReadOnly), (CLARA, NotFound), (PROGRAM, NotFound)):
        with pytest.raises(error):
            sharing.change(principal, id_, Sharing(Access.WRITE))
    with pytest.raises(BadRequest):
        sharing.change(ANNA, id_, Sharing(people={"nobody": Access.READ}))
    assert sharing.change_all(ADMIN, [id_, "gone"], Sharing()) == 1
    with pytest.raises(NotFound):
        app.recordings.get(BORIS, id_)


def test_only_admins_take_away_what_is_everybodys(app):
    id_ = bring(app, EVERYONE, "herd.srt", "the zebra crosses")
    with pytest.raises(AdminsOnly):
        app.recording_sharing.change(ANNA, id_, Sharing())

    app.recording_sharing.change(ADMIN, id_, Sharing())

    with pytest.raises(NotFound):
        app.recordings.get(ANNA, id_)


def test_a_key_of_ones_own_may_as_much_as_oneself_and_ends_with_ones_role(app):
    keys = app.keys
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=False)
    write, read = keys.make(ANNA, "a", own=True), keys.make(ANNA, "b", read_only=True, own=True)

    assert [keys.check(key).read_only for key in (write, read)] == [False, True]
    assert app.recordings.get(keys.check(read), id_).id == id_
    assert {key.name for key in keys.all(ANNA)} == {"a", "b"} <= {key.name for key in keys.all(ADMIN)}
    assert keys.all(BORIS) == []
    for principal, error in ((BORIS, NotFound), (CLARA, NotFound)):
        with pytest.raises(error):
            keys.revoke(principal, write[4:12])
    for refused in (lambda: keys.make(ANNA, "c", admin=True, own=True), lambda: keys.make(ANNA, "program")):
        with pytest.raises(AdminsOnly):
            refused()
    with pytest.raises(ReadOnly):
        keys.make(CLARA, "c", own=True)
    keys.revoke(ANNA, read[4:12])
    assert keys.check(read) is None
    app.people._settings = app.settings.model_copy(update={"oidc_members": "boris"})
    assert keys.check(write) is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_who_share_at_once_leave_what_one_of_them_said(database_url):
    database = Database(database_url)
    with database.write() as session:
        for name in ("ann", "bob"):
            session.add(Person(id=f"person-{name}", name=name, groups=[], seen_at=0.0))
        session.add(
            Recording(id="r", owner=PAGES, sha256="s", filename="f", title="t", language="en", size_bytes=1)
        )
    sharing = RecordingSharing(database)
    wanted = [Sharing(people={name: Access.READ}) for name in ("ann", "bob")]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: sharing.change(ADMIN, "r", one), wanted * 6))

    assert sharing.view(ADMIN, "r").sharing in wanted
    database.close()


def test_a_link_opens_one_recording_and_nothing_else(app):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=False)
    bring(app, ANNA, "other.srt", "the zebra sleeps", everybody=True)
    made = app.links.make(ANNA, recording_id=id_, days=1)
    token = made.address.partition("link=")[2]

    with pytest.raises(SignInNeeded):
        app.links.open(token, None, "10.0.0.1")
    visitor = app.links.open(token, BORIS, "10.0.0.1")

    assert app.recordings.get(visitor, id_).id == id_
    assert [card.recording.id for card in views.cards(app.database, visitor)[1]] == [id_]
    assert {each.recording_id for each in found(app, visitor).results} == {id_}
    assert app.kept_moments.find(visitor) == app.saved_searches.all(visitor) == app.links.all(visitor) == []
    assert app.people.known(visitor) == {}
    with pytest.raises(ReadOnly):
        app.recordings.rename(visitor, id_, "x", ())
    sound = app.keys.sound_ticket(visitor, id_)
    assert app.keys.listener(sound, id_).only == id_
    assert app.keys.listener(sound, "other") is None
    assert "." not in made.row.digest
    assert token.partition(".")[2] not in made.row.digest

    app.links.revoke(ANNA, made.row.id)
    assert app.keys.listener(sound, id_) is None
    with pytest.raises(NotFound):
        app.links.open(token, BORIS, "10.0.0.1")
    assert app.links.all(ANNA) == []


def test_a_link_ends_with_its_day_and_with_the_right_of_who_made_it(app):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=True)
    for principal, error in ((BORIS, ReadOnly), (CLARA, ReadOnly), (PROGRAM, NotFound)):
        with pytest.raises(error):
            app.links.make(principal, recording_id=id_)
    now = [1000.0]
    links = Links(app.database, lambda: now[0], app.people.acting, public=True)
    over, kept = (links.make(ANNA, recording_id=id_, days=days).address.partition("=")[2] for days in (1, 9))
    assert links.open(over, None, "").only == id_

    now[0] += 2 * 86400.0
    with pytest.raises(NotFound):
        links.open(over, None, "")
    assert links.open(kept, None, "").only == id_
    app.people._settings = app.settings.model_copy(update={"oidc_members": "boris"})
    with pytest.raises(NotFound):
        links.open(kept, None, "")
    for _ in range(WRONG_PER_MIN):
        with pytest.raises(NotFound):
            links.open("aaaaaaaa.guess", None, "10.0.0.9")
    with pytest.raises(TooMany):
        links.open("aaaaaaaa.guess", None, "10.0.0.9")


def test_a_link_to_a_moment_shows_no_more_of_its_recording(app):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", everybody=False)
    moment = app.kept_moments.keep(ANNA, Stretch(id_, 0.0, 4.0)).moment
    made = app.links.make(ANNA, moment_id=moment.id)

    visitor = app.links.open(made.address.partition("=")[2], CLARA, "")

    kept = app.kept_moments.get(visitor, moment.id)
    assert (kept.moment.text, kept.title) == ("the zebra crosses", "herd.srt")
    assert app.kept_moments.find(visitor) == []
    with pytest.raises(NotFound):
        app.recordings.get(visitor, id_)
    assert app.keys.listener(app.keys.sound_ticket(visitor, id_), id_).only == ""
    assert found(app, visitor).results == []


def visit(app, monkeypatch, name, page, **query):
    """A page as somebody sees it; without a name nobody has signed in."""
    monkeypatch.setattr(common, "identity", lambda: PEOPLE.get(name))
    installation.serve(app)
    at = AppTest.from_file(str(ROOT / "pages" / "_frame.py"), default_timeout=30)
    at.context = {"locale": "en-GB", "timezone": "Europe/Moscow"}
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    if page:
        at.switch_page(f"{page}.py")
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
    installation.serve(None)
    assert not at.exception, at.exception
    return at


def shown(at):
    return "\n".join(str(one.value) for one in [*at.title, *at.caption, *at.markdown, *at.error])


def test_the_pages_share_a_recording_and_open_links(app, monkeypatch):
    id_ = bring(app, ANNA, "herd.srt", "the zebra crosses", title="Herd", everybody=False)
    assert "Herd" in shown(visit(app, monkeypatch, "anna", "recording", id=id_))
    assert "Herd" not in shown(visit(app, monkeypatch, "boris", "recording", id=id_))
    for name in ("anna", "boris"):
        visit(app, monkeypatch, name, "keys")
        visit(app, monkeypatch, name, "upload")

    app.recording_sharing.change(ANNA, id_, Sharing(people={"clara": Access.READ}))
    assert "Brought by anna" in shown(visit(app, monkeypatch, "clara", "recording", id=id_))

    token = app.links.make(ANNA, recording_id=id_).address.partition("=")[2]
    moment = app.kept_moments.keep(ANNA, Stretch(id_, 0.0, 4.0)).moment
    quoted = app.links.make(ANNA, moment_id=moment.id).address.partition("=")[2]
    assert "Sign in" in shown(visit(app, monkeypatch, "", "", link=token))
    app.links.public = True
    for name in ("", "boris"):
        assert "Herd" in shown(visit(app, monkeypatch, name, "", link=token))
        assert "the zebra crosses" in shown(visit(app, monkeypatch, name, "", link=quoted))
    assert "This link is over" in shown(visit(app, monkeypatch, "", "", link="a.b"))
