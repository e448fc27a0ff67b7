"""Every method of a service and every address of the API, with every role: who may what.

A method or an address that is in no table makes these tests fail: say there who may call it.
"""

from __future__ import annotations

import inspect
import io
import re

import pytest
from starlette.testclient import TestClient

from api import build
from api.callers import SAFE
from core.clients.idempotency import NOTHING_MORE
from core.clients.rate_limits import Limit
from core.database.states import Access, SourceKind, SourceState
from core.database.tables import Source, SourceItem
from core.errors import AdminsOnly, Conflict, NotFound, ReadOnly, StenogramError
from core.library.kept_moments import Stretch
from core.library.recording_sharing import Sharing
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.storage.blobs import Blob
from tests.test_owners import ADMIN, ANNA, BORIS, CLARA, PROGRAM, app, bring

__all__ = ["app"]
SECRET = "quokka"
"""Said, and the title, of what only its owner may see."""

READ, WRITE, OWN = "read", "write", "own"
"""Of a recording: who may see it, may change it, owns it; others of these get ReadOnly."""
THEIRS = "theirs"
"""Somebody's own thing, by its id: others get NotFound."""
MAKES = "makes"
"""Makes something of theirs: readers get ReadOnly."""
LISTS = "lists"
"""Lists or counts what they may see."""
ADMINS = "admins"
"""For admins alone; `test_actions` calls each."""
INNER = "inner"
"""No door calls it but by what was asked for before, or it says nothing of anybody."""

SERVICES = {
    "recordings": {
        READ: "download get listen task",
        WRITE: "attach date discard find_speakers rename restore state_language",
        OWN: "delete forget",
        LISTS: "collections find named tasks transcribed",
        INNER: "add engines has media of_task peaks shared_with snapshot transcript_of",
    },
    "recording_sharing": {READ: "view", OWN: "change", INNER: "change_all"},
    "links": {OWN: "make", THEIRS: "revoke", LISTS: "all", INNER: "acting open"},
    "tasks": {WRITE: "cancel retry"},
    "deletion": {OWN: "delete_recording delete_task", INNER: "drop_unused withdraw"},
    "recycle_bin": {
        WRITE: "put restore",
        OWN: "delete",
        MAKES: "empty",
        LISTS: "kept recordings",
        INNER: "ends_at put_all restore_all sweep",
    },
    "bulk": {READ: "archive with_sound", WRITE: "tag", INNER: "transcribe"},
    "intake": {
        WRITE: "attach attach_file correct_language transcribe_again",
        MAKES: "accept",
        LISTS: "transcribed",
        INNER: "by_batch check choose_engine reason submit",
    },
    "client_intake": {WRITE: "transcribe_again", INNER: "submit"},
    "kept_moments": {
        MAKES: "keep make_collection",
        THEIRS: "add arrange change clip collection delete delete_collection get rename_collection take_out",
        LISTS: "collections find",
        INNER: "cut has_picture",
    },
    "saved_searches": {
        MAKES: "save",
        THEIRS: "delete hits see",
        LISTS: "all",
        INNER: "due record_delivery run",
    },
    "searcher": {LISTS: "search"},
    "passages": {
        LISTS: "of_speakers recordings_of scope speakers visible",
        INNER: "acquire all_of give_up mark replace rows waiting",
    },
    "recording_text": {
        READ: "utterances view",
        WRITE: "apply_retranscription join move redo replace rewrite split take_over undo undo_replacement",
        INNER: "carry_over_corrections correction_count",
    },
    "retranscriptions": {READ: "all get offers", WRITE: "begin leave take"},
    "recording_speakers": {
        READ: "samples view",
        WRITE: "accept find merge move reject rename undo",
        LISTS: "unsearched",
        INNER: "rename_voice summaries",
    },
    "voices": {LISTS: "all", ADMINS: "turn", INNER: "forget get proposals refresh reject samples"},
    "archive_text": {LISTS: "find", INNER: "replace undo"},
    "glossary": {MAKES: "save", LISTS: "all", INNER: "apply forget get proposals"},
    "sources": {
        MAKES: "add look take_link",
        THEIRS: "cancel decide durations_s get item items pause remove resume take",
        LISTS: "all links",
        INNER: "forget place",
    },
    "destinations": {ADMINS: "add", LISTS: "all", INNER: "remove tick turn"},
    "deliveries": {WRITE: "again", THEIRS: "search_again", LISTS: "all of_searches"},
    "task_groups": {MAKES: "begin", INNER: "close finished record_notified"},
    "resumable_uploads": {
        MAKES: "begin",
        THEIRS: "get",
        LISTS: "held",
        INNER: "append appending claim facts fix_length forget is_deferred link_task offset path store "
        "sweep sync",
    },
    "keys": {
        THEIRS: "revoke rotate",
        LISTS: "all",
        ADMINS: "make",
        MAKES: "upload_ticket",
        INNER: "admits bearer board_ticket board_viewer check derived language listener make_first "
        "personal_ticket recall secret sound_ticket ticket uploader",
    },
    "covers": {WRITE: "ask remove", INNER: "of picture series step tick"},
}

