"""`make backup TO=folder` while everything runs; `make restore FROM=folder` into an empty installation."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from core.library import backup
from core.settings import load
from core.storage.blobs import human_bytes
from jobs import runner
from jobs.entry import explained


def main(arguments: list[str]) -> int:
    """Make a backup, or put one back."""
    parser = argparse.ArgumentParser(prog="backup", description=__doc__)
    parser.add_argument("command", choices=("make", "restore"))
    parser.add_argument("folder", type=Path)
    args = parser.parse_args(arguments)
    folder = args.folder.expanduser().resolve()
    with explained():
        settings = load()
        if args.command == "make":
            _say(backup.make(settings, folder, _progress), f"is in {folder}")
            return 0
        with runner.lock(settings):
            _say(backup.restore(settings, folder, _progress), f"is restored into {settings.home}")
    return 0


def _progress(done_bytes: int, total_bytes: int) -> None:
    end = "\r" if done_bytes < total_bytes else "\n"
    print(f"{human_bytes(done_bytes)} of {human_bytes(total_bytes)} of media", end=end, file=sys.stderr)


def _say(made: backup.Backup, where: str) -> None:
    made_at = datetime.fromtimestamp(made.made_at, UTC)
    print(f"The backup of {made_at:%Y-%m-%d %H:%M:%S} UTC {where}: {made.media} files of media.")
    if made.missing:
        print(f"{len(made.missing)} files that records speak of were deleted meanwhile, or lost before.")
    for name in made.elsewhere:
        print(f"{name} names another place, which this does not copy: back it up there.")
    print("`.env` is not in it: keep your keys and settings elsewhere.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
