"""Who may what: without a good key nothing, and nobody learns of what is somebody else's.

Every address of the description is tried, with ids of another key.
"""

from __future__ import annotations

import base64
import itertools
import re
from urllib.parse import quote

import httpx
import pytest

from core.principal import EVERYONE
from tests.installation import done, generous, problem, upload
from tests.serve import serve

SPOKEN = {"name": "x", "source": "speaker_1", "target": "new", "start_s": 0}
"""Whatever an operation on speakers and voices asks for."""
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@pytest.fixture(scope="module")
def served(tmp_path_factory, kept_in):
    with serve(generous(tmp_path_factory.mktemp("strangers"), **kept_in)) as served:
        yield served


@pytest.fixture(scope="module")
def owned(served, clip):
    """Ids of everything a key can own, by the name the description gives them."""
    with served.client() as owner:
        accepted = upload(owner, clip).json()
        begun = owner.post("/api/v1/uploads", headers={**TUS, "Upload-Length": "10"})
    return {
        "task_id": accepted["task_id"],
        "recording_id": accepted["recording_id"],
        "upload_id": begun.headers["location"].rpartition("/")[2],
    }


def addresses(served, ids):
    """Method and address of every operation with an id in it, with every id, and what may be sent there."""
    described = httpx.get(f"{served.url}/openapi.json").json()
    for path, operations in described["paths"].items():
        if "{" not in path:
            continue
        for id_ in ids:
            for method, operation in operations.items():
                address = re.sub(r"\{\w+\}", id_, path.replace("{n}", "1"))
                yield method.upper(), address, _sent(described, operation)


def _sent(described, operation):
    """The example of a body of JSON, else bytes, where the operation takes a body."""
    content_types = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content_types:
        return {"content": b"x"} if content_types else {}
    name = content_types["application/json"]["schema"]["$ref"].rpartition("/")[2]
    example = described["components"]["schemas"][name].get("examples", [SPOKEN])[0]
    return {"json": example, "headers": {"Content-Type": "application/json"}}


def everything(served):
    with served.client(served.app.keys.make(EVERYONE, "boss", admin=True)) as admin:
        tasks, recordings = admin.get("/api/v1/tasks").json(), admin.get("/api/v1/recordings").json()
    return tasks["tasks"], recordings["recordings"]


def test_a_stranger_gets_404_everywhere_and_changes_nothing(served, owned):
    before = everything(served)
    tried = 0
    with served.client(**TUS) as stranger:
        for method, address, body in addresses(served, [*owned.values(), "0" * 32]):
            answer = stranger.request(method, address, **body)
            assert answer.status_code == 404, (method, address, answer.text)
            tried += 1

    assert tried >= 4 * 12
    assert everything(served) == before


def test_not_found_is_the_same_for_what_is_another_s_and_for_what_is_not(served, owned):
    with served.client() as stranger:
        other_problem = problem(stranger.get(f"/api/v1/tasks/{owned['task_id']}"), 404)
        nothing = problem(stranger.get(f"/api/v1/tasks/{'0' * 32}"), 404)

    assert other_problem == nothing


def test_lists_and_searches_of_a_stranger_are_empty(served, owned):
    with served.client() as stranger:
        for address in ("/api/v1/tasks", "/api/v1/recordings", "/api/v1/search?q=the&mode=words"):
            assert stranger.get(address).json()["total"] == 0


def test_a_revoked_key_is_a_stranger_at_once(served):
    key = served.app.keys.make(EVERYONE, "gone")
    with served.client(key) as client:
        assert client.get("/api/v1/tasks").status_code == 200
        served.app.keys.revoke(EVERYONE, key[4:12])
        problem(client.get("/api/v1/tasks"), 401)


@pytest.mark.parametrize("id_", ["..", "%2e%2e", "%27%20OR%201=1%20--", "%00", "я", "a" * 5000])
def test_no_id_breaks_anything(served, owned, id_):
    with served.client(**TUS) as me:
        for method, address, _ in addresses(
            served, [id_.replace("'", "%27").replace(" ", "%20").replace("\0", "%00")]
        ):
            answer = me.request(method, served.url + address)
            assert answer.status_code in {400, 404, 405}, (method, address, answer.text)


NASTY = [
    "\0",
    "a\0b",
    "'; DROP TABLE tasks; --",
    "%",
    "_",
    "\\",
    "\ud800",
    "я" * 5000,
    "9" * 40,
    "-1",
    "{}",
    "NaN",
]
REACHING_RECORDS = {"title", "tags", "callback_url"}
"""The fields whose text is kept as it is: the others are compared with a list before a database sees them."""


def _asked(served, path: str) -> list[str]:
    """What the description says one may ask there."""
    described = httpx.get(f"{served.url}/openapi.json").json()["paths"][f"/api/v1/{path}"]["get"]
    return [each["name"] for each in described["parameters"] if each["in"] == "query"]