ADDRESSES = {
    # nobody has to say who they are
    "open": "GET /health|GET /health/live|GET /health/ready|GET /api|OPTIONS /api/v1/uploads",
    ADMINS: "GET /metrics|GET /api/v1/audit|GET /api/v1/monitor|POST /api/v1/destinations",
    LISTS: "GET /api/v1/callback-secret|GET /api/v1/tasks|GET /api/v1/recordings|GET /api/v1/bin"
    "|GET /api/v1/voices|GET /api/v1/replacements|GET /api/v1/glossary|GET /api/v1/search"
    "|GET /api/v1/moments|GET /api/v1/collections|GET /api/v1/searches|GET /api/v1/links"
    "|GET /api/v1/sources|GET /api/v1/destinations|GET /api/v1/deliveries"
    "|GET /api/v1/deliveries/searches|GET /api/v1/share-links"
    "|GET /api/v1/estimate|GET /v1/models|GET /v1/models/{model}|GET /api/v1/links/facts",
    MAKES: "POST /api/v1/transcribe|POST /api/v1/replacements|POST /api/v1/glossary|POST /api/v1/moments"
    "|POST /api/v1/collections|POST /api/v1/searches|POST /api/v1/links|POST /api/v1/sources"
    "|POST /api/v1/uploads|POST /v1/audio/transcriptions|POST /v1/audio/translations|POST /transcribe/"
    "|POST /api/v1/recordings/export|POST /api/v1/recordings/transcribe",
    READ: "GET /api/v1/tasks/{task_id}|GET /api/v1/tasks/{task_id}/result"
    "|GET /api/v1/tasks/{task_id}/download|GET /transcribe/{task_id}|GET /api/v1/recordings/{recording_id}"
    "|GET /api/v1/recordings/{recording_id}/sharing|GET /api/v1/recordings/{recording_id}/speakers"
    "|GET /api/v1/recordings/{recording_id}/utterances|GET /api/v1/recordings/{recording_id}/corrections"
    "|GET /api/v1/recordings/{recording_id}/proposals"
    "|GET /api/v1/recordings/{recording_id}/utterances/{n}/engines"
    "|GET /api/v1/recordings/{recording_id}/retranscriptions"
    "|GET /api/v1/recordings/{recording_id}/retranscriptions/{task_id}",
    WRITE: "POST /api/v1/tasks/{task_id}/cancel|POST /api/v1/tasks/{task_id}/retry"
    "|POST /api/v1/recordings/{recording_id}/transcribe|POST /api/v1/recordings/{recording_id}/restore"
    "|POST /api/v1/recordings/{recording_id}/speakers/find"
    "|PATCH /api/v1/recordings/{recording_id}/speakers/{label}"
    "|POST /api/v1/recordings/{recording_id}/speakers/move"
    "|POST /api/v1/recordings/{recording_id}/speakers/undo"
    "|POST /api/v1/recordings/{recording_id}/speakers/{label}/accept"
    "|POST /api/v1/recordings/{recording_id}/speakers/{label}/reject"
    "|PATCH /api/v1/recordings/{recording_id}/utterances/{n}"
    "|POST /api/v1/recordings/{recording_id}/utterances/{n}/split"
    "|POST /api/v1/recordings/{recording_id}/utterances/{n}/join"
    "|POST /api/v1/recordings/{recording_id}/utterances/{n}/move"
    "|POST /api/v1/recordings/{recording_id}/corrections/undo"
    "|POST /api/v1/recordings/{recording_id}/corrections/redo"
    "|POST /api/v1/recordings/{recording_id}/corrections/take-over"
    "|POST /api/v1/deliveries/{task_id}/again|POST /api/v1/recordings/{recording_id}/sound"
    "|DELETE /api/v1/recordings/{recording_id}"
    "|POST /api/v1/recordings/{recording_id}/retranscriptions"
    "|DELETE /api/v1/recordings/{recording_id}/retranscriptions/{task_id}"
    "|POST /api/v1/recordings/{recording_id}/retranscriptions/{task_id}/take",
    OWN: "DELETE /api/v1/tasks/{task_id}|PUT /api/v1/recordings/{recording_id}/sharing"
    "|POST /api/v1/recordings/{recording_id}/links",
    THEIRS: "POST /api/v1/deliveries/searches/{search_id}/{recording_id}/again"
    "|GET /api/v1/moments/{moment_id}|PATCH /api/v1/moments/{moment_id}"
    "|DELETE /api/v1/moments/{moment_id}|GET /api/v1/moments/{moment_id}/clip"
    "|POST /api/v1/moments/{moment_id}/links|PUT /api/v1/collections/{collection_id}/moments"
    "|DELETE /api/v1/collections/{collection_id}|GET /api/v1/collections/{collection_id}/export"
    "|GET /api/v1/searches/{search_id}/hits|DELETE /api/v1/searches/{search_id}"
    "|GET /api/v1/links/{item_id}|DELETE /api/v1/links/{item_id}|POST /api/v1/links/{item_id}/take"
    "|GET /api/v1/sources/{source_id}|DELETE /api/v1/sources/{source_id}"
    "|GET /api/v1/sources/{source_id}/items|POST /api/v1/sources/{source_id}/decide"
    "|POST /api/v1/sources/{source_id}/pause|POST /api/v1/sources/{source_id}/resume"
    "|HEAD /api/v1/uploads/{upload_id}|PATCH /api/v1/uploads/{upload_id}|DELETE /api/v1/uploads/{upload_id}"
    "|DELETE /api/v1/share-links/{link_id}",
    # of nobody here, so that everybody gets 404; `test_owners` has them by the service
    "absent": "PATCH /api/v1/voices/{voice_id}"
    "|DELETE /api/v1/voices/{voice_id}|POST /api/v1/replacements/{action_id}/undo"
    "|PUT /api/v1/glossary/{entry_id}|DELETE /api/v1/glossary/{entry_id}"
    "|POST /api/v1/destinations/{destination_id}/pause|POST /api/v1/destinations/{destination_id}/resume"
    "|DELETE /api/v1/destinations/{destination_id}",
}


