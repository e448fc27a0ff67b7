"""Nobody learns of what is somebody else's: every address of the description, with ids of another key."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.installation import cut, generous, problem, upload
from tests.serve import serve

TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(generous(tmp_path_factory.mktemp("strangers"))) as served:
        yield served


@pytest.fixture(scope="module")
def owned(served, tmp_path_factory):
    """Ids of everything a key can own, by the name the description gives them."""
    with served.client() as owner:
        accepted = upload(owner, cut(tmp_path_factory.mktemp("clip"))).json()
        begun = owner.post("/api/v1/uploads", headers={**TUS, "Upload-Length": "10"})
    return {
        "task_id": accepted["task_id"],
        "recording_id": accepted["recording_id"],
        "upload_id": begun.headers["location"].rpartition("/")[2],
    }


def addresses(served, ids):
    """Method and address of every operation with an id in it, with every id."""
    described = httpx.get(f"{served.url}/openapi.json").json()["paths"]
    for path, operations in described.items():
        if "{" not in path:
            continue
        for id_ in ids:
            for method in operations:
                yield method.upper(), re.sub(r"\{\w+\}", id_, path)


def everything(served):
    with served.client(served.here.keys.make("boss", admin=True)) as admin:
        tasks, recordings = admin.get("/api/v1/tasks").json(), admin.get("/api/v1/recordings").json()
    return tasks["tasks"], recordings["recordings"]


def test_a_stranger_gets_404_everywhere_and_changes_nothing(served, owned):
    before = everything(served)
    tried = 0
    with served.client(**TUS) as stranger:
        for method, address in addresses(served, [*owned.values(), "0" * 32]):
            answer = stranger.request(method, address, content=b"x" if method == "PATCH" else None)
            assert answer.status_code == 404, (method, address, answer.text)
            tried += 1

    assert tried >= 4 * 12
    assert everything(served) == before


def test_not_found_is_the_same_for_what_is_another_s_and_for_what_is_not(served, owned):
    with served.client() as stranger:
        theirs = problem(stranger.get(f"/api/v1/tasks/{owned['task_id']}"), 404)
        nothing = problem(stranger.get(f"/api/v1/tasks/{'0' * 32}"), 404)

    assert theirs == nothing


def test_without_a_key_every_such_address_refuses(served, owned):
    for method, address in addresses(served, owned.values()):
        answer = httpx.request(method, served.url + address, headers=TUS)
        assert answer.status_code == 401, (method, address)


def test_lists_and_searches_of_a_stranger_are_empty(served, owned):
    with served.client() as stranger:
        for address in ("/api/v1/tasks", "/api/v1/recordings", "/api/v1/search?q=the&mode=words"):
            assert stranger.get(address).json()["total"] == 0


def test_a_revoked_key_is_a_stranger_at_once(served):
    key = served.here.keys.make("gone")
    with served.client(key) as client:
        assert client.get("/api/v1/tasks").status_code == 200
        served.here.keys.revoke(key[4:12])
        problem(client.get("/api/v1/tasks"), 401)


@pytest.mark.parametrize("id_", ["..", "%2e%2e", "%27%20OR%201=1%20--", "%00", "я", "a" * 5000])
def test_no_id_breaks_anything(served, owned, id_):
    with served.client(**TUS) as me:
        for method, address in addresses(
            served, [id_.replace("'", "%27").replace(" ", "%20").replace("\0", "%00")]
        ):
            answer = me.request(method, served.url + address)
            assert answer.status_code in {400, 404, 405}, (method, address, answer.text)


def test_those_who_guess_keys_are_slowed_down(tmp_path):
    with serve(generous(tmp_path)) as served, served.client("gam_guess") as guesser:
        statuses = [guesser.get("/api/v1/tasks").status_code for _ in range(32)]

        assert statuses == [401] * 30 + [429] * 2
        with served.client() as good:
            assert good.get("/api/v1/tasks").status_code == 200
