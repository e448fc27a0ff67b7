"""What people do to batches on the monitor, done by real worker processes at an emulated provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.orders.batch_view import FINISHED, STATES
from jobs import installation
from jobs.installation import application
from tests import batching
from tests.test_pages import visit
from tests.tool import Tool, until
from tools.gemini_emulator import GeminiEmulator


@pytest.fixture
def provider() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(processing_s=3600) as emulator:
        yield emulator


@pytest.fixture
def tool(tmp_path: Path, provider: GeminiEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tool]:
    """The whole tool, and in this process the pages of the same installation."""
    settings = {"GEMINI_API_KEY": "a-long-secret", "GEMINI_BASE_URL": provider.url, "EMBEDDING_DIM": "64"}
    settings |= {
        "BATCH_MIN_SIZE": "1",
        "BATCH_MAX_REQUESTS": "2",
        "BATCH_MAX_WAIT_S": "0",
        "BATCH_POLL_S": "1",
    }
    for name, value in {"STENOGRAM_HOME": str(tmp_path / "home"), **settings}.items():
        monkeypatch.setenv(name, value)
    installation.serve(None)
    batching.recording(application(), batching.sentences(4))
    with Tool(tmp_path / "home", **settings) as running:
        yield running
    installation.serve(None)


def page() -> AppTest:
    """The monitor, open at its batches."""
    at = visit("monitor")
    return at.segmented_control(key="view").set_value("batches").run()


def press(name: str, batch_id: str) -> None:
    at = page()
    at.button(key=f"{name}-{batch_id}").click().run()
    assert not at.exception


def keys() -> list[tuple[str, str, str]]:
    return [str(button.key).partition("-") for button in page().button]


def buttons() -> set[str]:
    return {name for name, _, _ in keys()}


def soon(ask: Callable[[], object], what: str) -> None:
    until(lambda: ask() or None, 60, what)


def test_cancel_retry_and_finish_are_done_by_a_worker(tool, provider):
    app = application()
    soon(lambda: batching.states(app) == ["submitted"] * 2, "a worker to order the batches")
    first, second = batching.batches(app)
    assert {"now", "stop"} <= buttons()

    press("stop", first.id)
    assert ("stop", "-", first.id) not in keys()
    press("stop", second.id)
    soon(lambda: batching.states(app) == ["cancelled"] * 2, "a worker to cancel them")
    assert batching.meanings(app) == ["failed"] * 4
    assert {"now", "again"} <= buttons()

    press("now", first.id)
    press("again", second.id)
    soon(
        lambda: batching.states(app) == ["cancelled", "cancelled", "submitted"], "a worker to order one anew"
    )
    soon(lambda: batching.meanings(app).count("done") == 2, "a worker to make the others now")

    press("now", batching.batches(app)[2].id)
    soon(lambda: batching.meanings(app) == ["done"] * 4, "a worker to finish it")
    assert batching.states(app) == ["cancelled"] * 3
    assert not buttons() & {"now", "stop", "again"}
    states = {view.id: (view.says, view.good, view.at_once) for view in app.batches.view.list()}
    assert [states[batch.id] for batch in batching.batches(app)] == [
        (FINISHED, 0, 2),
        (STATES["cancelled"], 0, 0),
        (FINISHED, 0, 2),
    ]
    ledger = provider.ledger()
    assert [text.batch for text in ledger.billed] == [None] * 4
    assert (ledger.count("create"), ledger.count("cancel"), ledger.paid_twice) == (3, 3, {})
    assert app.ledger.month().reserved == 0
