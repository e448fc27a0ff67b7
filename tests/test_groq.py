"""Groq and its like: one paid call a segment, half the price by batch, honest about every refusal."""

from __future__ import annotations

import email.utils
import itertools
import logging
import threading
import time

import numpy as np
import pytest
from dramatiq.middleware import Shutdown
from dramatiq.middleware.threading import raise_thread_exception

from core.errors import GROQ, OutcomeUnknown, ProviderBusy, ProviderRefused, ProviderResting, Rejected
from core.http_client import HttpClient
from core.media.waveform import SAMPLE_RATE
from core.settings import Settings
from core.speech.engines.groq import ADDRESS, GroqBatchEngine, GroqEngine
from core.storage.object_store import ObjectStore
from tests import remotely
from tests.remotely import CANARY
from tools.groq_emulator import GroqEmulator

NOISE = np.random.default_rng(0).integers(-3000, 3000, SAMPLE_RATE, dtype=np.int16)
HEARD = [
    {
        "start": 0.0,
        "end": 0.9,
        "text": "Привет, мир.",
        "words": [
            {"word": "Привет,", "start": 0.1, "end": 0.4},
            {"word": "мир.", "start": 0.5, "end": 0.8},
        ],
    }
]


def quick(_file: bytes, _language: str):
    return HEARD


@pytest.fixture
def groq():
    with GroqEmulator(recognise=quick, key=CANARY) as emulator:
        yield emulator


def keys(emulator):
    return {"groq_api_key": CANARY, "groq_base_url": f"{emulator.url}/openai/v1"}


def settings(emulator, **others):
    return Settings(**{**keys(emulator), **others})


@pytest.fixture
def engine(groq):
    return GroqEngine(settings(groq))


def test_a_reply_is_text_with_punctuated_words_and_phrases(engine, groq):
    (speech,) = engine.transcribe([NOISE], "ru")

    assert speech.text == "Привет, мир."
    assert [(word.text, word.start_s) for word in speech.words] == [("Привет,", 0.1), ("мир.", 0.5)]
    assert [(phrase.text, phrase.end_s) for phrase in speech.phrases] == [("Привет, мир.", 0.9)]


def test_model_and_language_are_asked_for_with_times_of_words(engine, groq):
    engine.transcribe([NOISE], "kk")

    assert groq.forms == [
        {
            "model": "whisper-large-v3-turbo",
            "language": "kk",
            "response_format": "verbose_json",
            "timestamp_granularities[]": "word,segment",
            "temperature": "0",
        }
    ]


def test_a_translation_and_a_temperature_are_asked_for_as_documented(groq):
    engine = GroqEngine(settings(groq, groq_model="whisper-large-v3"))
    (speech,) = engine.with_options(translate=True, temperature=0.3).transcribe([NOISE], "ru")

    assert groq.calls[-1].name == "translate"
    fields = {"model": "whisper-large-v3", "response_format": "verbose_json", "temperature": "0.3"}
    assert groq.forms == [fields]
    assert [(phrase.text, phrase.words) for phrase in speech.phrases] == [("Привет, мир.", ())]
    assert not GroqEngine(settings(groq)).translates


def test_silence_costs_nothing(engine, groq):
    assert engine.transcribe([np.zeros(SAMPLE_RATE, np.int16)], "ru")[0].text == ""
    assert groq.calls == []


@pytest.mark.parametrize(
    ("fault", "options", "error"),
    [
        ("error", {"code": 400}, Rejected),
        ("error", {"code": 404}, Rejected),
        ("error", {"code": 413}, Rejected),
        ("error", {"code": 500}, OutcomeUnknown),
        ("error", {"code": 503}, OutcomeUnknown),
        ("error", {"code": 302}, OutcomeUnknown),
        ("busy", {}, ProviderResting),
        ("revoked", {"code": 401}, ProviderRefused),
        ("revoked", {"code": 403}, ProviderRefused),
        ("html", {}, OutcomeUnknown),
        ("drop", {}, OutcomeUnknown),
        ("truncate", {}, OutcomeUnknown),
    ],
)
def test_every_refusal_becomes_one_of_ours_and_is_not_repeated(engine, groq, fault, options, error):
    groq.fault(fault, None, **options)

    with pytest.raises(error) as caught:
        engine.transcribe([NOISE], "ru")
    assert type(caught.value) is error
    assert groq.count("transcribe") == 1
    assert CANARY not in repr(caught.value)


def test_nobody_there_is_known_to_have_done_nothing(engine, groq):
    groq.stop()

    with pytest.raises(ProviderBusy) as caught:
        engine.transcribe([NOISE], "ru")
    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize("date", [False, True])
