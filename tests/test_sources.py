"""Links, feeds, folders and buckets: what is there is said before it is taken, and nothing is taken twice."""

from __future__ import annotations

import os
import threading
import wave
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.database.states import ItemState, SourceKind, SourceState
from core.database.tables import Source
from core.errors import BadRequest, Code, NotFound, StenogramError, code_of
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.principal import EVERYONE, Principal
from core.sources import links, sites
from core.sources import rounds as rounds_module
from core.sources.links import LinkFacts
from core.storage.object_store import ObjectStore
from jobs import installation
from tests import drive, remotely
from tests.conftest import DATA
from tests.installation import generous
from tests.test_pages import texts, visit

OPTIONS = TranscriptionOptions(language="en")
FEED = """<?xml version="1.0"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"
 xmlns:psc="http://podlove.org/simple-chapters"><channel><title>Talks</title>{items}</channel></rss>"""
EPISODE = """<item><title>Talk {n}</title><guid>talk-{n}</guid>
<pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate>
<enclosure url="{at}/en_meeting.opus?{n}" length="9" type="audio/ogg"/><itunes:duration>1:02</itunes:duration>
<psc:chapters><psc:chapter start="00:00:00" title="Hello"/><psc:chapter start="00:00:30" title="Plans"/>
</psc:chapters></item>"""