@pytest.fixture
def things(app):
    """Ids of everything of Anna's by name; her recording is private."""
    id_ = bring(app, ANNA, f"{SECRET}.srt", f"the {SECRET} smiles", everybody=False, tags=(SECRET,))
    options = {"facts": {}, "options": {}, "created_at": 1.0, "changed_at": 1.0}
    with app.database.write() as session:
        source = Source(
            owner=ANNA.owner,
            kind=SourceKind.FEED,
            address=f"https://{SECRET}.example/feed",
            title=SECRET,
            options={},
            state=SourceState.ACTIVE,
            created_at=1.0,
        )
        item = SourceItem(owner=ANNA.owner, address="https://x.example/1", url="", title=SECRET, **options)
        session.add_all([source, item])
    moment = app.kept_moments.keep(ANNA, Stretch(id_, 0.0, 4.0, title=SECRET)).moment
    collection = app.kept_moments.make_collection(ANNA, SECRET)
    return {
        "recording_id": id_,
        "task_id": app.recordings.tasks(ANNA)[1][0].id,
        "moment_id": moment.id,
        "collection_id": collection.id,
        "search_id": app.saved_searches.save(ANNA, SECRET, "words").id,
        "source_id": source.id,
        "item_id": item.id,
        "upload_id": app.resumable_uploads.begin(ANNA, 10, {}).id,
        "link_id": app.links.make(ANNA, recording_id=id_).row.id,
        "id_": app.keys.make(ANNA, SECRET, own=True)[4:12],
    }


