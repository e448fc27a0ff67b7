"""Batches: half the price, each vector under its own text, nothing that waits in a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.journey import Journey
from core.keys import EVERYONE
from tests import batching
from tools.gemini_emulator import GeminiEmulator


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(processing_s=60) as emulator:
        yield emulator


@pytest.fixture
def here(tmp_path: Path, emulator: GeminiEmulator) -> Journey:
    return batching.installation(tmp_path / "home", emulator.url)


def test_russian_speech_is_found_by_meaning_after_a_batch(here, emulator):
    texts = batching.sentences(20)
    mine = batching.recording(here, texts)

    batching.run(here, emulator)

    assert batching.states(here) == ["complete"]
    assert here.recordings.get(EVERYONE, mine).meaning == "done"
    assert len(emulator.ledger().billed) == 20
    assert emulator.ledger().paid_twice == {}
    found = here.search(EVERYONE, "ремонтировать крыши складов", mode="meaning")
    assert "крыши" in found.matches[0].row.text
