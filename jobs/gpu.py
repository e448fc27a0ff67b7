"""What the graphics cards of this machine do, as their driver tells; nothing where there are none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

TIMEOUT_S = 3.0
MIB = 1 << 20


@dataclass(frozen=True)
class Cards:
    """All cards at one moment."""

    used_bytes: Mapping[int, int] = field(default_factory=dict)
    """Memory of the cards, by process."""
    load: float | None = None
    """The busiest card, as a share of 1."""


def look() -> Cards:
    """Ask the driver."""
    if not shutil.which("nvidia-smi"):
        return Cards()
    try:
        return Cards(processes(_ask("compute-apps=pid,used_memory")), busiest(_ask("gpu=utilization.gpu")))
    except (OSError, subprocess.SubprocessError):
        return Cards()


def processes(output: str) -> dict[int, int]:
    """Bytes by process, from lines of "pid, MiB"; what the driver does not tell counts as nothing."""
    used: dict[int, int] = {}
    for line in output.splitlines():
        pid, _, mib = (part.strip() for part in line.partition(","))
        if pid.isdecimal() and mib.isdigit():
            used[int(pid)] = used.get(int(pid), 0) + int(mib) * MIB
    return used


def busiest(output: str) -> float | None:
    """The highest of some lines of percent, as a share of 1."""
    shares = [int(line) / 100 for line in output.split() if line.isdecimal()]
    return max(shares, default=None)


def _ask(query: str) -> str:
    what, _, columns = query.partition("=")
    command = ["nvidia-smi", f"--query-{what}={columns}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout  # noqa: S603
