"""What the API promises beyond a single request: once is once, calls back, fair shares, forgetting."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import io
import json
import os
import ssl
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import update
from standardwebhooks import Webhook, WebhookVerificationError

from api.orders import Order
from core.clients import webhooks
from core.database.tables import Callback, IdempotencyKey, Recording, Task
from core.errors import BadRequest
from core.principal import EVERYONE
from tests import drive
from tests.installation import generous, problem, upload
from tests.serve import serve


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One installation for most tests here; each makes its own keys."""
    with serve(generous(tmp_path_factory.mktemp("promises"), api_callbacks_anywhere=True)) as served:
        yield served


@pytest.fixture
def fresh(tmp_path):
    """An installation that nobody else knows."""
    with serve(generous(tmp_path)) as served:
        yield served


def bring(client, clip, key, **fields):
    files = {"file": (clip.name, clip.read_bytes())}
    data = {"language": "en", **fields}
    return client.post("/api/v1/transcribe", files=files, data=data, headers={"Idempotency-Key": key})


# Once is once


def test_the_same_request_is_one_task(me, clip):
    first, second = bring(me, clip, "a"), bring(me, clip, "a")

    assert first.json()["task_id"] == second.json()["task_id"]
    assert second.status_code == 202
    assert me.get("/api/v1/tasks").json()["total"] == 1


def test_the_same_name_for_another_request_is_refused(me, clip):
    bring(me, clip, "a")

    assert problem(bring(me, clip, "a", title="other"), 409)["code"] == "conflict"


def test_names_of_requests_belong_to_their_key(served, me, clip):
    my_task = bring(me, clip, "a").json()["task_id"]

    with served.client() as other:
        assert bring(other, clip, "a").json()["task_id"] != my_task


def test_twenty_equal_requests_at_once_are_one_task(me, clip):
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: bring(me, clip, "a"), range(20)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert me.get("/api/v1/tasks").json()["total"] == 1


def test_twenty_at_once_with_the_same_bytes_are_one_recording(served, clip):
    with served.client() as me:
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: upload(me, clip), range(20)))

        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["recording_id"] for answer in answers}) == 1
        assert len({answer.json()["task_id"] for answer in answers}) == 20


def silence(n: int) -> bytes:
    """A second in which nobody speaks, different for each number."""
    with io.BytesIO() as file:
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, 16_000, 0, "NONE", "NONE"))
            out.writeframes(n.to_bytes(2, "little") + bytes(31_998))
        return file.getvalue()


def test_first_uploads_of_the_same_bytes_at_once_are_one_recording(tmp_path, database_url):
    """By one key and by another, with and without a name for the request, in every kind of database."""
    with serve(generous(tmp_path, database_url=database_url)) as served, ThreadPoolExecutor(6) as pool:
        my_key, their_key = (served.app.keys.make(EVERYONE, name) for name in ("mine", "theirs"))

        def send(n, key, name):
            with served.client(key) as client:
                named = {"Idempotency-Key": name} if name else {}
                return client.post("/api/v1/transcribe", files={"file": silence(n)}, headers=named)

        for n in range(2):
            senders = [
                (my_key, ""),
                (my_key, ""),
                (their_key, ""),
                (their_key, ""),
                (my_key, f"{n}"),
                (my_key, f"{n}"),
            ]
            sent = list(pool.map(lambda who, n=n: send(n, *who), senders))
            assert [answer.status_code for answer in sent] == [202] * 6, [answer.text for answer in sent]
            recordings = [answer.json()["recording_id"] for answer in sent]
            assert len({recordings[at] for at in (0, 1, 4, 5)}) == len({recordings[at] for at in (2, 3)}) == 1
            assert sent[4].json()["task_id"] == sent[5].json()["task_id"]
        drive.perform_all(served.app)

        for key, number in ((my_key, 3), (their_key, 2)):
            with served.client(key) as client:
                tasks = client.get("/api/v1/tasks?limit=500").json()
                assert tasks["total"] == 2 * number
                assert {task["status"] for task in tasks["tasks"]} == {"completed"}
                assert client.get("/api/v1/recordings").json()["total"] == 2
        served.app.database.close()


