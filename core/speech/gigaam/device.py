"""What this machine computes with, and why: shown to people, who wonder why it is slow."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from core.speech.cores import thread_count

DRIVER = Path("/proc/driver/nvidia/version")

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""What a CPU must know so that bfloat16 may be faster than float32, as /proc/cpuinfo writes it."""

ON_GPU = "computes on the GPU {gpu} in {numbers}"
ON_CPU = "computes on the CPU in {numbers}, {why}; {missing}"
AS_ASKED = "as asked"
SMALL = "for the model is small"
NO_BF16 = "for the CPU has no bfloat16"
MEASURED = "for bfloat16 is {gain} × as fast here"
NO_BUILD = "no GPU is used: this torch is built without CUDA"
NO_DRIVER = "no GPU is used: there is no NVIDIA driver"
NO_CODE = "no GPU is used: this torch has no code for {gpu}"
NO_START = "no GPU is used: the driver is there, but CUDA {version} does not start with it"

SMALL_WIDTH = 512
"""Models narrower than this gain nothing on a CPU by bfloat16, nor by a second core: waiting costs more."""

BF16_GAIN = 1.3
"""How much faster it must be to be worth its rounding. With AMX it is 3 or more, without often below 1."""


@dataclass(frozen=True)
class Device:
    """Where the encoder runs, in which numbers, and the sentence that says why."""

    kind: str
    dtype: torch.dtype
    reason: str


def choose(width: int, kind: str = "auto", dtype: torch.dtype | None = None) -> Device:
    """The best that is there for an encoder of this width; `kind` and `dtype` override."""
    if kind == "cuda" or (kind == "auto" and has_cuda()):
        return _cuda(dtype)
    chosen, why = (dtype, AS_ASKED) if dtype else _fastest(width)
    missing = AS_ASKED if has_cuda() else why_no_cuda()
    return Device("cpu", chosen, ON_CPU.format(numbers=_name(chosen), why=why, missing=missing))


def _fastest(width: int) -> tuple[torch.dtype, str]:
    """The numbers in which this CPU is fastest, and why."""
    if width < SMALL_WIDTH:
        return torch.float32, SMALL
    if not cpu_flags() & BF16_FLAGS:
        return torch.float32, NO_BF16
    gain = bf16_gain(width)
    return (torch.bfloat16 if gain >= BF16_GAIN else torch.float32), MEASURED.format(gain=f"{gain:.1f}")


def _cuda(dtype: torch.dtype | None) -> Device:
    """bfloat16 from the Ampere generation on, float16 before; int8 is for CPUs."""
    ampere = torch.cuda.get_device_capability() >= (8, 0)
    best = torch.bfloat16 if ampere else torch.float16
    chosen = best if dtype in {None, torch.int8} else dtype
    reason = ON_GPU.format(gpu=torch.cuda.get_device_name(), numbers=_name(chosen))
    return Device("cuda", chosen, reason)


def has_cuda() -> bool:
    """Whether there is a GPU that this torch has code for."""
    return torch.cuda.is_available() and runs_on(
        torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    )


def runs_on(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Code runs on later GPUs of its generation (`sm_90`, `sm_90a`), PTX (`compute_90`) on all later ones."""
    for kind, digits in (arch.split("_") for arch in built_for):
        major, minor = int(digits.rstrip("af")[:-1]), int(digits.rstrip("af")[-1])
        if (major == capability[0] or kind == "compute") and (major, minor) <= capability:
            return True
    return False


def why_no_cuda() -> str:
    """Why the GPU, if there is one, is not used."""
    if torch.cuda.is_available():
        return NO_CODE.format(gpu=torch.cuda.get_device_name())
    if torch.version.cuda is None:
        return NO_BUILD
    if not DRIVER.exists():
        return NO_DRIVER
    return NO_START.format(version=torch.version.cuda)


@functools.lru_cache(maxsize=4)
def bf16_gain(width: int) -> float:
    """How many times faster this CPU multiplies in bfloat16 than in float32, measured in some 0.1 s."""
    return _multiplying_s(width, torch.float32) / _multiplying_s(width, torch.bfloat16)


def _multiplying_s(width: int, dtype: torch.dtype) -> float:
    """The best of five products of the encoder's own shape, in CPU time: others may be at work."""
    rows, weight = torch.ones(200, width, dtype=dtype), torch.ones(4 * width, width, dtype=dtype)
    times = []
    for _ in range(5):
        begun = time.process_time()
        torch.nn.functional.linear(rows, weight)
        times.append(time.process_time() - begun)
    return min(times)


def cpu_flags() -> set[str]:
    """The CPU's abilities as Linux names them; none where it does not say."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())


def use_cores(width: int = SMALL_WIDTH) -> int:
    """Give torch one thread a physical core, or as many as `OMP_NUM_THREADS` says; a small model gets one.

    Called by the thread that computes: the number is its own, and other packages (silero-vad) set one
    for the whole process.
    """
    threads = thread_count() if width >= SMALL_WIDTH else 1
    torch.set_num_threads(threads)
    return threads


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def numbers(name: str) -> torch.dtype | None:
    """A kind of numbers by its name in the settings; None for `auto`."""
    return None if name == "auto" else getattr(torch, name)
