"""The API keeps to its own description, whatever it is sent: what that allows and what it forbids.

All checks of schemathesis hold. It invents a dozen requests an operation, half of them wrong; of the right
ones half get ids that are real and most a file that is one, so that they come further. `SCHEMA_EXAMPLES`
asks for more or fewer.
"""

from __future__ import annotations

import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.transport.serialization import Binary

from api import build, callers
from core.principal import EVERYONE
from jobs.installation import application
from tests.installation import cut, done, generous
from tests.serve import serve, working

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "12"))
TUS = {"Tus-Resumable": "1.0.0"}
MEANT = {
    "POST /api/v1/transcribe": {400, 415, 503},
    "POST /v1/audio/transcriptions": {400, 415, 503},
    "POST /v1/audio/translations": {400, 415, 503},
    "POST /transcribe/": {400, 415, 503},
    "POST /api/v1/uploads": {400, 413, 415, 503},
    "PATCH /api/v1/uploads/{upload_id}": {413, 415},
    "POST /api/v1/recordings/{recording_id}/transcribe": {400, 503},
    "POST /api/v1/recordings/transcribe": {400, 503},
    "POST /api/v1/recordings/{recording_id}/sound": {400, 415, 503},
    "PATCH /api/v1/recordings/{recording_id}/utterances/{n}": {413},
    "POST /api/v1/searches": {400},
    "GET /api/v1/links/facts": {400},
    "POST /api/v1/links": {400},
    "POST /api/v1/sources": {400, 403},
    "POST /api/v1/destinations": {400, 403},
    "PUT /api/v1/recordings/{recording_id}/sharing": {400},
    "GET /api/v1/estimate": {400},
    "GET /api/v1/search": {400, 503},
    "POST /api/v1/moments": {400},
    "POST /api/v1/collections": {400},
}
"""Refusals of what is right in form, which no schema can say: which engines and languages there are, whether
an address is public, whether bytes are a recording or fit the limit; hours or documents, not both."""
MISFIT = 412
"""Of another version of tus: what its rules ask for, and schemathesis does not know as a refusal."""
TOO_LARGE = 413
"""Of any body without a file above 64 KiB, before anybody looks into it."""


@schemathesis.serializer("application/offset+octet-stream")
def bare(_context, value):
    """Bytes as they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory, kept_in):
    app = generous(tmp_path_factory.mktemp("description"), **kept_in, upload_max_bytes=3_000_000)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(callers, "WRONG_KEYS_PER_MIN", 1_000_000)  # checks try wrong keys with each request
        with serve(app) as served, working(app):
            yield served


@pytest.fixture(scope="module")
def examples(served, tmp_path_factory):
    """A key, a recording that is transcribed, and ids that are real."""
    clip = cut(tmp_path_factory.mktemp("clip"), seconds=2)
    key = served.app.keys.make(EVERYONE, "schema")
    with served.client(key, **TUS) as me:
        task_id = done(served, me, clip)
        recording_id = me.get(f"/api/v1/tasks/{task_id}").json()["recording_id"]
        me.get("/api/v1/search?q=warm")
        begun = me.post("/api/v1/uploads", headers={"Upload-Length": "1000000"})
    ids = {"task_id": task_id, "recording_id": recording_id}
    ids["upload_id"] = begun.headers["location"].rpartition("/")[2]
    return key, ids, clip.read_bytes()


def invented(operation):
    """Requests that the description allows, and in equal parts those it forbids."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    forbidden = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return st.booleans().flatmap(lambda good: allowed if good else forbidden)


DESCRIPTION = schemathesis.openapi.from_dict(build(application).openapi())
OPERATIONS = [operation.ok() for operation in DESCRIPTION.get_all_operations()]


@pytest.fixture(scope="module")
def session():
    """One connection for all: opening them takes longer than most answers."""
    with requests.Session() as session:
        yield session


SWIFT = settings(
    phases=[Phase.generate],  # what fails is shown as it is: finding its smallest form may take minutes
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,  # the same requests each time: what fails can be looked into
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_answers_are_as_described(operation, served, examples, session):
    key, ids, clip = examples
    fewer = 4 if served.app.settings.database_url else 1  # on PostgreSQL the same, to save time

    @settings(SWIFT, max_examples=EXAMPLES // fewer)
    @given(invented(operation), st.booleans(), st.integers(0, 7))
    def ask(case, real, junk):
        allowed = case.meta.generation.mode.is_positive
        if real and allowed and case.method != "DELETE":
            parameters = case.path_parameters or {}
            case.path_parameters = {name: ids.get(name, value) for name, value in parameters.items()}
            if "documents" in (case.query or {}):
                case.query = {"documents": case.query["documents"]}
        if junk and allowed and isinstance(case.body, dict) and "file" in case.body:
            case.body = {**case.body, "file": Binary(clip)}
        headers = {"X-API-Key": key}
        answer = case.call(served.url, session=session, headers=headers, timeout=60)
        case.validate_response(
            answer,
            headers=headers,
            transport_kwargs={"session": session, "timeout": 60},
            excluded_checks=excepted(operation.label, answer.status_code, allowed=allowed),
        )

    ask()


def excepted(label, status, *, allowed):
    """All checks hold but for what an operation refuses by its meaning.

    Schemathesis takes a right request for wrong once we have put a real file into it.
    """
    if allowed:
        refused = status == MISFIT or status in MEANT.get(label, ())
        return [negative_data_rejection, *([positive_data_acceptance] if refused else [])]
    return [negative_data_rejection] if status in (MISFIT, TOO_LARGE) else []
