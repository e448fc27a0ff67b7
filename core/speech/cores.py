"""How many cores models may compute on."""

from __future__ import annotations

import os
from pathlib import Path

TOPOLOGY = Path("/sys/devices/system/cpu")


def thread_count() -> int:
    """One thread a physical core, or as many as `OMP_NUM_THREADS` says."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdecimal() and int(value) else physical_cores()


def physical_cores() -> int:
    """Cores this process may use; two threads of one core count once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    return len({_siblings(cpu) for cpu in allowed})


def _siblings(cpu: int) -> str:
    """The hardware threads that share a core with this one; itself where the system does not say."""
    file = TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list"
    return file.read_text().strip() if file.exists() else str(cpu)
