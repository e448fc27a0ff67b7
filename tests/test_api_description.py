"""The API keeps to its own description, whatever it is sent: what that allows and what it forbids.

Schemathesis invents the requests, 100 an operation; half of them get ids that are real and most a file
that is one, so that they come further. `SCHEMA_EXAMPLES` asks for more or fewer.
"""

from __future__ import annotations

import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api import build
from jobs.installation import application
from tests.installation import cut, done, generous
from tests.serve import serve, working

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "100"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
TUS = {"Tus-Resumable": "1.0.0"}


@schemathesis.serializer("application/offset+octet-stream")
def bare(_context, value):
    """Bytes as they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    app = generous(tmp_path_factory.mktemp("description"), upload_max_bytes=3_000_000)
    with serve(app) as served, working(app):
        yield served


@pytest.fixture(scope="module")
def known(served, tmp_path_factory):
    """A key, a recording that is transcribed, and ids that are real."""
    clip = cut(tmp_path_factory.mktemp("clip"), seconds=2)
    key = served.app.keys.make("schema")
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
    max_examples=EXAMPLES,
    phases=[Phase.generate],  # what fails is shown as it is: finding its smallest form may take minutes
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,  # the same requests each time: what fails can be looked into
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_answers_are_as_described(operation, served, known, session):
    key, ids, clip = known

    @SWIFT
    @given(invented(operation), st.booleans(), st.integers(0, 7))
    def ask(case, real, junk):
        if real and case.method != "DELETE":
            case.path_parameters = {**(case.path_parameters or {}), **ids}
            case.headers = {**(case.headers or {}), **TUS}
            if "documents" in (case.query or {}):
                case.query = {"documents": case.query["documents"]}
        if junk and isinstance(case.body, dict) and "file" in case.body:
            case.body = {**case.body, "file": clip}
        headers = {**(case.headers or {}), "X-API-Key": key}
        answer = case.call(served.url, session=session, headers=headers, timeout=60)
        case.validate_response(answer, checks=CHECKS)

    ask()
