"""One very long recording: how fast each step is, and whether memory depends on its length.

    python -m benchmarks.bench_long [--hours 0.2 10]

The Russian sample over and over, through all steps in this process. Memory is what belongs to a process
alone (RssAnon, Linux): mapped sound is the system's, which takes it back when others need room.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
import wave
from pathlib import Path

os.environ.setdefault("STENOGRAM_WORKER", "1")
os.environ["STENOGRAM_HOME"] = tempfile.mkdtemp()  # for what the actors open when they are imported

import psutil

from benchmarks.bench_calls import SPEECH
from core.application import Application
from core.library.recordings import TranscriptionOptions
from core.media.decode import decode, waveform
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE
from core.settings import Settings
from jobs import actors

LOOK_S = 0.2


class Memory(threading.Thread):
    """The most that this process and its children had to themselves since it was asked last, MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._most = 0.0

    def run(self) -> None:
        """Look again and again."""
        me = psutil.Process()
        while True:
            self._most = max(self._most, sum(_own_mib(p.pid) for p in [me, *me.children(recursive=True)]))
            time.sleep(LOOK_S)

    def most(self) -> float:
        """And begin anew."""
        most, self._most = self._most, 0.0
        return most


def _own_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def recording(hours: float, folder: Path) -> Path:
    """The sample again and again as a WAV file."""
    sound = waveform(decode(SPEECH, folder, split_channels=False)[0]).tobytes()
    path = folder / f"{hours}h.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for _ in range(int(hours * 3600 * SAMPLE_RATE * 2 / len(sound))):
            file.writeframesraw(sound)
    return path


def measure(app: Application, path: Path, hours: float, memory: Memory) -> None:
    """A row of the table for each step."""
    rung: list[tuple[str, str, str]] = []
    app.job_queue.notifier = lambda *job: rung.append(job)
    with path.open("rb") as file:
        app.intake.accept(EVERYONE, file, path.name, TranscriptionOptions(language="ru"))
    while rung:
        _, kind, job_id = rung.pop(0)
        memory.most()
        began = time.perf_counter()
        actors.perform(app, job_id)
        took_s = time.perf_counter() - began
        print(f"| {hours:g} h | {kind} | {took_s:.1f} | {hours * 3600 / took_s:,.0f} | {memory.most():.0f} |")


def main() -> None:
    """Each length in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[0.2, 10.0])
    memory = Memory()
    memory.start()
    print("| length | step | s | × real time | MiB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for hours in parser.parse_args().hours:
            home = Path(folder) / f"home-{hours}"
            measure(Application(Settings(stenogram_home=home)), recording(hours, Path(folder)), hours, memory)
    shutil.rmtree(os.environ["STENOGRAM_HOME"])


if __name__ == "__main__":
    main()
