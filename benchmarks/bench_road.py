"""The whole tool as a person meets it: starts, first answers, memory at rest, stop.

    python -m benchmarks.bench_road
    python -m benchmarks.bench_road --minute   # only a new user's first minute of people

A start is set beside `import app` alone, which is the least any start could take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

from core.media.waveform import SAMPLE_RATE
from core.settings import Settings
from tests import voices
from tests.conftest import DATA
from tests.tool import ROOT, Tool

REST_S = 10.0
"""After so long at rest nothing is warming up any more."""


def seconds(what: Callable[[], object]) -> float:
    """How long it took."""
    began = time.monotonic()
    what()
    return time.monotonic() - began


def import_alone() -> None:
    """Read the libraries of the web server, and do nothing else."""
    subprocess.run([sys.executable, "-c", "import app"], cwd=ROOT, check=True, capture_output=True)


def memory(tool: Tool) -> None:
    """Each process by its share of what it keeps (PSS), MiB."""
    shares = {
        " ".join(process.cmdline()[-3:])[-48:]: process.memory_full_info().pss >> 20
        for process in tool.family()
    }
    for name, mib in shares.items():
        print(f"  {mib:5} MiB  {name}")
    print(f"  {sum(shares.values()):5} MiB  in all, at rest")


def transcribed(tool: Tool, name: str, language: str) -> None:
    """Send a sample; print when it was accepted and when its text was there."""
    began = time.monotonic()
    task = tool.upload(DATA / name, language=language)
    accepted_s = time.monotonic() - began
    ended = tool.ended(task["task_id"], 300)
    print(f"{name}: accepted in {accepted_s:.2f} s, {ended['status']} in {time.monotonic() - began:.1f} s")


AS_INSTALLED = ("speakers", "spoken_language")
"""What the tests set otherwise."""


def minute(folder: Path) -> Path:
    """A minute of people, English: the recordings beside the project one after another, or a sample twice."""
    people = [voices.FOLDER / f"{name}.flac" for name in ("jfk", "pyannote_sample", "ami_dev00")]
    paths = people if voices.FOLDER.is_dir() else [DATA / "en_meeting.opus"] * 2
    sound = b"".join(voices.sound(path, folder / str(n)).tobytes() for n, path in enumerate(paths))
    with wave.open(str(folder / "minute.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(sound[: 60 * SAMPLE_RATE * 2])
    return folder / "minute.wav"


def processor_s(tool: Tool) -> float:
    """Seconds of all cores that the tool has used, its children that ended included."""
    return sum(sum(process.cpu_times()[:4]) for process in tool.family())


def first_minute(folder: Path) -> None:
    """A new home, nothing chosen: the first upload of one minute until its text can be read."""
    path, home = minute(folder), folder / "fresh"
    standard = {name.upper(): str(Settings.model_fields[name].default) for name in AS_INSTALLED}
    standard |= {"MODELS_DIR": str(home / "models"), "API_REQUESTS_PER_MIN": "100000"}  # it is asked often
    with Tool(home, **standard) as tool:
        began, used_s = time.monotonic(), processor_s(tool)
        task = tool.upload(path)
        ended = tool.ended(task["task_id"], 300)
        took_s, used_s = time.monotonic() - began, processor_s(tool) - used_s
        with tool.api() as client:
            result = client.get(f"/api/v1/tasks/{task['task_id']}/result").json()
    print(f"the first minute: {ended['status']} in {took_s:.1f} s, {60 / used_s:.1f} × real time a core, all")
    print(f"steps together; {result['engine']}, {result['language']}, warnings {result['warnings']}:")
    print(f"  {result['transcription'][:200]}…")


def main() -> None:
    """Print all of it, or the first minute alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minute", action="store_true", help="only a new user's first minute of people")
    only_minute = parser.parse_args().minute
    with tempfile.TemporaryDirectory() as folder:
        first_minute(Path(folder))
    if not only_minute:
        starts()


def starts() -> None:
    """Two starts beside the import alone, memory at rest, samples between, stops."""
    import_alone()  # reads the files into the page cache
    alone_s = seconds(import_alone)
    print(f"import app alone: {alone_s:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        tool = Tool(Path(folder) / "home", API_REQUESTS_PER_MIN="100000")
        for name in ("first start", "second start"):
            started_s = seconds(tool.start)
            print(f"{name}: {started_s:.1f} s, {started_s / alone_s:.1f} × the import")
            time.sleep(REST_S)
            if name == "first start":
                memory(tool)
                transcribed(tool, "ru_meeting.opus", "ru")
                transcribed(tool, "call_stereo.opus", "ru")
                time.sleep(REST_S)
            print(f"stop, idle: {tool.stop():.1f} s")


if __name__ == "__main__":
    main()