def methods(service):
    return {
        name for name, _ in inspect.getmembers(type(service), inspect.isfunction) if not name.startswith("_")
    }


def test_every_method_of_a_service_is_in_the_table(app):
    for name, kinds in SERVICES.items():
        service = getattr(app, name)
        listed = [method for names in kinds.values() for method in names.split()]
        assert sorted(listed) == sorted(methods(service)), name
        for kind, names in kinds.items():
            for method in names.split():
                takes = "principal" in inspect.signature(getattr(service, method)).parameters
                assert takes or kind == INNER, f"{name}.{method} asks nobody who they are"


def calls(app, things, *kinds):
    """Each method of these kinds, to be called by somebody with Anna's ids."""
    values = {
        **things,
        "ids": [things["recording_id"]],
        "stretch": Stretch(things["recording_id"], 0.0, 2.0),
        "moment_ids": [things["moment_id"]],
        "options": TranscriptionOptions(language="en"),
        "request": NOTHING_MORE,
        "blob": Blob("0" * 64, 1),
        "file": io.BytesIO(b"1\n00:00:00,000 --> 00:00:01,000\nx\n"),
        "filename": "x.srt",
        "kinds": ["txt"],
        "tags": ("x",),
        "versions": ["x"],
        "texts": {},
        "n": 0,
        "word": 1,
        "words": 1,
        "sharing": Sharing(Access.WRITE),
        "kind": SourceKind.FEED,
        "size_bytes": 10,
        "form": "m4a",
        "when": None,
        "start_s": 0.0,
        "take": True,
        "unknown_s": 1.0,
        "prompts": ["a cat"],
        "heard": [],
    }
    for name, table in SERVICES.items():
        for method in " ".join(table.get(kind, "") for kind in kinds).split():
            call = getattr(getattr(app, name), method)
            wanted = {
                each.name: values.get(each.name, "anything")
                for each in inspect.signature(call).parameters.values()
                if each.name != "principal"
                and (each.default is each.empty or (name == "links" and each.name == "recording_id"))
            }
            yield f"{name}.{method}", lambda who, call=call, wanted=wanted: call(principal=who, **wanted)


def refusal(call, who):
    """With what a call is refused; None: it is not."""
    try:
        call(who)
    except StenogramError as error:
        return type(error)
    return None


def test_nobody_reaches_what_is_anothers_by_any_service(app, things):
    for name, call in calls(app, things, READ, WRITE, OWN, THEIRS):
        for who in (BORIS, CLARA, PROGRAM):
            refused = refusal(call, who)
            assert refused in {NotFound, AdminsOnly} or (refused is ReadOnly and who.read_only), (
                name,
                refused,
            )
    assert app.recordings.get(ANNA, things["recording_id"]).title == f"{SECRET}.srt"


def test_who_may_read_changes_nothing_by_any_service(app, things):
    app.recording_sharing.change(
        ANNA, things["recording_id"], Sharing(people={"boris": Access.READ, "clara": Access.READ})
    )
    for name, call in calls(app, things, WRITE, OWN):
        for who in (BORIS, CLARA):
            assert refusal(call, who) is ReadOnly, name
    for name, call in calls(app, things, MAKES):
        assert refusal(call, CLARA) is ReadOnly, name
    for name, call in calls(app, things, READ):
        assert refusal(call, BORIS) in {None, Conflict}, name  # there is no sound to listen to