def test_a_field_that_a_newer_version_understands_makes_no_other_request(me, clip, monkeypatch):
    """The same bytes on the wire before and after an upgrade, here of a default."""
    first = bring(me, clip, "a", title="call").json()["task_id"]

    monkeypatch.setattr(Order.model_fields["subtitles"], "default", True)
    Order.model_rebuild(force=True)
    try:
        assert bring(me, clip, "a", title="call").json()["task_id"] == first
    finally:
        monkeypatch.undo()
        Order.model_rebuild(force=True)


def test_a_name_from_before_the_upgrade_still_has_its_task(served, me, clip):
    first = bring(me, clip, "a").json()["task_id"]
    with served.app.database.write() as session:
        session.execute(update(IdempotencyKey).values(body=""))  # as the revision of the database leaves it

    assert bring(me, clip, "a").json()["task_id"] == first


def test_the_same_request_for_another_transcript_is_one_task(me, clip):
    recording_id = bring(me, clip, "a").json()["recording_id"]
    again = f"/api/v1/recordings/{recording_id}/transcribe"
    first, second = (me.post(f"{again}?force=true", headers={"Idempotency-Key": "b"}) for _ in range(2))

    assert first.json()["task_id"] == second.json()["task_id"]
    other = me.post(f"{again}?force=true&language=ru", headers={"Idempotency-Key": "b"})
    assert problem(other, 409)["code"] == "conflict"


def test_after_a_day_a_name_means_nothing(served, me, clip):
    first = bring(me, clip, "a").json()["task_id"]
    with served.app.database.write() as session:
        session.execute(update(IdempotencyKey).values(created_at=time.time() - 25 * 3600))

    assert bring(me, clip, "a").json()["task_id"] != first


# Calls back


def end(client, accepted):
    """The quickest way for a task to end."""
    assert client.post(f"/api/v1/tasks/{accepted.json()['task_id']}/cancel").status_code == 200


class Listener:
    """Somebody who waits for calls; whoever is redirected is sent to `/elsewhere` of the same server."""

    def __init__(self, statuses):
        self.heard = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.heard.append((self.path, dict(self.headers), body))
                self.send_response(statuses[min(len(listener.heard), len(statuses)) - 1])
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ended?of=tasks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listen():
    listeners = []

    def start(*statuses):
        listeners.append(Listener(statuses))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.server.shutdown()
        listener.server.server_close()


def test_the_end_of_a_task_is_told_once_and_signed(served, me, clip, listen):
    listener = listen(204)
    accepted = upload(me, clip, callback_url=listener.url).json()
    assert served.app.webhooks.deliver() == 0
    drive.perform_all(served.app)

    assert served.app.webhooks.deliver() == 1
    assert served.app.webhooks.deliver() == 0

    [(path, headers, body)] = listener.heard
    assert path == "/ended?of=tasks"
    payload = json.loads(body)
    assert (payload["task_id"], payload["status"]) == (accepted["task_id"], "completed")
    assert payload == me.get(f"/api/v1/tasks/{accepted['task_id']}").json()
    secrets = me.get("/api/v1/callback-secret").json()
    assert headers["webhook-id"] == accepted["task_id"]
    assert Webhook(secrets["signing_secret"]).verify(body, headers) == payload
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets["signing_secret"]).verify(body + b" ", headers)


def test_the_signature_of_former_versions_still_holds(served, me, clip, listen):
    listener = listen(204)
    end(me, upload(me, clip, force="true", callback_url=listener.url))

    served.app.webhooks.deliver()

    [(_, headers, body)] = listener.heard
    secret = me.get("/api/v1/callback-secret").json()["secret"]
    stamp, _, digest = headers["X-Stenogram-Signature"].removeprefix("t=").partition(",sha256=")
    expected = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert digest == expected
    assert abs(int(stamp) - time.time()) < 60


