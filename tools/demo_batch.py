"""`make demo-batch`: a whole batch life cycle on the pages, without a key and without a charge.

Starts an emulated Gemini (its vectors are bags of words: right for plumbing, no measure of quality)
and the tool beside it, in a folder of their own, and hands in the sample recordings for the batch lane.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from core.application import Application
from core.database.states import EmbeddingMode
from core.embedding.embedders.gemini import EMULATED
from core.principal import EVERYONE
from core.settings import ROOT, load
from jobs.entry import explained
from tools.gemini_emulator import GeminiEmulator
from tools.sample import RECORDINGS

HOME = ROOT / "data-demo-batch"
PROCESSING_S = 60.0
LINES = (
    "",
    "This is a demonstration: “Gemini” is an emulator on this machine, nothing leaves it, nothing is paid.",
    "Monitor, Batches: it is collected within 10 seconds, in work for a minute, then found by meaning.",
    "Try cancel, finish now and retry there. Ctrl-C ends both.",
    "",
)


def hand_in(app: Application) -> None:
    """The sample recordings, once, for the batch lane; workers find them when they start."""
    if app.recordings.find(EVERYONE)[0]:
        return
    for path, options in RECORDINGS:
        with path.open("rb") as file:
            app.intake.accept(EVERYONE, file, path.name, replace(options, embedding_mode=EmbeddingMode.BATCH))


def pinned(home: Path, emulator_url: str) -> dict[str, str]:
    """What the demonstration sets, whatever else the settings say: nothing leaves this machine."""
    return {
        "STENOGRAM_HOME": str(home),
        "DATABASE_URL": f"sqlite:///{home.absolute() / 'records.sqlite'}",
        "LANCEDB_URI": str(home.absolute() / "lancedb"),
        "ENGINE": "auto",
        "ENGINE_AUTO_REMOTE": "false",
        "GEMINI_API_KEY": EMULATED,
        "GEMINI_BASE_URL": emulator_url,
        "EMBEDDING_LANE": "batch",
        "BATCH_MIN_SIZE": "1",
        "BATCH_MAX_WAIT_S": "10",
    }


def main() -> int:
    """Run until Ctrl-C; the tool's exit code."""
    home = Path(os.environ.get("STENOGRAM_HOME") or HOME)
    with GeminiEmulator(home / "emulator", processing_s=PROCESSING_S) as emulator:
        os.environ |= pinned(home, emulator.url)
        with explained():
            app = Application(load())
        hand_in(app)
        print("\n".join(LINES), flush=True)
        tool = subprocess.Popen([sys.executable, "-m", "jobs.runner"], cwd=ROOT)
        signal.signal(signal.SIGTERM, lambda *_: tool.terminate())
        while True:
            try:
                return tool.wait()
            except KeyboardInterrupt:
                continue  # the tool got it too and stops by itself


if __name__ == "__main__":
    sys.exit(main())