def described():
    api = build(lambda: None).openapi()
    return api, {
        f"{method.upper()} {path}": operation
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
    }


def kind_of(address):
    return next(kind for kind, listed in ADDRESSES.items() if address in listed.split("|"))


def test_every_address_is_in_the_table():
    listed = [address for addresses in ADDRESSES.values() for address in addresses.split("|")]
    assert sorted(listed) == sorted(described()[1])


def body(api, operation):
    kinds = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in kinds:
        return {"content": b"x"} if kinds else {}
    name = kinds["application/json"]["schema"]["$ref"].rpartition("/")[2]
    spoken = {"name": "x", "source": "speaker_1", "target": "new", "start_s": 0}
    return {"json": api["components"]["schemas"][name].get("examples", [spoken])[0]}


def expected(kind, method, role, *, shared):
    """The refusal that a role gets, or 0: none."""
    if role in {"nobody", "link"} or kind == "open":
        return 0 if kind == "open" else 401
    if role in {"reader", "program reads"} and method not in SAFE:
        return 403
    if kind == ADMINS:
        return 0 if role in {"admin", "program admin"} else 403
    if kind in {LISTS, MAKES} or role in {"owner", "admin", "program admin"}:
        return 0
    if kind in {"absent", THEIRS} or role.startswith("program") or not shared:
        return 404
    return 0 if kind == READ else 403


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_every_address_refuses_every_role_that_it_is_not_for(app, things, shared, monkeypatch):
    monkeypatch.setattr(Limit, "take", lambda *_: None)
    recording = things["recording_id"]
    if shared:
        people = {"boris": Access.READ, "clara": Access.READ}
        app.recording_sharing.change(ANNA, recording, Sharing(people=people))
    keys = app.keys
    link = app.links.make(ANNA, recording_id=recording).address.partition("=")[2]
    app.people._settings = app.settings.model_copy(update={"oidc_readers": "", "oidc_members": "*"})
    readers = keys.make(Principal(CLARA.owner), "c", own=True)
    app.people._settings = app.settings
    roles = {
        "nobody": "",
        "link": link,
        "reader": readers,
        "other": keys.make(BORIS, "b", own=True),
        "program": keys.make(EVERYONE, "p"),
        "program reads": keys.make(EVERYONE, "r", read_only=True),
        "owner": keys.make(ANNA, "a", own=True),
        "admin": keys.make(ADMIN, "boss", admin=True, own=True),
        "program admin": keys.make(EVERYONE, "root", admin=True),
    }
    api, operations = described()
    asked = TestClient(build(lambda: app), headers={"Tus-Resumable": "1.0.0"}, raise_server_exceptions=False)
    query = {"q": SECRET, "words": "x", "hours": "1", "url": "https://x.example"}
    headers = {"Upload-Offset": "0", "Upload-Length": "10"}
    for address, operation in operations.items():
        method, path = address.split()
        kind = kind_of(address)
        filled = re.sub(r"\{(\w+)\}", lambda name: things.get(name[1], "0"), path)
        sent = body(api, operation)
        for role, key in roles.items():
            refusal = expected(kind, method, role, shared=shared)
            if not refusal and (method not in SAFE or "links/facts" in path):
                continue  # what changes things is allowed by the tests of the services
            more = {
                "X-API-Key": key,
                **({"Content-Type": "application/offset+octet-stream"} if "uploads" in path else {}),
            }
            answer = asked.request(method, filled, params=query, headers={**headers, **more}, **sent)
            if refusal:
                assert answer.status_code == refusal, (address, role, answer.text)
            else:
                assert answer.status_code not in {401, 403, 404} or kind == LISTS, (
                    address,
                    role,
                    answer.text,
                )
            if role not in {"owner", "admin", "program admin"} and not (
                shared and role in {"reader", "other"}
            ):
                heard = answer.text.replace(f'"{SECRET}"', "") if path.endswith("search") else answer.text
                assert SECRET not in heard, (address, role)
                assert recording not in heard.replace(filled, ""), (address, role)
