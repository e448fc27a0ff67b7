"""What this machine computes with, and why."""

from __future__ import annotations

import os
from pathlib import Path

import torch

TOPOLOGY = Path("/sys/devices/system/cpu")


def use_cores() -> int:
    """Give torch one thread a physical core, as `OMP_NUM_THREADS` says if it is set.

    Called when a model is loaded: other packages (silero-vad) set one thread for the whole process.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(wanted) if wanted.isdigit() else physical_cores()
    torch.set_num_threads(threads)
    return threads


def physical_cores() -> int:
    """Cores this process may use; two threads of one core count once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    return len({_siblings(cpu) for cpu in allowed})


def _siblings(cpu: int) -> str:
    """The hardware threads that share a core with this one; itself where the system does not say."""
    file = TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list"
    return file.read_text().strip() if file.exists() else str(cpu)
