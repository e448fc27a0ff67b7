"""What every test may ask for. The tool's own home is a temporary folder from the first import on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ["STENOGRAM_HOME"] = tempfile.mkdtemp(prefix="stenogram-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture
def here(tmp_path: Path):
    """A whole journey of its own in a temporary folder; nobody rings, `drive.perform_all` does the work."""
    from core.journey import Journey
    from core.settings import Settings

    return Journey(Settings(stenogram_home=tmp_path / "home"))