@pytest.mark.parametrize("path", ["search", "tasks", "recordings", "estimate", "monitor"])
def test_nothing_that_is_asked_breaks_anything(served, path):
    names = _asked(served, path)
    assert names
    with served.client(served.app.keys.make(EVERYONE, "boss", admin=True)) as admin:
        for name, nasty in itertools.product(names, NASTY):
            value = quote(nasty.encode("utf-8", "surrogatepass"))
            answer = admin.get(f"/api/v1/{path}?{name}={value}")
            assert answer.status_code in {200, 400, 404}, (name, nasty[:20], answer.text)


@pytest.mark.parametrize("field", ["title", "tags", "language", "engine", "callback_url", "speakers", "lane"])
def test_nothing_that_is_told_breaks_anything(served, me, clip, field):
    if not served.app.database.has_local_clock and field not in REACHING_RECORDS:
        pytest.skip("refused before any database is asked")
    boundary = "--b\r\nContent-Disposition: form-data; name="
    for nasty in NASTY:
        value = nasty.encode("utf-8", "surrogatepass")
        body = f'{boundary}"{field}"\r\n\r\n'.encode() + value
        body += f'\r\n{boundary}"file"; filename="a{nasty[:200]}.wav"\r\n\r\n'.encode(
            "utf-8", "surrogatepass"
        )
        body += clip.read_bytes() + b"\r\n--b--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=b", "Idempotency-Key": ascii(nasty)[:100]}

        answer = me.post("/api/v1/transcribe", content=body, headers=kind)

        assert answer.status_code in {202, 400}, (nasty[:20], answer.text)
        encoded = base64.b64encode(value).decode()
        if len(encoded) < 7000:
            headers = {
                **TUS,
                "Upload-Length": "10",
                "Upload-Metadata": f"{field} {encoded},filename {encoded}",
            }
            assert me.post("/api/v1/uploads", headers=headers).status_code in {201, 400}, nasty[:20]


def test_those_who_guess_keys_are_slowed_down(tmp_path):
    with serve(generous(tmp_path)) as served, served.client("gam_guess") as guesser:
        statuses = [guesser.get("/api/v1/tasks").status_code for _ in range(32)]

        assert statuses == [401] * 30 + [429] * 2
        with served.client() as good:
            assert good.get("/api/v1/tasks").status_code == 200


@pytest.mark.parametrize(("trusted", "refused"), [("", 2), ("127.0.0.1", 0)])
def test_another_address_is_believed_of_a_proxy_only(tmp_path, trusted, refused):
    """Whoever guesses keys may write any X-Forwarded-For; a proxy that is named writes the true one."""
    with serve(generous(tmp_path, trusted_proxies=trusted)) as served, served.client("gam_guess") as guesser:
        statuses = [
            guesser.get("/api/v1/tasks", headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code
            for n in range(32)
        ]

    assert statuses == [401] * (32 - refused) + [429] * refused


def test_without_a_key_every_address_refuses(served):
    """But those that say so: is it well, what is here, and what the protocol of uploads asks for."""
    described = httpx.get(f"{served.url}/openapi.json").json()["paths"]
    tried = [
        (method.upper(), path)
        for path, operations in described.items()
        for method in operations
        if path not in {"/health", "/health/live", "/health/ready", "/api"} and method != "options"
    ]
    assert len(tried) > 20
    with served.client("", **TUS) as nobody:
        for method, path in tried:
            refused = nobody.request(method, path)
            assert refused.status_code == 401, (method, path, refused.text)
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert method == "HEAD" or problem(refused, 401)["code"] == "key_refused"


@pytest.mark.parametrize("key", ["gam_wrong", "gam_00000000_" + "a" * 43 + "_00000000"])
def test_a_key_that_is_none_opens_nothing(served, key):
    with served.client(key) as nobody:
        problem(nobody.get("/api/v1/tasks"), 401)


def test_a_key_may_come_as_a_bearer(served):
    key = served.app.keys.make(EVERYONE, "bearer")

    with served.client("", Authorization=f"Bearer {key}") as client:
        del client.headers["X-API-Key"]
        assert client.get("/api/v1/tasks").status_code == 200


def test_an_admin_sees_all_and_others_only_theirs(served, me, clip):
    task_id = upload(me, clip).json()["task_id"]

    with served.client() as other, served.client(served.app.keys.make(EVERYONE, "boss", admin=True)) as admin:
        problem(other.get(f"/api/v1/tasks/{task_id}"), 404)
        assert other.get("/api/v1/tasks").json()["total"] == 0
        assert admin.get(f"/api/v1/tasks/{task_id}").status_code == 200


def test_nobody_finds_what_others_said(served, me, clip):
    task_id = done(served, me, clip)
    result = me.get(f"/api/v1/tasks/{task_id}/result").json()

    with served.client() as other:
        assert other.get("/api/v1/search", params={"q": result["transcription"]}).json()["total"] == 0
        problem(other.get("/api/v1/search", params={"q": "a", "recording_id": result["recording_id"]}), 404)
