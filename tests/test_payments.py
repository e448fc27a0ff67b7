"""Whatever dies and whatever the provider does: nothing is paid twice, nothing is lost, nothing is mixed up.

Each test lives in processes that are really killed (SIGKILL) at a named point, against an emulated
provider that keeps its own ledger. `FAULT_PAIRS` says how many pairs of faults are tried (of some 1,100),
`FAULT_SEED` which ones.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from core.application import Application
from core.database.tables import Budget, Payment
from core.embedding.embedder import text_hash
from core.embedding.embedders.gemini import passage_form
from core.errors import Code, code_of
from core.failpoints import POINTS
from tests import batching, lives
from tools.gemini_emulator import Control, GeminiEmulator, vectors

PAIRS = int(os.environ.get("FAULT_PAIRS", "3"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
PROCESSING_S = 100.0
Fault = Callable[[Control], None]

REPLY_LOST: Fault = lambda provider: provider.fault("drop", call="create")  # noqa: E731
REFUSED: Fault = lambda provider: provider.fault("busy", call="create", retry_after_s=17)  # noqa: E731
BATCH_FAILS: Fault = lambda provider: provider.fault("fail")  # noqa: E731
STUCK: Fault = lambda provider: provider.fault("stuck")  # noqa: E731

FAULTS: dict[str, Fault] = {
    "the answer to the order is lost": REPLY_LOST,
    "the order is refused, with a waiting time": REFUSED,
    "the order is refused, without one": lambda provider: provider.fault("busy", call="create"),
    "the order gets HTTP 503": lambda provider: provider.fault("error", call="create", code=503),
    "the order gets a proxy's page": lambda provider: provider.fault("html", call="create"),
    "the order's connection is cut before anything happened": lambda p: p.fault("refuse", call="create"),
    "the answer is lost and the list lags": lambda p: (p.fault("list_lag", seconds=400), REPLY_LOST(p)),
    "the answer is lost and the list fails": lambda p: (
        p.fault("error", times=3, call="batch_list"),
        REPLY_LOST(p),
    ),
    "the answer is lost and the list has many pages": lambda p: (p.settings(page_size=1), REPLY_LOST(p)),
    "the key is refused for a while": lambda p: p.fault("revoked_key", times=3),
    "the upload breaks": lambda p: p.fault("drop", call="upload_chunk"),
    "asking breaks": lambda p: p.fault("drop", times=2, call="batch_get"),
    "asking gets a proxy's page": lambda p: p.fault("html", times=2, call="batch_get"),
    "the batch fails": BATCH_FAILS,
    "the batch expires": STUCK,
    "the result comes in another order": lambda p: p.fault("shuffle"),
    "the result has strangers": lambda p: p.fault("unknown", count=2),
    "the result has doubles": lambda p: p.fault("duplicate", count=2),
    "the result has doubles of other texts": lambda p: p.fault("duplicate", count=2, other=True),
    "the result lacks texts": lambda p: p.fault("missing", count=2),
    "the result has errors": lambda p: p.fault("error_line", count=2),
    "the result has NaN": lambda p: p.fault("nan", count=2),
    "the result has bare NaN": lambda p: p.fault("nan", count=2, bare=True),
    "the result has infinity": lambda p: p.fault("inf", count=1),
    "the result has zeros": lambda p: p.fault("zero", count=1),
    "the result has short vectors": lambda p: p.fault("wrong_dimension", count=1),
    "the download ends early": lambda p: p.fault("truncate", call="download"),
    "the download breaks": lambda p: p.fault("drop", call="download", after_bytes=900),
    "the batch ends in a state nobody documented": lambda p: p.fault("odd_state"),
    "the result's name is where the client does not look": lambda p: p.fault("output_in_response"),
}
"""What a provider may do, once."""

NEEDS: dict[str, Fault] = {
    "adopt.before_commit": REPLY_LOST,
    "refuse.before_commit": REFUSED,
    "replan.before_commit": BATCH_FAILS,
    "replan.after_commit": BATCH_FAILS,
    "cancel.after_reply": STUCK,
}
"""What must happen for a point to be reached at all."""


@pytest.fixture
def provider() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(processing_s=PROCESSING_S) as emulator:
        yield emulator


class World:
    """One installation with two recordings that share a text, and its provider."""

    def __init__(self, home: Path, provider: GeminiEmulator) -> None:
        self.home = home
        self.provider = provider
        self.app = batching.installation(home, provider.url)
        batching.recording(self.app, batching.sentences(4), title="a")
        self.late = batching.recording(self.app, batching.sentences(3, start=3), title="b")

    def give_deadline(self) -> None:
        """What is not there in an hour is to be bought now."""
        from core.database.tables import Recording

        with self.app.database.write() as session:
            session.get_one(Recording, self.late).vectors_by = time.time() + 3600

    def live(self, failpoint: str = "") -> int:
        return lives.spend(self.home, self.provider.url, failpoint)

    def finish(self) -> None:
        assert self.live() == 0, f"it never ended: {batching.states(self.app)}"

    def check(self) -> None:
        """Nothing lost, nothing twice, every vector under its own text, and the book agrees."""
        assert set(batching.meanings(self.app)) == {"done"}
        ledger = self.provider.ledger()
        assert ledger.paid_twice == {}
        _each_under_its_own_text(self.app)
        assert paid(self.app) == ledger.tokens(batch=True) + ledger.tokens(batch=False)
        with self.app.database.read() as session:
            assert not any(budget.reserved for budget in session.scalars(select(Budget)))
        assert not list((self.home / "batches").glob("*"))


def paid(app: Application) -> int:
    with app.database.read() as session:
        settled = select(Payment.tokens).where(Payment.state == "settled")
        return sum(session.scalars(settled))


def _each_under_its_own_text(app: Application) -> None:
    embedder = app.active_embedder.embedder()
    for passage in batching.passages(app):
        true = vectors.embed(passage_form("gemini-embedding-2", passage.text), embedder.dim)
        stored = app.index.vectors_of(embedder, [text_hash(embedder, passage.text)])
        (own,) = stored.values()
        assert own @ true > 0.9999
        scores = dict(app.index.nearest(embedder, own, limit=3))
        assert scores[passage.id] > 0.9999


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_nothing_is_lost_or_paid_twice(tmp_path, provider, point):
    world = World(tmp_path / "home", provider)
    NEEDS.get(point, lambda _: None)(provider)
    if point == "cancel.after_reply":
        world.give_deadline()

    assert world.live(point) == -signal.SIGKILL, f"nothing died at {point}"
    world.finish()

    world.check()


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_the_provider_does_nothing_is_lost_or_paid_twice(tmp_path, provider, fault):
    world = World(tmp_path / "home", provider)
    FAULTS[fault](provider)

    batching.run(world.app, provider, step_s=1800 if "expires" in fault else 61)

    world.check()


def _pairs() -> list[tuple[str, str]]:
    """Two deaths, or a fault of the provider and a death; the same ones each time."""
    everything = [*itertools.permutations(POINTS, 2), *itertools.product(FAULTS, POINTS)]
    return random.Random(SEED).sample(everything, min(PAIRS, len(everything)))


@pytest.mark.parametrize(("first", "second"), _pairs())
def test_two_faults_lose_nothing_and_pay_nothing_twice(tmp_path, provider, first, second):
    world = World(tmp_path / "home", provider)
    for cause in {NEEDS.get(first), FAULTS.get(first), NEEDS.get(second)} - {None}:
        cause(provider)
    if "cancel.after_reply" in (first, second):
        world.give_deadline()

    if first in POINTS:
        world.live(first)
    world.live(second)
    world.finish()

    world.check()


def test_killed_while_the_order_travels(tmp_path, provider):
    """The provider accepts, says nothing, and the process dies waiting for its answer."""
    world = World(tmp_path / "home", provider)
    provider.fault("hang", call="create", seconds=60)
    process = lives.begin(world.home, provider.url)
    while not provider.ledger().count("create"):
        time.sleep(0.05)
    process.kill()
    process.join()

    world.finish()

    assert provider.ledger().count("create") == 1
    world.check()


def test_a_quiet_period_shorter_than_the_lists_lag_pays_twice(tmp_path, provider):
    """Why BATCH_QUIET_S is what it is: this shows that the tests above would notice."""
    home = tmp_path / "home"
    app = batching.installation(home, provider.url, batch_quiet_s=10)
    batching.recording(app, batching.sentences(5))
    provider.settings(list_lag_s=3000, processing_s=2)
    provider.fault("drop", call="create")

    batching.run(app, provider)

    assert provider.ledger().paid_twice


def test_an_order_that_came_late_is_cancelled_and_booked(tmp_path, provider):
    """A process that was frozen for longer than the quiet period orders a second time."""
    provider.settings(processing_s=3000)
    app = batching.installation(tmp_path / "home", provider.url)
    batching.recording(app, batching.sentences(5))
    app.batches.tick()
    (batch,) = batching.batches(app)
    app.active_embedder.embedder().create_batch(batch.file, batch.display_name)

    batching.run(app, provider)

    (batch,) = batching.batches(app)
    assert batch.state == "complete"
    assert "2 times" in batch.alarm["message"].format(**batch.alarm["facts"])
    assert [remote.state for remote in provider.ledger().batches] == [
        "BATCH_STATE_SUCCEEDED",
        "BATCH_STATE_CANCELLED",
    ]
    assert provider.ledger().paid_twice == {}
    with app.database.read() as session:
        states = sorted(session.scalars(select(Payment.state)))
    assert states == ["disputed", "settled"]


def test_a_result_that_is_gone_is_never_bought_again_by_itself(tmp_path, provider):
    app = batching.installation(tmp_path / "home", provider.url)
    batching.recording(app, batching.sentences(5))
    app.batches.tick()
    provider.advance(49 * 3600 + 100)
    batching.set_clock(app, 49 * 3600 + 100)

    for _ in range(3):
        app.batches.tick()

    (batch,) = batching.batches(app)
    assert batch.state == "held"
    assert code_of(batch.alarm) is Code.BATCH_RESULT_GONE
    assert provider.ledger().count("create") == 1

    assert app.batches.retry_failed(batch.id) == 5, "a person may decide to buy it again"
    batching.run(app, provider, ahead_s=50 * 3600)
    assert set(batching.meanings(app)) == {"done"}
    assert sorted(payment.state for payment in app.ledger.payments()) == ["disputed", "settled"]


def test_an_older_copy_of_the_records_put_back_orders_nothing_twice(tmp_path, provider):
    home = tmp_path / "home"
    before = batching.installation(home, provider.url)
    batching.recording(before, batching.sentences(5))
    before.database.close()
    copy = (home / "records.sqlite").read_bytes()
    app = batching.installation(home, provider.url)
    app.batches.tick()
    app.database.close()
    for file in home.glob("records.sqlite*"):
        file.unlink()
    (home / "records.sqlite").write_bytes(copy)

    app = batching.installation(home, provider.url)
    batching.run(app, provider)

    assert set(batching.meanings(app)) == {"done"}
    assert provider.ledger().count("create") == 1


def test_several_processes_at_once_order_every_batch_once(tmp_path, provider):
    """Only one does the chore at a time; if that ever failed, the records would still decide."""
    home = tmp_path / "home"
    app = batching.installation(home, provider.url, batch_max_requests=2)
    batching.recording(app, batching.sentences(9))
    homes = [batching.installation(home, provider.url, batch_max_requests=2) for _ in range(4)]

    with ThreadPoolExecutor(len(homes)) as pool:
        for ticked in [pool.submit(one.batches.tick) for one in homes]:
            ticked.result()
    batching.run(app, provider)

    assert provider.ledger().paid_twice == {}
    assert provider.ledger().count("create") == len(batching.batches(app)) == 5
    assert set(batching.meanings(app)) == {"done"}
