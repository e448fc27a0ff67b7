"""What has no price is not bought: nobody could say whether a cap holds. 0 is a price, unknown is none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.billing.ledger import Call, Ledger, PriceUnknown
from core.billing.tariffs import Tariffs
from core.database.database import Database
from core.principal import EVERYONE
from tests import batching, remotely
from tests.remotely import CANARY
from tools.gemini_emulator import GeminiEmulator
from tools.runpod_emulator import RunPodEmulator

TEN_THOUSAND_HOURS_S = 36_000_000
NEW_GPU = "192 GB B200X"


@pytest.fixture
def tariffs(tmp_path):
    return Tariffs(Database(f"sqlite:///{tmp_path / 'records.sqlite'}"))


@pytest.fixture
def ledger(tariffs):
    return Ledger(tariffs._database, Decimal("0.01"), tariffs.book)


def reserve(ledger, model="nobody-knows"):
    with ledger._database.write() as session:
        return ledger.reserve(session, Call("groq", model, "sync", {("r", "anna"): TEN_THOUSAND_HOURS_S}))


def test_ten_thousand_hours_of_a_model_without_a_price_are_refused(ledger):
    with pytest.raises(PriceUnknown, match="nobody-knows"):
        reserve(ledger)

    assert ledger.payments() == []
    assert ledger.cost_usd("groq", "nobody-knows", "sync", 1) is None


def test_a_price_of_zero_is_a_price(ledger, tariffs):
    tariffs.set_price(EVERYONE, "groq", "nobody-knows", "sync", "0")

    reserve(ledger)

    assert ledger.cost_usd("groq", "nobody-knows", "sync", 1) == 0


def test_a_price_taken_back_meanwhile_settles_as_it_was_reserved(ledger, tariffs):
    tariffs.set_price(EVERYONE, "groq", "nobody-knows", "sync", "0.0000009")
    call_id = reserve(ledger)
    promised = ledger.month().reserved
    tariffs.take_back_price(EVERYONE, "groq", "nobody-knows", "sync")

    with ledger._database.write() as session:
        paid = ledger.settle(session, call_id, {"r": TEN_THOUSAND_HOURS_S // 2})

    assert paid == promised / 2 > 0
    assert ledger.month().reserved == 0


def test_an_order_waits_for_a_price_and_goes_on_when_there_is_one(tmp_path):
    with RunPodEmulator(key=CANARY, run_s=1, recognise=lambda *_: []) as runpod:
        app = remotely.journey(
            tmp_path, runpod_api_key=CANARY, runpod_url=runpod.endpoint, runpod_gpu=NEW_GPU
        )
        task = remotely.accept_short(app, "runpod")
        for _ in range(8):
            remotely.later(app, 61, runpod)
        assert (remotely.now(app, task).status, remotely.job(app, task).attempts) == ("processing", 0)
        assert "no price" in remotely.job(app, task).error["message"]
        assert len(runpod.jobs) == 0

        app.tariffs.set_price(EVERYONE, "runpod", NEW_GPU, "sync", "1", unit="GPU second")

        assert remotely.done(app, task, runpod).status == "completed"


def test_texts_wait_for_the_price_of_a_batch_and_no_cap_is_blamed(tmp_path):
    with GeminiEmulator(processing_s=1) as emulator:
        app = batching.installation(tmp_path, emulator.url, embedding_model="gemini-embedding-9")
        batching.recording(app, batching.sentences(3))

        app.batches.tick()

        queue = app.batches.view.queue()
        assert emulator.ledger().count("create") == 0
        assert "no price" in queue.stopped["message"]
        assert (queue.capped, queue.usd, queue.saved_usd) == (False, None, None)