def test_a_time_to_wait_is_understood_as_number_and_as_date(engine, groq, date):
    groq.fault("busy", retry_after=email.utils.formatdate(time.time() + 90, usegmt=True) if date else 90)

    with pytest.raises(ProviderResting) as caught:
        engine.transcribe([NOISE], "ru")
    assert caught.value.retry_after_s == pytest.approx(90, abs=3)


def test_a_dripping_reply_ends_at_the_deadline(groq):
    """Each read is quick; only a limit on the whole stops it."""
    groq.fault("drip", piece_bytes=1, pause_s=0.2)
    http = HttpClient(GROQ, settings(groq).groq_api_key, "GROQ_API_KEY")

    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="no answer"):
        http.ask("GET", f"{groq.url}/openai/v1/models", deadline_s=1.0)
    assert time.monotonic() - began < 3


def test_a_worker_that_must_stop_is_interrupted_in_the_middle_of_a_call(groq):
    """As dramatiq does it: an exception from outside, into the thread that waits."""
    groq.fault("hang", None, seconds=60)
    http = HttpClient(GROQ, settings(groq).groq_api_key, "GROQ_API_KEY")
    ended = []

    def work():
        try:
            http.ask("GET", f"{groq.url}/openai/v1/models", deadline_s=60)
        except Shutdown:
            ended.append("stopped")

    thread = threading.Thread(target=work)
    thread.start()
    while not groq.calls:
        thread.join(0.05)
    raise_thread_exception(thread.ident, Shutdown)
    thread.join(10)

    assert ended == ["stopped"]


def test_a_reply_without_end_is_cut_off(groq):
    http = HttpClient(GROQ, settings(groq).groq_api_key, "GROQ_API_KEY")

    with pytest.raises(OutcomeUnknown, match="never ends"):
        http.ask("GET", f"{groq.url}/openai/v1/models", most_bytes=20)


def test_without_a_key_it_is_not_ready_and_says_what_is_missing():
    engine = GroqEngine(Settings(groq_api_key="", groq_base_url=""))

    assert engine.address == ADDRESS
    assert "GROQ_API_KEY" in engine.readiness().reason
    with pytest.raises(Rejected, match="GROQ_API_KEY"):
        engine.transcribe([NOISE], "ru")


def test_a_server_of_ones_own_needs_no_key(groq):
    groq.key = ""
    engine = GroqEngine(settings(groq, groq_api_key="", groq_base_url=f"{groq.url}/v1/"))

    assert engine.readiness().ready
    assert engine.transcribe([NOISE], "ru")[0].text == "Привет, мир."
    assert "127.0.0.1" in engine.title
    assert engine.version != GroqEngine(Settings(groq_base_url="")).version


def test_ten_minutes_of_anything_fit_into_an_upload(engine, groq):
    loud = np.random.default_rng(1).integers(-32768, 32767, 600 * SAMPLE_RATE, dtype=np.int16)

    assert engine.transcribe([loud], "ru")[0].text


# On the road


@pytest.fixture
def listening():
    """Groq with ears."""
    with GroqEmulator(key=CANARY) as emulator:
        yield emulator


def test_a_recording_becomes_its_words_with_times(tmp_path, listening):
    app = remotely.journey(tmp_path, **keys(listening))
    task = remotely.done(app, remotely.accept(app, "groq"))

    parts = app.transcripts.segments(task.transcript_id)
    assert task.status == "completed"
    assert remotely.errors(app, task) <= 0.1
    assert len(parts) > listening.count("transcribe")
    assert all(a.end_s <= b.start_s + 0.05 for a, b in itertools.pairwise(parts))
    assert all(part.start_s <= word.start_s <= part.end_s for part in parts for word in part.words)


def test_what_was_bought_is_in_the_book(tmp_path, groq):
    app = remotely.journey(tmp_path, **keys(groq))
    task = remotely.done(app, remotely.accept(app, "groq"))

    assert app.ledger.of_recording(task.recording_id) > 0
    assert app.ledger.month().reserved == 0


class Killed(BaseException):
    """The process ends here."""


def test_no_price_is_booked_without_the_text_it_was_paid_for(tmp_path, groq, monkeypatch):
    app = remotely.journey(tmp_path, **keys(groq))
    task = remotely.accept(app, "groq")

    def kill(*_arguments, **_options):
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(app.transcripts, "commit", kill)
        with pytest.raises(Killed):
            remotely.done(app, task)

    assert {payment.state for payment in app.ledger.payments()} == {"reserved"}, "its outcome is not known"


def test_the_months_cap_stops_calls_before_they_are_made(tmp_path, groq):
    app = remotely.journey(tmp_path, monthly_cap_usd="0.000001", **keys(groq))
    task = remotely.done(app, remotely.accept(app, "groq"), most_s=600)

    assert groq.count("transcribe") == 0
    assert task.status == "processing"
    assert "MONTHLY_CAP_USD" in str(remotely.job(app, task).error)


