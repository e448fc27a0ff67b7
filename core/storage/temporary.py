"""Files that must not outlive what they were made for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

MARK = ".temporary-"
"""Stands in the name of every such file, so that those of killed processes can be swept."""


@contextmanager
def temporary_path(folder: Path, name: str) -> Iterator[Path]:
    """A path in this folder that nobody else has; whatever lies there is deleted at the end of the block.

    Rename the file to keep it. `name` stands at the beginning of the file's own name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{MARK}{uuid4().hex[:8]}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def sweep(folder: Path, older_than_s: float) -> None:
    """Delete what processes that were killed have left, once nobody can be writing it any more."""
    stale_before = time.time() - older_than_s
    for path in folder.glob(f"*{MARK}*"):
        try:
            stale = path.stat().st_mtime < stale_before
        except FileNotFoundError:  # its owner has just finished
            continue
        if stale:
            path.unlink(missing_ok=True)
