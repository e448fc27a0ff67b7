"""A provider is left alone for its own failures; what goes wrong on our side is not put down to it."""

from __future__ import annotations

import http.server
import threading

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from core.database.tables import Payment
from core.errors import (
    GROQ,
    OBJECT_STORE,
    Code,
    NotFound,
    OutcomeUnknown,
    ProviderBusy,
    Rejected,
    UnreadableMedia,
)
from core.http_client import HttpClient
from core.orders.breakers import Breakers
from tests import remotely
from tests.drive import perform_all, ready
from tests.remotely import CANARY
from tools.groq_emulator import GroqEmulator
from tools.runpod_emulator import RunPodEmulator

LINE = HttpClient(GROQ, SecretStr(CANARY), "GROQ_API_KEY")


@pytest.fixture(scope="module")
def bucket():
    with remotely.bucket() as settings:
        yield settings


@pytest.fixture(scope="module")
def refusing():
    """The address of a store that refuses every key."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self):
            self.do_GET()

        def do_PUT(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def providers():
    with (
        GroqEmulator(recognise=nothing, key=CANARY) as groq,
        RunPodEmulator(recognise=nothing, key=CANARY) as runpod,
    ):
        yield {
            "groq_api_key": CANARY,
            "groq_base_url": f"{groq.url}/openai/v1",
            "runpod_api_key": CANARY,
            "runpod_url": runpod.endpoint,
        }


def nothing(_file, _language):
    return []


def elsewhere(home, engine, **settings):
    """A task that is ready to be transcribed, on a machine that has neither its sound nor its file."""
    app = remotely.journey(home, **settings)
    task = remotely.accept_short(app, engine)
    (job,) = ready(app)
    app.pipeline.run(app.job_queue.claim(job.id, "w"))
    app.sound.drop(task.transcript_id)
    app.blobs.remove(app.recordings.get(remotely.EVERYONE, task.recording_id).sha256)
    app.database.close()
    return task


@pytest.mark.parametrize("engine", ["groq", "runpod"])
def test_sound_that_cannot_be_fetched_is_no_failure_of_the_provider(
    tmp_path, providers, bucket, refusing, engine
):
    task = elsewhere(tmp_path, engine, **providers, **bucket)
    away = remotely.journey(tmp_path, **providers, **{**bucket, "s3_endpoint_url": refusing})
    perform_all(away)

    breaker = away.remote_transcription.breakers.state(away.engines[engine].provider)
    assert (breaker.refused, breaker.failures) == (False, 0)
    assert "S3_ACCESS_KEY" in str(remotely.job(away, task).error)
    with away.database.read() as session:
        assert not session.scalars(select(Payment)).all(), "no money is promised before there is sound"


def test_a_store_that_refuses_the_sound_of_an_order_is_no_failure_of_the_provider(
    tmp_path, providers, bucket, refusing
):
    app = remotely.journey(tmp_path, **providers, **bucket)
    task = remotely.accept_short(app, "groq-batch")
    (job,) = ready(app)
    app.pipeline.run(app.job_queue.claim(job.id, "w"))
    app.database.close()

    away = remotely.journey(tmp_path, **providers, **{**bucket, "s3_endpoint_url": refusing})
    perform_all(away)

    breaker = away.remote_transcription.breakers.state("groq")
    assert (breaker.refused, breaker.failures) == (False, 0)
    assert "S3_ACCESS_KEY" in str(remotely.job(away, task).error)
    assert away.ledger.month().reserved == 0


@pytest.fixture
def breakers(tmp_path):
    app = remotely.journey(tmp_path)
    yield Breakers(app.database)
    app.database.close()


def fail(breakers, error):
    with pytest.raises(type(error)), breakers.around("groq", LINE):
        raise error


def test_what_went_wrong_here_says_nothing_about_the_provider(breakers):
    fail(breakers, OutcomeUnknown(GROQ, "HTTP 500"))

    for own_error in (
        UnreadableMedia(reason="broken"),
        NotFound(),
        ProviderBusy(OBJECT_STORE, "a damaged copy"),
    ):
        fail(breakers, own_error)
        assert breakers.state("groq").failures == 1


def test_a_provider_that_refuses_what_was_asked_works(breakers):
    fail(breakers, OutcomeUnknown(GROQ, "HTTP 500"))

    refusal = Rejected(Code.REQUEST_REFUSED, provider="Groq", detail="HTTP 400")
    refusal.provider = GROQ
    fail(breakers, refusal)

    assert breakers.state("groq").failures == 0