def test_a_key_that_is_refused_pauses_the_work_until_it_is_good(tmp_path, groq):
    app = remotely.journey(tmp_path, **keys(groq))
    groq.fault("revoked", None)
    task = remotely.done(app, remotely.accept(app, "groq"), most_s=3600)

    assert task.status == "processing"
    assert groq.count("transcribe") < 20, "a refused key is tried now and then, not each time"
    groq.clear_faults()
    assert remotely.done(app, task).status == "completed"


def test_an_outage_is_waited_out_without_hammering(tmp_path, groq):
    app = remotely.journey(tmp_path, **keys(groq))
    groq.fault("error", None, code=503)
    task = remotely.done(app, remotely.accept(app, "groq"), most_s=3600, step_s=31)

    request_count = groq.count("transcribe")
    assert request_count < 12
    assert app.remote_transcription.breakers.state("groq").failures == request_count
    groq.clear_faults()
    if task.status == "failed":
        app.tasks.retry(remotely.EVERYONE, task.id)
    assert remotely.done(app, task).status == "completed"


def test_no_key_is_in_any_file_log_or_message(tmp_path, groq, caplog):
    caplog.set_level(logging.DEBUG)
    app = remotely.journey(tmp_path / "home", **keys(groq))
    groq.fault("error", 1, code=400, message=f"Incorrect API key provided: {CANARY}")
    task = remotely.done(app, remotely.accept(app, "groq"))

    assert task.status == "failed"
    assert "Incorrect API key" in str(task.error)
    assert CANARY not in str(task.error) + caplog.text + repr(app.settings)
    assert remotely.traces(tmp_path) == []


# By batch


@pytest.fixture(scope="module")
def bucket():
    with remotely.bucket() as settings:
        yield settings


@pytest.fixture
def batches(groq, bucket):
    groq.processing_s = 300.0
    configured = settings(groq, groq_model="whisper-large-v3", **bucket)
    return GroqBatchEngine(configured, ObjectStore(configured))


def test_a_batch_is_ordered_and_fetched_when_it_is_ready(batches, groq):
    name = batches.submit(NOISE, "ru", "ours", 0)

    assert batches.poll(name, "ours").fate == "working"
    groq.advance(301)
    report = batches.poll(name, "ours")
    assert report.fate == "done"
    assert report.speech.text == "Привет, мир."


def test_a_translation_may_be_ordered_by_batch(batches, groq):
    name = batches.with_options(translate=True, temperature=0.0).submit(NOISE, "ru", "ours", 0)
    groq.advance(301)

    assert batches.poll(name, "ours").speech.text == "Привет, мир."


def test_a_batch_whose_reply_was_lost_is_found_on_whatever_page(batches, groq):
    groq.fault("drop", call="create")
    with pytest.raises(OutcomeUnknown):
        batches.submit(NOISE, "ru", "lost", 0)
    for n in range(7):
        batches.submit(NOISE, "ru", f"other{n}", 0)

    found = batches.find("lost")
    groq.advance(301)
    assert batches.poll(found, "lost").fate == "done"
    assert batches.find("never ordered") is None


def test_an_upload_whose_reply_was_lost_has_ordered_nothing(batches, groq):
    groq.fault("drop", call="upload")

    with pytest.raises(ProviderBusy) as caught:
        batches.submit(NOISE, "ru", "ours", 0)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert groq.count("create") == 0


@pytest.mark.parametrize("quirk", ["batch_failed", "batch_expired", "line_error"])
def test_a_batch_that_failed_may_be_ordered_again(batches, groq, quirk):
    groq.fault(quirk)
    name = batches.submit(NOISE, "ru", "ours", 0)
    groq.advance(301)

    report = batches.poll(name, "ours")
    assert report.fate == "broken"
    assert report.reason


def test_an_unknown_batch_is_lost_and_a_cancelled_one_ends(batches, groq):
    assert batches.poll("batch_0", "ours").fate == "lost"
    name = batches.submit(NOISE, "ru", "ours", 0)
    batches.cancel(name)
    batches.cancel(name)
    assert batches.poll(name, "ours").fate == "broken"


def test_without_a_store_batches_are_not_offered(groq):
    configured = settings(groq)

    assert "STORAGE_URL" in GroqBatchEngine(configured, ObjectStore(configured)).readiness().reason


def test_words_that_may_be_said_go_along_as_a_prompt(tmp_path):
    engine = GroqEngine(Settings(stenogram_home=tmp_path, groq_api_key="k"))

    tuned = engine.with_options(translate=False, temperature=0.0, hints="Acme, Иванова")

    assert tuned._form("ru")["prompt"] == "Acme, Иванова"
    assert "prompt" not in engine._form("ru")
