"""Fetch an official GigaAM model into the models' folder: `python tools/get_model.py v3_e2e_rnnt`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.errors import StenogramError
from core.settings import load
from core.speech.gigaam import download
from jobs.entry import explained


def show(name: str, done: int, total: int) -> None:
    """A line that is written over."""
    share = f"{100 * done // total:3d} %" if total else ""
    print(f"\r{name}: {done / 2**20:.0f} MiB {share}", end="", flush=True)


def main() -> None:
    """Fetch the model that is named, or the one that the settings name."""
    with explained():
        settings = load()
    try:
        for path in download.fetch((sys.argv[1:] or [settings.gigaam_model])[0], settings.models, show):
            print(f"\n{path.name} is there")
    except StenogramError as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
