"""Fireworks as it was documented: off by default, honest about its end, careful with what cannot be found."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.errors import OutcomeUnknown, ProviderRefused, ProviderResting, Rejected
from core.media.waveform import SAMPLE_RATE
from core.orders.transcript_purchases import PARKED_S
from core.settings import Settings
from core.speech import engines
from core.speech.engines.fireworks import FireworksBatchEngine, FireworksEngine
from tests import remotely
from tests.drive import perform_all
from tests.remotely import CANARY
from tools.fireworks_emulator import FireworksEmulator

NOISE = np.random.default_rng(0).integers(-3000, 3000, SAMPLE_RATE, dtype=np.int16)
HEARD = [
    {
        "start": 0.0,
        "end": 0.9,
        "text": "раз два",
        "words": [{"word": "раз", "start": 0.1, "end": 0.3}, {"word": "два", "start": 0.4, "end": 0.8}],
    }
]


@pytest.fixture
def fireworks():
    with FireworksEmulator(recognise=lambda *_: HEARD, key=CANARY) as emulator:
        yield emulator


def keys(emulator):
    return {
        "fireworks_enabled": True,
        "fireworks_api_key": CANARY,
        "fireworks_account_id": "acc",
        "fireworks_base_url": f"{emulator.url}/sync/v1",
        "fireworks_batch_url": f"{emulator.url}/batch",
    }


def settings(emulator, **others):
    return Settings(**{**keys(emulator), **others})


def test_it_is_off_unless_asked_for_and_says_why(fireworks):
    for engine in (FireworksEngine, FireworksBatchEngine):
        readiness = engine(settings(fireworks, fireworks_enabled=False)).readiness()
        assert not readiness.ready
        assert "withdrawn" in readiness.reason


def test_it_is_never_chosen_by_itself(fireworks, tmp_path):
    all_engines = engines.all(settings(fireworks, stenogram_home=tmp_path))

    assert all_engines["fireworks"].readiness().ready
    assert engines.choose(all_engines, "auto", "ru").engine.name != "fireworks"
    assert engines.choose(all_engines, "fireworks", "ru").engine.name == "fireworks"


def test_a_reply_is_text_with_words_and_how_sure_they_are(fireworks):
    (speech,) = FireworksEngine(settings(fireworks)).transcribe([NOISE], "ru")

    assert speech.text == "раз два"
    assert [(word.text, word.start_s, word.confidence) for word in speech.words] == [
        ("раз", 0.1, 0.98),
        ("два", 0.4, 0.98),
    ]
    assert fireworks.billed[0]["timestamp_granularities"] == "word,segment"


@pytest.mark.parametrize("made", [FireworksEngine, FireworksBatchEngine])
def test_a_translation_and_a_temperature_are_asked_for(fireworks, made):
    engine = made(settings(fireworks, fireworks_model="whisper-v3"))
    assert engine.translates
    tuned = engine.with_options(translate=True, temperature=0.3)
    tuned.submit(NOISE, "ru", "ours", 0) if made is FireworksBatchEngine else tuned.transcribe([NOISE], "ru")

    assert "/audio/translations" in fireworks.calls[-1].path
    assert fireworks.billed[-1]["temperature"] == "0.3"


def test_the_turbo_model_has_a_server_of_its_own():
    assert "audio-turbo" in FireworksEngine(Settings(fireworks_model="whisper-v3-turbo")).address
    assert "audio-prod" in FireworksEngine(Settings(fireworks_model="whisper-v3")).address


@pytest.mark.parametrize(
    "call",
    [
        lambda known: FireworksEngine(known).transcribe([NOISE], "ru"),
        lambda known: FireworksBatchEngine(known).submit(NOISE, "ru", "ours", 0),
        lambda known: FireworksBatchEngine(known).poll("acc/b-0", "ours"),
    ],
)
def test_a_401_says_withdrawn_or_bad_key(fireworks, call):
    fireworks.withdrawn = True

    with pytest.raises(ProviderRefused, match="withdrawn, or the key is bad") as caught:
        call(settings(fireworks))
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(
    ("fault", "options", "error"),
    [
        ("error", {"code": 400}, Rejected),
        ("error", {"code": 500}, OutcomeUnknown),
        ("busy", {"retry_after": 7}, ProviderResting),
        ("html", {}, OutcomeUnknown),
        ("drop", {}, OutcomeUnknown),
        ("truncate", {}, OutcomeUnknown),
    ],
)
def test_every_refusal_of_an_order_becomes_one_of_ours_and_is_not_repeated(fireworks, fault, options, error):
    fireworks.fault(fault, None, **options)

    with pytest.raises(error) as caught:
        FireworksBatchEngine(settings(fireworks)).submit(NOISE, "ru", "ours", 0)
    assert type(caught.value) is error
    assert fireworks.count("create") == 1


def test_a_batch_is_ordered_and_read_from_the_text_in_its_reply(fireworks):
    fireworks.processing_s = 60.0
    engine = FireworksBatchEngine(settings(fireworks))
    order = engine.submit(NOISE, "ru", "ours", 0)

    assert engine.poll(order, "ours").fate == "working"
    fireworks.advance(61)
    report = engine.poll(order, "ours")
    assert report.fate == "done"
    assert report.speech.words[1].text == "два"
    assert {call.key for call in fireworks.calls} == {CANARY}


def test_a_plain_text_reply_is_text_too(fireworks):
    fireworks.fault("plain")
    engine = FireworksBatchEngine(settings(fireworks))

    assert engine.poll(engine.submit(NOISE, "ru", "ours", 0), "ours").speech.text == "раз два"


def test_any_other_status_is_a_failure_with_its_reason(fireworks):
    fireworks.fault("failed")
    engine = FireworksBatchEngine(settings(fireworks))
    report = engine.poll(engine.submit(NOISE, "ru", "ours", 0), "ours")

    assert report.fate == "broken"
    assert "audio could not be read" in report.reason


def test_a_garbled_body_is_never_taken_for_silence(fireworks):
    fireworks.fault("garbled")
    engine = FireworksBatchEngine(settings(fireworks))
    order = engine.submit(NOISE, "ru", "ours", 0)

    with pytest.raises(OutcomeUnknown):
        engine.poll(order, "ours")


def test_an_unknown_batch_is_lost(fireworks):
    assert FireworksBatchEngine(settings(fireworks)).poll("acc/b-0", "ours").fate == "lost"


def test_without_an_account_batches_say_where_to_find_it(fireworks):
    reason = FireworksBatchEngine(settings(fireworks, fireworks_account_id="")).readiness().reason

    assert "FIREWORKS_ACCOUNT_ID" in reason
    assert "account settings" in reason


def test_an_old_file_of_credentials_is_read(tmp_path, monkeypatch):
    file = tmp_path / "fireworks_creds.json"
    file.write_text(json.dumps({"api_key": CANARY, "account_id": "old", "model": "whisper-v3"}))
    monkeypatch.setitem(Settings.model_config, "json_file", file)

    loaded = Settings()
    assert loaded.fireworks_account_id == "old"
    assert loaded.fireworks_api_key.get_secret_value() == CANARY


# On the road


def test_polling_is_each_ten_seconds_then_parked_and_never_given_up_within_a_day(tmp_path, fireworks):
    fireworks.processing_s = 5 * 3600.0
    app = remotely.journey(tmp_path, **keys(fireworks))
    task = remotely.accept_short(app, "fireworks-batch")
    perform_all(app)

    remotely.later(app, 11, fireworks)
    assert fireworks.count("get") == 1
    for _ in range(60):
        remotely.later(app, 61, fireworks)
    busy = fireworks.count("get")
    for _ in range(10):
        remotely.later(app, PARKED_S + 1, fireworks)
    assert fireworks.count("get") <= busy + 11
    assert remotely.now(app, task).status == "processing"
    assert remotely.done(app, task, fireworks, most_s=6 * 3600, step_s=601).status == "completed"
    assert len(fireworks.batches) == 1


def test_a_lost_order_over_a_dollar_is_held_for_a_person(tmp_path, fireworks):
    app = remotely.journey(tmp_path, **keys(fireworks))
    app.engines["fireworks-batch"].price = lambda _s: ("whisper-v3", "batch", 100_000)
    fireworks.fault("drop", call="create")
    task = remotely.accept_short(app, "fireworks-batch")
    perform_all(app)
    for _ in range(5):
        remotely.later(app, 61, fireworks)

    assert [order.state for order in app.remote_transcription.orders.of(task.transcript_id)] == ["held"]
    assert len(fireworks.batches) == 1


@pytest.mark.parametrize("engine", ["fireworks", "fireworks-batch"])
def test_a_recording_becomes_its_words(tmp_path, engine):
    with FireworksEmulator(key=CANARY) as fireworks:
        app = remotely.journey(tmp_path, **keys(fireworks))
        task = remotely.done(app, remotely.accept(app, engine), fireworks)

        assert task.status == "completed", task.error
        assert remotely.errors(app, task) <= 0.1
        assert remotely.traces(tmp_path) == []