def test_a_call_that_fails_is_tried_three_times_with_pauses(served, me, clip, listen):
    listener = listen(500, 302, 404)
    end(me, upload(me, clip, force="true", callback_url=listener.url))

    for expected in (1, 2, 3, 3):
        served.app.webhooks.deliver()
        assert len(listener.heard) == expected
        assert {path for path, _, _ in listener.heard} == {"/ended?of=tasks"}, "a redirect is not followed"
        served.app.webhooks.deliver()
        assert len(listener.heard) == expected, "without a pause"
        with served.app.database.write() as session:
            session.execute(update(Callback).values(next_at=0.0))
    with served.app.database.read() as session:
        url = session.query(Callback).where(Callback.url == listener.url)
        assert url.one().error == "HTTP 404"


def test_a_cancelled_task_calls_too(served, me, clip, listen):
    listener = listen(200)
    end(me, upload(me, clip, force="true", callback_url=listener.url))

    served.app.webhooks.deliver()

    assert json.loads(listener.heard[0][2])["status"] == "cancelled"


REFUSED = [
    "http://example.com/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::a00:1]/",
    "https://[2002:a00:1::]/",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.1.1:8443/",
    "https://224.0.0.1/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://of.localhost/",
    "ftp://example.com/",
    "https://",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://exa mple.com/",
    "https://example.com/\r\nX-Evil: 1",
    "https://-пример-.рф/",
    "javascript:alert(1)",
    f"https://example.com/{'a' * 2000}",
]


@pytest.mark.parametrize("url", REFUSED)
def test_nobody_is_sent_into_private_networks(url):
    with pytest.raises(BadRequest):
        webhooks.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.com:8443/ended?of=tasks#here",
        "https://8.8.8.8/",
        "https://[2001:4860:4860::8888]/",
        "https://[::ffff:8.8.8.8]/",
        "https://пример.рф/готово?кто=я",
        "https://xn--e1afmkfd.xn--p1ai/",
        "https://name:word@example.com/",
    ],
)
def test_public_addresses_are_taken(url):
    webhooks.check(url)


def call(url, *, anywhere=False):
    """Make one call without a task: None, or what went wrong."""
    one = webhooks.Call("task", url, b"{}", webhooks.sign("00" * 32, "task", b"{}", time.time()))
    return webhooks.post_all([one], anywhere=anywhere)[0]


def test_a_name_that_leads_into_a_private_network_is_not_called(listen):
    """The name passes the first look; where it leads is judged when it is called."""
    listener = listen(200)
    url = f"http://2130706433:{listener.server.server_port}/"

    assert call(url) == "a private address"
    assert not listener.heard
    assert call(url, anywhere=True) is None


@pytest.mark.parametrize(
    ("name", "host"), [("nobody.invalid", "nobody.invalid"), ("пример.invalid", "xn--e1afmkfd.invalid")]
)
def test_a_name_is_looked_up_once_and_what_it_led_to_is_called(listen, monkeypatch, name, host):
    """The name has no address: whoever looked it up a second time would fail."""
    listener, looked_up = listen(204), []

    async def public_addresses(name, port, *, anywhere):
        looked_up.append(name)
        return ["127.0.0.1"]

    monkeypatch.setattr(webhooks, "public_addresses", public_addresses)

    assert call(f"http://{name}:{listener.server.server_port}/%D0%B0?b=ы") is None
    assert looked_up == [host]
    [(path, headers, _)] = listener.heard
    assert path == "/%D0%B0?b=%D1%8B"
    assert headers["Host"] == f"{host}:{listener.server.server_port}"


def test_the_second_address_of_a_name_is_called_where_the_first_takes_nobody(listen, monkeypatch):
    listener = listen(204)

    async def public_addresses(name, port, *, anywhere):
        return ["::1", "127.0.0.1"]

    monkeypatch.setattr(webhooks, "public_addresses", public_addresses)

    assert call(f"http://nobody.invalid:{listener.server.server_port}/") is None


