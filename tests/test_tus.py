"""The rules of tus 1.0 (https://tus.io), by several clients that write to one upload in any order."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.principal import EVERYONE
from tests.installation import generous
from tests.serve import serve
from tests.tool import until

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}
TASK = "stenogram-task-id"
REFUSED = {404, 409}
"""Wrong, or another client has stopped the upload meanwhile."""
HOW = ("on", "on", "on", "behind", "beyond", "long", "ask")
WRITES = st.tuples(st.sampled_from(HOW), st.integers(1, 60_000))
CLIENTS = st.lists(st.lists(WRITES, max_size=6), min_size=1, max_size=4)
QUIET = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def served(tmp_path_factory, kept_in):
    with serve(generous(tmp_path_factory.mktemp("tus"), **kept_in, upload_max_bytes=3_000_000)) as served:
        yield served


@dataclass
class Client:
    """One who sends the same file as the others, and keeps what it was answered."""

    http: httpx.Client
    address: str
    content: bytes
    seen: list[tuple[str, int]] = field(default_factory=list)

    def ask(self) -> httpx.Response:
        return self.keep("HEAD", self.http.head(self.address))

    def send(self, at: int, piece: bytes) -> httpx.Response:
        headers = {**PIECE, "Upload-Offset": f"{at}"}
        return self.keep("PATCH", self.http.patch(self.address, headers=headers, content=piece))

    def keep(self, method: str, answer: httpx.Response) -> httpx.Response:
        self.seen.append((method, answer.status_code))
        return answer

    def write(self, how: str, size: int) -> None:
        """One step, right or wrong; what is wrong must be refused."""
        answer = self.ask()
        if answer.status_code != 200:
            return
        at = int(answer.headers["upload-offset"])
        assert at <= len(self.content) == int(answer.headers["upload-length"])
        if how == "on" and at < len(self.content):
            self.send(at, self.content[at : at + size])
        elif how == "behind" and at:
            assert self.send(at - 1, b"x" * size).status_code in REFUSED
        elif how == "beyond":
            assert self.send(at + len(self.content), b"x").status_code in REFUSED
        elif how == "long":
            assert self.send(at, b"x" * (len(self.content) + 1)).status_code in REFUSED

    def finish(self) -> str:
        """Send until there is a task; its id."""

        def probe() -> str | None:
            answer = self.ask()
            at = int(answer.headers["upload-offset"])
            if at < len(self.content):
                self.send(at, self.content[at:])
            return answer.headers.get(TASK)

        return until(probe, 60, "a task")


def begin(me: httpx.Client, content: bytes) -> str:
    headers = {**TUS, "Upload-Length": f"{len(content)}", "Upload-Metadata": "language ZW4="}
    return me.post("/api/v1/uploads", headers=headers).headers["location"]


@QUIET
@given(steps=st.lists(WRITES, max_size=12))
def test_one_after_another_the_bytes_are_those_that_were_taken(served, clip, steps):
    """Against a model: the offset is what was taken, wrong steps change nothing, the end is one task."""
    content = clip.read_bytes()
    with served.client(**TUS) as me:
        client = Client(me, begin(me, content), content)
        offset = 0
        for how, size in steps:
            client.write(how, size)
            offset = min(len(content), offset + size) if how == "on" else offset
            assert client.ask().headers["upload-offset"] == f"{offset}"
        task_id = client.finish()

        assert me.get("/api/v1/tasks").json()["total"] == 1
        assert {status for _, status in client.seen} <= {200, 204, 409}
    assert_whole(served, task_id, content)


@QUIET
@given(scripts=CLIENTS)
def test_all_at_once_there_is_one_whole_recording_and_one_task(served, clip, scripts):
    content = clip.read_bytes()
    with served.client(**TUS) as me, ThreadPoolExecutor(len(scripts)) as pool:
        address = begin(me, content)
        clients = [Client(me, address, content) for _ in scripts]

        def work(client: Client, script: list[tuple[str, int]]) -> str:
            for how, size in script:
                client.write(how, size)
            return client.finish()

        task_ids = set(pool.map(work, clients, scripts))

        assert len(task_ids) == me.get("/api/v1/tasks").json()["total"] == 1
        assert {status for client in clients for _, status in client.seen} <= {200, 204, 409}
    assert_whole(served, task_ids.pop(), content)


@QUIET
@given(scripts=CLIENTS, stop_after=st.integers(0, 6))
def test_stopped_beside_the_others_it_is_gone_or_a_task(served, clip, scripts, stop_after):
    content = clip.read_bytes()
    with served.client(**TUS) as me, ThreadPoolExecutor(len(scripts) + 1) as pool:
        address = begin(me, content)
        clients = [Client(me, address, content) for _ in scripts]

        def work(client: Client, script: list[tuple[str, int]]) -> None:
            for how, size in [*script, ("on", len(content))]:
                client.write(how, size)

        def stop() -> None:
            for _ in range(stop_after):
                me.head(address)
            assert me.delete(address).status_code == 204

        stopped = pool.submit(stop)
        list(pool.map(work, clients, scripts))
        stopped.result()

        assert {status for client in clients for _, status in client.seen} <= {200, 204, 404, 409}
        assert me.head(address).status_code == 404
        assert me.get("/api/v1/tasks").json()["total"] <= 1
    assert not list((served.app.settings.home / "uploads").iterdir())


def assert_whole(served, task_id: str, content: bytes) -> None:
    task = served.app.recordings.task(EVERYONE, task_id)
    recording = served.app.recordings.get(EVERYONE, task.recording_id)
    assert recording.sha256 == hashlib.sha256(content).hexdigest()
    assert served.app.blobs.path(recording.sha256).read_bytes() == content
    assert not list((served.app.settings.home / "uploads").iterdir())


def test_a_length_may_be_said_last(served, clip):
    """As while something is recorded (creation-defer-length); once said it stands."""
    content = clip.read_bytes()
    with served.client(**TUS) as me:
        assert me.post("/api/v1/uploads").status_code == 400
        told = {"Upload-Defer-Length": "1", "Upload-Metadata": "language ZW4="}
        client = Client(me, me.post("/api/v1/uploads", headers=told).headers["location"], content)
        client.send(0, content[:5000])
        asked = client.ask().headers
        assert (asked["upload-offset"], asked["upload-defer-length"]) == ("5000", "1")
        assert "upload-length" not in asked

        def last(offset: int, length: int, piece: bytes = b"") -> httpx.Response:
            headers = {**PIECE, "Upload-Offset": f"{offset}", "Upload-Length": f"{length}"}
            return me.patch(client.address, headers=headers, content=piece)

        assert last(5000, 4999).status_code == 409
        assert last(5000, 3_000_001).status_code == 413
        assert last(5000, len(content), content[5000:6000]).status_code == 204
        assert last(6000, len(content) + 1).status_code == 409
        task_id = client.finish()
    assert_whole(served, task_id, content)