class Site(SimpleHTTPRequestHandler):
    """Files of a folder; `/private` leads elsewhere."""

    def do_GET(self):
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        super().do_GET()

    do_HEAD = do_GET  # noqa: N815 - as the library calls it

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site on this machine: its folder and its address."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "en_meeting.opus").write_bytes((DATA / "en_meeting.opus").read_bytes())
    (folder / "page.html").write_text("<html><title>Nothing</title></html>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def app(tmp_path):
    return generous(tmp_path / "home", links_anywhere=True, import_roots=str(tmp_path / "in"))


def rounds(app, n: int = 2) -> None:
    """Rounds until what is fetched has come."""
    for _ in range(n):
        app.source_rounds.tick()
        app.source_rounds.fetching.wait()
    app.source_rounds.tick()


def test_a_link_says_what_it_is_and_becomes_a_recording(app, site):
    _, at = site
    facts = app.sources.look(EVERYONE, f"{at}/en_meeting.opus")
    assert (facts.title, facts.size_bytes) == ("en_meeting", (DATA / "en_meeting.opus").stat().st_size)
    whole_s = decode.probe(DATA / "en_meeting.opus").duration_s
    assert facts.duration_s == pytest.approx(whole_s, rel=0.15)
    stated = LinkFacts(facts.url, "A talk", published_at=86400.0, chapters=((0.0, "Hello"), (30.0, "Plans")))

    item = app.sources.take_link(EVERYONE, stated, OPTIONS)
    rounds(app, 1)

    item = app.sources.item(EVERYONE, item.id)
    assert (item.state, item.error) == (ItemState.DONE, None)
    recording = app.recordings.get(EVERYONE, item.recording_id)
    assert (recording.title, recording.source_url, recording.published_at) == ("A talk", facts.url, 86400.0)
    assert recording.chapters == [[0.0, "Hello"], [30.0, "Plans"]]
    assert not list((app.settings.home / "links").iterdir())


PRIVATE = [
    "http://127.0.0.1/a.mp3",
    "http://[::1]/a.mp3",
    "https://localhost/",
    "http://169.254.169.254/meta",
]


@pytest.mark.parametrize("url", [*PRIVATE, "file:///etc/passwd", "ftp://example.com/a", "a.mp3", "http://"])
def test_what_is_not_of_the_public_web_is_refused(url):
    with pytest.raises(BadRequest) as refused:
        links.check(url)

    assert refused.value.code == (Code.LINK_PRIVATE if url in PRIVATE else Code.LINK_INVALID)


@pytest.mark.parametrize("task", ["look", "feed"])
def test_what_leads_into_a_private_network_is_refused_when_it_is_connected_to(app, site, task):
    """Whatever a name or a redirect says: the very address counts."""
    _, at = site
    app.source_rounds.fetching.anywhere = False

    with pytest.raises(StenogramError) as refused:
        app.source_rounds.fetching._asked(task, f"{at}/en_meeting.opus")

    assert refused.value.code == Code.LINK_PRIVATE


REFUSED = {
    "/page.html": Code.LINK_WITHOUT_SOUND,
    "/away.mp3": Code.LINK_REFUSED,
    "/feed.xml": Code.LINK_IS_LIST,
    "/to/file:///etc/passwd": Code.LINK_FAILED,
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_no_recording_is_refused_with_a_reason(site, path):
    """In this process: a child takes a second to start."""
    folder, at = site
    items = "".join(EPISODE.format(n=n, at=at) for n in range(3))
    (folder / "feed.xml").write_text(FEED.format(items=items))

    with pytest.raises(StenogramError) as refused:
        sites.look(at + path)

    assert refused.value.code == REFUSED[path]


def test_what_is_larger_than_uploads_may_be_is_not_fetched(tmp_path, site):
    _, at = site
    app = generous(tmp_path, links_anywhere=True, upload_max_bytes=100_000)

    item = app.sources.take_link(EVERYONE, LinkFacts(f"{at}/en_meeting.opus"), OPTIONS)
    rounds(app)

    item = app.sources.item(EVERYONE, item.id)
    assert (item.state, code_of(item.error)) == (ItemState.FAILED, Code.TOO_LARGE)
    assert not list((app.settings.home / "links").iterdir())


def test_of_a_feed_only_what_is_new_is_taken_unless_somebody_wants_the_rest(app, site):
    folder, at = site
    episodes = [EPISODE.format(n=n, at=at) for n in range(4)]
    (folder / "talks.xml").write_text(FEED.format(items="".join(episodes[:2])))
    source = app.sources.add(EVERYONE, SourceKind.FEED, f"{at}/talks.xml", OPTIONS)
    app.source_rounds.tick()
    view = app.sources.get(EVERYONE, source.id)
    assert (view.source.state, view.source.title, view.counts) == (
        SourceState.PRICED, "Talks", {ItemState.SEEN: 2},
    )  # fmt: skip
    assert app.sources.durations_s(EVERYONE, source.id, 1.0) == [62.0, 62.0]

    app.sources.decide(EVERYONE, source.id, take=False)
    (folder / "talks.xml").write_text(FEED.format(items="".join(episodes[:3])))
    rounds(app)

    assert app.sources.get(EVERYONE, source.id).counts == {ItemState.SKIPPED: 2, ItemState.DONE: 1}
    (new,) = app.sources.items(EVERYONE, source.id, [ItemState.DONE])
    recording = app.recordings.get(EVERYONE, new.recording_id)
    assert (recording.title, recording.chapters) == ("Talk 2", [[0.0, "Hello"], [30.0, "Plans"]])
    left, _ = app.sources.items(EVERYONE, source.id, [ItemState.SKIPPED])
    app.sources.take(EVERYONE, left.id)
    rounds(app)
    assert app.sources.get(EVERYONE, source.id).counts == {ItemState.SKIPPED: 1, ItemState.DONE: 2}


def sound(path: Path, seconds: int) -> None:
    """A file with so many seconds of silence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        out.writeframes(bytes(16_000 * seconds))


def look_again(app) -> None:
    """A round after so long that everything is due and has settled."""
    app.clock.ahead_s += 120
    app.source_rounds.tick()


def counts(app, source) -> dict[ItemState, int]:
    return app.sources.get(EVERYONE, source.id).counts


def added(app, kind: SourceKind, address: object, **fields) -> Source:
    """A source that was counted and waits for a decision."""
    source = app.sources.add(EVERYONE, kind, str(address), OPTIONS, **fields)
    app.source_rounds.tick()
    app.source_rounds.tick()
    return app.sources.get(EVERYONE, source.id).source


def test_a_file_comes_in_by_itself_once_it_stops_growing(app, tmp_path):
    folder = tmp_path / "in" / "calls"
    sound(folder / "old.wav", 1)
    source = added(app, SourceKind.FOLDER, folder, move_to="done")
    assert source.state == SourceState.PRICED
    assert app.sources.durations_s(EVERYONE, source.id, 60.0) == [1.0]
    app.sources.decide(EVERYONE, source.id, take=False)

    sound(folder / "sales" / "Anna" / "new.wav", 2)
    sound(folder / ".new.wav", 2)
    look_again(app)
    assert counts(app, source) == {ItemState.SKIPPED: 1, ItemState.SEEN: 1}
    sound(folder / "sales" / "Anna" / "new.wav", 3)
    look_again(app)
    assert counts(app, source) == {ItemState.SKIPPED: 1, ItemState.SEEN: 1}, "it still grew"
    look_again(app)

    assert counts(app, source) == {ItemState.SKIPPED: 1, ItemState.DONE: 1}
    (item,) = app.sources.items(EVERYONE, source.id, [ItemState.DONE])
    recording = app.recordings.get(EVERYONE, item.recording_id)
    assert (recording.filename, recording.tags, recording.duration_s) == ("new.wav", ["Anna", "sales"], 3.0)
    moved = folder / "done" / "sales" / "Anna" / "new.wav"
    assert moved.exists()
    assert not (folder / "sales" / "Anna" / "new.wav").exists()
    moved.unlink()
    look_again(app)
    assert app.recordings.get(EVERYONE, item.recording_id), "what is deleted there stays here"


def test_another_content_under_a_known_name_is_another_recording(app, tmp_path):
    folder = tmp_path / "in"
    sound(folder / "a.wav", 1)
    source = added(app, SourceKind.FOLDER, folder)
    app.sources.decide(EVERYONE, source.id, take=True)
    look_again(app)
    sound(folder / "a.wav", 2)
    for _ in range(3):
        look_again(app)

    assert counts(app, source) == {ItemState.DONE: 1}
    assert app.recordings.find(EVERYONE)[0] == 2


def test_an_archive_is_one_job_that_waits_its_turn_pauses_and_ends(app, tmp_path, monkeypatch):
    """At most so many tasks of one source are under way, behind people's own; two sources take turns."""
    monkeypatch.setattr(rounds_module, "AHEAD", 2)
    sources = []
    for name in ("one", "two"):
        for n in range(4):
            sound(tmp_path / "in" / name / f"{n}.wav", 1 + n + 10 * len(sources))
        sources.append(added(app, SourceKind.FOLDER, tmp_path / "in" / name, watch=False))
    for source in sources:
        app.sources.decide(EVERYONE, source.id, take=True)

    look_again(app)
    assert [counts(app, source) for source in sources] == [{ItemState.DONE: 2, ItemState.WAITING: 2}] * 2
    assert {job.priority for job in drive.ready(app)} == {rounds_module.LAST}
    app.sources.pause(EVERYONE, sources[0].id)
    drive.perform_all(app)
    look_again(app)
    assert counts(app, sources[0]) == {ItemState.DONE: 2, ItemState.WAITING: 2}
    assert counts(app, sources[1]) == {ItemState.DONE: 4}
    app.sources.resume(EVERYONE, sources[0].id)
    look_again(app)
    drive.perform_all(app)
    look_again(app)

    assert [app.sources.get(EVERYONE, source.id).source.state for source in sources] == [SourceState.DONE] * 2


def test_a_file_that_is_no_recording_or_went_away_costs_only_itself(app, tmp_path):
    folder = tmp_path / "in"
    for name in ("broken.mp3", "gone.wav", os.fsdecode("совещание.wav".encode("cp1251"))):
        sound(folder / name, 1)
    (folder / "broken.mp3").write_bytes(b"nothing")
    source = added(app, SourceKind.FOLDER, folder, watch=False)
    app.sources.decide(EVERYONE, source.id, take=True)
    (folder / "gone.wav").unlink()
    look_again(app)

    assert counts(app, source) == {ItemState.FAILED: 2, ItemState.DONE: 1}
    (good,) = app.sources.items(EVERYONE, source.id, [ItemState.DONE])
    assert app.recordings.get(EVERYONE, good.recording_id).filename == "совещание.wav"
    failed = app.sources.items(EVERYONE, source.id, [ItemState.FAILED])
    assert {item.title: code_of(item.error) for item in failed} == {
        "broken.mp3": Code.UNREADABLE_MEDIA,
        "gone.wav": Code.FILE_GONE,
    }


def test_a_part_of_a_bucket_is_watched_like_a_folder(tmp_path):
    with remotely.bucket() as s3:
        allowed = s3["storage_url"] + "/in"
        app = generous(tmp_path, **s3, import_buckets=allowed)
        bucket = ObjectStore(app.settings, allowed)
        sound(tmp_path / "a.wav", 2)
        bucket.put("team/a.wav", tmp_path / "a.wav")
        bucket.put("team/notes.doc", b"no sound")
        source = added(app, SourceKind.BUCKET, allowed, move_to="done")
        assert counts(app, source) == {ItemState.SEEN: 1}

        app.sources.decide(EVERYONE, source.id, take=True)
        look_again(app)
        look_again(app)

        assert counts(app, source) == {ItemState.DONE: 1}
        assert {one.name for one in bucket.objects()} == {"done/team/a.wav", "team/notes.doc"}
        (item,) = app.sources.items(EVERYONE, source.id)
        assert app.recordings.get(EVERYONE, item.recording_id).tags == ["team"]


def test_who_may_not_and_what_may_not_be_watched(app, tmp_path):
    (tmp_path / "in").mkdir()
    add = partial(app.sources.add, EVERYONE, options=OPTIONS)
    refused = {
        Code.FOLDER_NOT_ALLOWED: partial(add, SourceKind.FOLDER, "/etc"),
        Code.FOLDER_NOT_FOUND: partial(add, SourceKind.FOLDER, f"{tmp_path}/in/none"),
        Code.BUCKET_NOT_ALLOWED: partial(add, SourceKind.BUCKET, "s3://other"),
        Code.MOVE_TO_INVALID: partial(add, SourceKind.FOLDER, f"{tmp_path}/in", move_to="../out"),
        Code.LINK_INVALID: partial(add, SourceKind.FEED, "javascript:alert(1)"),
        Code.ADMINS_ONLY: partial(app.sources.add, Principal("me"), SourceKind.FOLDER, "/etc", OPTIONS),
    }
    assert add(SourceKind.FOLDER, f"{tmp_path}/in").id
    refused[Code.SOURCE_EXISTS] = partial(add, SourceKind.FOLDER, f"{tmp_path}/in/")

    for code, attempt in refused.items():
        with pytest.raises(StenogramError) as error:
            attempt()
        assert error.value.code == code
    their_item = app.sources.take_link(Principal("one"), LinkFacts("https://example.com/a.mp3"), OPTIONS)
    for method in (app.sources.item, app.sources.cancel, app.sources.take):
        with pytest.raises(NotFound):
            method(Principal("another"), their_item.id)
    assert app.sources.links(Principal("another")) == []


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """The installation that pages see."""
    monkeypatch.setenv("STENOGRAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMPORT_ROOTS", str(tmp_path / "in"))
    installation.serve(None)
    yield installation.application()
    installation.serve(None)


def test_the_page_says_what_a_link_is_before_it_takes_it(shown, monkeypatch):
    talk = LinkFacts(
        "https://example.com/talk", "A talk", "example.com", 3600.0, 5_000_000, 1e9, ((0.0, "Hello"),)
    )
    monkeypatch.setattr(shown.sources, "look", lambda _principal, _url: talk)
    at = visit("upload", "en", way="link")
    at.text_input(key="link-url").input(talk.url)
    next(button for button in at.button if button.label == "Look").click().run()
    said = texts(at)
    assert all(fact in said for fact in ("A talk", "example.com", "1\u00a0h", "1 chapter", "2001"))
    assert not shown.sources.links(EVERYONE)

    at.button(key="take-link").click().run()

    (item,) = shown.sources.links(EVERYONE)
    assert (item.state, item.url, item.title) == (ItemState.WAITING, talk.url, "A talk")
    assert not at.exception


def test_the_page_prices_a_folder_before_anything_of_it_is_taken(shown, tmp_path):
    for n in (1, 2):
        sound(tmp_path / "in" / f"{n}.wav", 60 * n)
    source = added(shown, SourceKind.FOLDER, tmp_path / "in")
    at = visit("upload", "en", way="watched")
    assert all(fact in texts(at) for fact in ("2 recordings are there", "3\u00a0min"))

    at.button(key=f"all-{source.id}").click().run()

    assert not at.exception
    assert counts(shown, source) == {ItemState.WAITING: 2}
    at.button(key=f"icon-pause-{source.id}").click().run()
    assert shown.sources.get(EVERYONE, source.id).source.state == SourceState.PAUSED
