"""Every provider as it stands, and a real call to find out; keys are never more than four characters."""

from __future__ import annotations

import logging

import pytest

from core.errors import NotFound
from core.monitor import providers
from core.principal import EVERYONE
from tests import remotely
from tests.remotely import CANARY
from tools.fireworks_emulator import FireworksEmulator
from tools.gemini_emulator import GeminiEmulator
from tools.groq_emulator import GroqEmulator
from tools.runpod_emulator import RunPodEmulator


@pytest.fixture
def groq():
    with GroqEmulator(key=CANARY) as emulator:
        yield emulator


@pytest.fixture
def runpod():
    with RunPodEmulator(key=CANARY) as emulator:
        yield emulator


@pytest.fixture
def everything(groq, runpod):
    with FireworksEmulator(key=CANARY) as fireworks, GeminiEmulator() as gemini:
        yield {
            "groq_api_key": CANARY,
            "groq_base_url": f"{groq.url}/openai/v1",
            "runpod_api_key": CANARY,
            "runpod_url": runpod.endpoint,
            "runpod_image_url": runpod.endpoint,
            "fireworks_enabled": True,
            "fireworks_api_key": CANARY,
            "fireworks_account_id": "acc",
            "fireworks_batch_url": f"{fireworks.url}/batch",
            "gemini_api_key": CANARY,
            "gemini_base_url": gemini.url,
        }


@pytest.fixture
def app(tmp_path, everything):
    return remotely.journey(tmp_path / "home", **everything)


def of(app, name):
    return next(
        one for one in providers.all(app.settings, app.remote_transcription.breakers) if one.name == name
    )


NAMES = ("gemini", "groq", "runpod", "runpod-images", "fireworks", "storage")


@pytest.mark.parametrize("name", NAMES)
def test_a_test_makes_a_real_call_and_is_remembered(app, name):
    assert of(app, name).state == "ready"
    tested = providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, name)

    assert tested.ok, tested.message
    assert 0 <= tested.latency_s < 30
    assert of(app, name).state == "ok"
    assert of(app, name).latency_s == tested.latency_s


def test_without_keys_each_says_what_is_missing(tmp_path):
    app = remotely.journey(tmp_path)
    by_name = {one.name: one for one in providers.all(app.settings, app.remote_transcription.breakers)}

    assert tuple(by_name) == NAMES
    assert by_name["fireworks"].state == "withdrawn"
    assert "10 June 2026" in by_name["fireworks"].reason
    for name in ("gemini", "groq", "runpod", "runpod-images"):
        assert by_name[name].state == "missing"
        assert "not set" in by_name[name].reason
        assert not providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, name).ok


def test_a_key_is_shown_by_its_last_four_characters(app):
    shown_keys = {one.name: one.key for one in providers.all(app.settings, app.remote_transcription.breakers)}

    assert shown_keys["groq"] == f"…{CANARY[-4:]}"
    assert CANARY not in repr(providers.all(app.settings, app.remote_transcription.breakers))


def test_prices_come_with_source_and_date(app):
    for name in ("gemini", "groq", "runpod", "fireworks"):
        assert of(app, name).prices
        assert all(price.source and price.read_on for price in of(app, name).prices)
    assert of(app, "groq").limits


def test_a_refused_key_shows_and_a_good_test_ends_the_pause(app, groq):
    groq.fault("revoked", 1)
    tested = providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, "groq")

    assert not tested.ok
    assert "GROQ_API_KEY" in tested.message
    assert of(app, "groq").state == "refused"
    assert providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, "groq").ok
    assert of(app, "groq").state == "ok"


def test_a_new_key_is_not_blamed_for_the_old_one(app, groq, tmp_path, everything):
    groq.fault("revoked", 1)
    providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, "groq")
    groq.key = "new"
    again = remotely.journey(tmp_path / "home", **{**everything, "groq_api_key": "new"})

    assert of(again, "groq").state == "ready"
    assert providers.test(EVERYONE, again.settings, again.remote_transcription.breakers, "groq").ok


def test_nobody_there_is_said(app, runpod):
    runpod.stop()
    tested = providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, "runpod")

    assert not tested.ok
    assert "no connection" in tested.message
    assert of(app, "runpod").state == "resting"


def test_a_bad_gemini_key_which_comes_as_a_400_is_a_refused_key(tmp_path):
    with GeminiEmulator() as gemini:
        app = remotely.journey(tmp_path, gemini_api_key=CANARY, gemini_base_url=gemini.url)
        gemini.fault("revoked_key", 1, code=400)

        assert (
            "GEMINI_API_KEY"
            in providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, "gemini").message
        )
        assert of(app, "gemini").state == "refused"


def test_an_unknown_provider_is_not_found(app):
    with pytest.raises(NotFound):
        providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, "nobody")


def test_no_key_is_in_any_file_log_or_message(app, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    messages = [
        repr(providers.test(EVERYONE, app.settings, app.remote_transcription.breakers, name))
        for name in NAMES
    ] + [repr(providers.all(app.settings, app.remote_transcription.breakers))]

    assert CANARY not in "".join(messages) + caplog.text
    assert remotely.traces(tmp_path) == []