def certificate(folder, name):
    """A certificate of a name that vouches for itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    )
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / name).write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem) + secret)
    return folder / name


@pytest.mark.parametrize(("name", "error"), [("nobody.invalid", None), ("other.invalid", "ConnectError")])
def test_the_address_that_was_looked_up_must_prove_the_name(listen, monkeypatch, tmp_path, name, error):
    listener, file = listen(204), certificate(tmp_path, "nobody.invalid")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file)
    listener.server.socket = serving.wrap_socket(listener.server.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=file)

    async def public_addresses(name, port, *, anywhere):
        return ["127.0.0.1"]

    monkeypatch.setattr(webhooks, "public_addresses", public_addresses)
    monkeypatch.setattr(webhooks.ssl, "create_default_context", lambda: trusting)

    assert call(f"https://{name}:{listener.server.server_port}/") == error
    assert len(listener.heard) == (error is None)


def test_a_bad_callback_address_is_refused_with_the_upload(fresh, clip):
    with fresh.client() as me:
        problem(upload(me, clip, callback_url="https://10.0.0.1/"), 400)
        assert me.get("/api/v1/tasks").json()["total"] == 0


def test_one_who_never_answers_costs_seconds_not_the_worker(served, me, clip, monkeypatch):
    import socket

    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.5)
    address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    end(me, upload(me, clip, force="true", callback_url=address))

    began = time.monotonic()
    assert served.app.webhooks.deliver() == 0

    assert time.monotonic() - began < 5
    silent.close()


def test_one_slow_address_does_not_keep_the_others_waiting(served, clip):
    """Three addresses answer only when all three were called: one call after another would wait for ever."""
    together = threading.Barrier(3, timeout=5)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            try:
                together.wait()
                self.send_response(204)
            except threading.BrokenBarrierError:
                self.send_response(503)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with served.client() as me:
        for n in range(3):
            url = f"http://127.0.0.1:{server.server_port}/{n}"
            end(me, upload(me, clip, force="true", callback_url=url))

        assert served.app.webhooks.deliver() == 3
    server.shutdown()
    server.server_close()


def test_a_round_makes_no_more_calls_than_it_can_and_the_next_goes_on(served, clip, listen):
    listener = listen(204)
    with served.client() as me:
        for _ in range(3):
            end(me, upload(me, clip, force="true", callback_url=listener.url))

    assert [served.app.webhooks.deliver(2) for _ in range(3)] == [2, 1, 0]


# Fair shares


def test_the_fourth_task_of_a_key_waits_and_is_not_refused(tmp_path, clip):
    with (
        serve(generous(tmp_path, api_tasks_per_key=3)) as served,
        served.client() as me,
        served.client() as other,
    ):
        rung: list[str] = []
        served.app.job_queue.notifier = lambda _queue, _kind, job_id: rung.append(job_id)
        my_tasks = [upload(me, clip, force="true").json()["task_id"] for _ in range(4)]
        their_task = upload(other, clip, force="true").json()["task_id"]
        jobs = {job.task_id: job.id for job in drive.ready(served.app)}

        claims = [served.app.job_queue.claim(job, "worker") for job in jobs.values()]

        claimed = {claim.task_id for claim in claims if claim}
        assert their_task in claimed
        (waiting,) = set(my_tasks) - claimed
        assert me.get(f"/api/v1/tasks/{waiting}").json()["status"] == "queued"
        rung.clear()
        me.post(f"/api/v1/tasks/{(claimed - {their_task}).pop()}/cancel")
        assert jobs[waiting] in rung
        assert served.app.job_queue.claim(jobs[waiting], "worker") is not None


def test_waiting_tasks_of_a_busy_key_are_not_woken_in_vain(tmp_path, clip):
    with serve(generous(tmp_path, api_tasks_per_key=1)) as served, served.client() as me:
        for _ in range(3):
            upload(me, clip, force="true")
        first = drive.ready(served.app)[0]
        assert served.app.job_queue.claim(first.id, "worker")
        later = time.time() + 60
        served.app.clock.stopped_at = later
        served.app.job_queue.renew(["worker"])

        assert served.app.job_queue.reconcile() == 0


def test_however_many_are_queued_all_get_done(tmp_path, clip):
    with serve(generous(tmp_path, api_tasks_per_key=1)) as served, served.client() as me:
        tasks = [upload(me, clip, force=force).json()["task_id"] for force in ("true", "false", "false")]

        drive.perform_all(served.app)

        assert {me.get(f"/api/v1/tasks/{task}").json()["status"] for task in tasks} == {"completed"}


# Forgetting


def ended(served, client, clip, hours, **recording):
    """A task that was completed so many hours ago."""
    task_id = upload(client, clip).json()["task_id"]
    with served.app.database.write() as session:
        long_ago = {"status": "completed", "completed_at": time.time() - hours * 3600}
        session.execute(update(Task).where(Task.id == task_id).values(long_ago))
        if recording:
            session.execute(update(Recording).values(**recording))
    return task_id


@pytest.mark.parametrize(("hours", "forgotten"), [(23, 0), (25, 1)])
def test_after_a_day_a_task_and_its_bytes_are_gone(fresh, clip, hours, forgotten):
    with fresh.client() as me:
        task_id = ended(fresh, me, clip, hours)

        assert fresh.app.retention.sweep() == forgotten

        assert me.get(f"/api/v1/tasks/{task_id}").status_code == (404 if forgotten else 200)
        assert me.get("/api/v1/recordings").json()["total"] == 1 - forgotten
        digest = hashlib.sha256(clip.read_bytes()).hexdigest()
        assert fresh.app.blobs.place(digest).exists() == (not forgotten)


def test_running_tasks_and_recordings_of_the_pages_stay(fresh, clip):
    from core.library.recordings import TranscriptionOptions
    from core.principal import EVERYONE

    with clip.open("rb") as file, fresh.client() as me:
        fresh.app.intake.accept(EVERYONE, file, "page.wav", TranscriptionOptions(language="en"))
        upload(me, clip)
    with fresh.app.database.write() as session:
        done_long_ago = {"status": "completed", "completed_at": 1.0}
        session.execute(update(Task).where(Task.owner == "pages").values(done_long_ago))
        session.execute(update(Task).where(Task.owner != "pages").values(status="processing", created_at=1.0))

    assert fresh.app.retention.sweep() == 0


@pytest.mark.parametrize(("hours", "forgotten"), [(30, 0), (71, 0), (73, 1)])
def test_vectors_that_are_still_bought_keep_a_task_for_three_days(fresh, clip, hours, forgotten):
    with fresh.client() as me:
        ended(fresh, me, clip, hours, embedding_status="waiting")

    assert fresh.app.retention.sweep() == forgotten


def test_zero_hours_keep_tasks_for_ever(tmp_path, clip):
    with serve(generous(tmp_path, api_retention_h=0)) as served, served.client() as me:
        ended(served, me, clip, 10_000)

        assert served.app.retention.sweep() == 0


def test_bytes_that_belong_to_nobody_are_swept_away(fresh, clip):
    folder = fresh.app.blobs.folder
    with fresh.client() as me:
        problem(upload(me, clip, language="tlh"), 400)
        [orphan] = list(folder.glob("??/*"))
        assert fresh.app.retention.sweep_store() == 0
        os.utime(orphan, (1, 1))

        assert fresh.app.retention.sweep_store() == 1
        assert not orphan.exists()

        upload(me, clip)
        for file in folder.glob("??/*"):
            os.utime(file, (1, 1))
        assert fresh.app.retention.sweep_store() == 0


def test_decoded_sound_stays_while_a_job_needs_it_and_not_much_longer(fresh, clip):
    app = fresh.app
    with fresh.client() as me:
        accepted = upload(me, clip)
        (job,) = drive.ready(app)
        app.pipeline.run(app.job_queue.claim(job.id, "w"))
        [sound] = (app.settings.home / "work").iterdir()
        os.utime(sound, (1, 1))
        assert app.retention.sweep_store() == 0

        end(me, accepted)

    assert app.retention.sweep_store() == 1
    assert not sound.exists()
