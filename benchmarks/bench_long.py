"""One very long recording: how fast each step is, and whether memory depends on its length.

    python -m benchmarks.bench_long [--hours 0.2 10] [--engine whisper-base] [--kinds wav mp3] [--speech 1]

The Russian sample over and over, with silence between where less than all of it is to be speech, through all
steps in this process but the search for speakers, which `bench_speakers --minutes` measures. Beside the clock
stands × real time a core, by the processor time of this process and its decoder, which other work on the
machine does not change. Memory is what belongs to a process alone (RssAnon, Linux): mapped sound is the
system's, which takes it back when others need room.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import threading
import time
import wave
from pathlib import Path

os.environ.setdefault("STENOGRAM_WORKER", "1")
os.environ["STENOGRAM_HOME"] = tempfile.mkdtemp()  # for what the actors open when they are imported

import numpy as np
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
    """What this process and its children have to themselves, looked at since it was asked last, MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._looks: list[float] = []

    def run(self) -> None:
        """Look again and again."""
        me = psutil.Process()
        while True:
            self._looks.append(sum(_own_mib(p.pid) for p in [me, *me.children(recursive=True)]))
            time.sleep(LOOK_S)

    def most(self) -> list[float]:
        """The most in each third of the time, or in all of it where that was short; and begin anew."""
        looks, self._looks = self._looks, []
        third = len(looks) // 3
        return [max(part) for part in (looks[:third], looks[third:-third], looks[-third:]) if part] or [0.0]


def _own_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def recording(hours: float, folder: Path, engine: str, speech: float) -> Path:
    """The sample again and again as a WAV file; the toy's is a robot's, over which Whisper broods.

    `speech` is the share of the sample, the rest is silence.
    """
    sample = SPEECH.with_name("ru_planning.opus") if engine.startswith("whisper") else SPEECH
    spoken = waveform(decode(sample, folder, split_channels=False)[0])
    sound = np.pad(spoken, (0, round(len(spoken) * (1 / speech - 1)))).tobytes()
    path = folder / f"{hours}h.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for _ in range(int(hours * 3600 * SAMPLE_RATE * 2 / len(sound))):
            file.writeframesraw(sound)
    return path


def as_kind(path: Path, kind: str) -> Path:
    """The same sound in another kind of file, as ffmpeg makes it: opus 32, mp3 64 kbit/s."""
    if kind == "wav":
        return path
    rate = {"opus": "32k", "mp3": "64k"}[kind]
    made = path.with_suffix(f".{kind}")
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(path), "-b:a", rate, str(made)]
    subprocess.run(command, check=True)
    return made


def used_s() -> float:
    """Processor time of this process and of all children, those that ended included."""
    me = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in [me, *me.children(recursive=True)])


def measure(app: Application, path: Path, hours: float, memory: Memory, engine: str) -> None:
    """A row of the table for each step."""
    rung: list[tuple[str, str, str]] = []
    app.job_queue.notifier = lambda *job: rung.append(job)
    with path.open("rb") as file:
        options = TranscriptionOptions(language="ru", engine=engine, speakers="off")
        app.intake.accept(EVERYONE, file, path.name, options)
    while rung:
        _, kind, job_id = rung.pop(0)
        memory.most()
        began, worked_s = time.perf_counter(), used_s()
        actors.perform(app, job_id)
        took_s, worked_s = time.perf_counter() - began, max(0.01, used_s() - worked_s)
        most = " · ".join(f"{mib:.0f}" for mib in memory.most())
        speeds = " | ".join(f"{hours * 3600 / seconds:,.0f}" for seconds in (took_s, worked_s))
        print(f"| {path.suffix} | {hours:g} h | {kind} | {took_s:.1f} | {speeds} | {most} |", flush=True)


def main() -> None:
    """Each length in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[0.2, 10.0])
    parser.add_argument("--engine", default="", help="by name; the best for Russian where it is left out")
    parser.add_argument("--kinds", nargs="+", default=["wav"])
    parser.add_argument("--speech", type=float, default=1.0, help="share of it that is speech, above 0")
    args, memory = parser.parse_args(), Memory()
    memory.start()
    print("| kind | length | step | s | × real time | a core | MiB, in each third |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for hours in args.hours:
            sound = recording(hours, Path(folder), args.engine, args.speech)
            for kind in args.kinds:
                app = Application(Settings(stenogram_home=Path(folder) / f"home-{hours}-{kind}"))
                measure(app, as_kind(sound, kind), hours, memory, args.engine)
    shutil.rmtree(os.environ["STENOGRAM_HOME"])


if __name__ == "__main__":
    main()
