"""Many short calls through the transcribing step, one job at a time against several that share batches.

    python -m benchmarks.bench_calls [--calls 40] [--seconds 20] [--at-once 1 4]
    python -m benchmarks.bench_calls --model v3_ctc      # a full-size random model instead of the toy

Everything that a worker does for such a job is in it: claim, reading, hearing, writing, the next job.
Decoding and cutting are done before, as other processes do that. Wall time, and seconds of all cores.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import threading
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

os.environ.setdefault("STENOGRAM_WORKER", "1")

import numpy as np

from benchmarks import checkpoints
from core.application import Application
from core.library.recordings import TranscriptionOptions
from core.media.decode import decode, waveform
from core.media.waveform import SAMPLE_RATE, Waveform
from core.principal import PAGES, Principal
from core.settings import Settings
from core.speech import cores

SPEECH = Path(__file__).resolve().parent.parent / "tests" / "data" / "ru_meeting.opus"


def calls(count: int, seconds: float, folder: Path) -> list[bytes]:
    """Different stretches of a sample as WAV files, each with a noise of its own."""
    sound = waveform(decode(SPEECH, folder, split_channels=False)[0])
    chance, length = np.random.default_rng(0), int(seconds * SAMPLE_RATE)
    starts = chance.integers(0, len(sound) - length, count)
    return [_file(sound[start : start + length] + chance.integers(-20, 20, length)) for start in starts]


def _file(sound: Waveform) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(sound.astype(np.int16).tobytes())
    return out.getvalue()


def prepared(home: Path, files: Sequence[bytes], model: str, engine: str) -> tuple[Application, list[str]]:
    """An installation with these recordings decoded and cut, and the jobs that are to be done."""
    app = Application(
        Settings(stenogram_home=home, gigaam_model=model, models_dir=str(home.parent / "models"))
    )
    ready: list[tuple[str, str, str]] = []
    app.job_queue.notifier = lambda *job: ready.append(job)
    for n, file in enumerate(files):
        app.intake.accept(
            Principal(PAGES), io.BytesIO(file), f"call-{n}.wav", TranscriptionOptions(engine=engine)
        )
    for _, _, job_id in ready[:]:
        claim = app.job_queue.claim(job_id, "bench")
        assert claim is not None
        app.pipeline.stages["prepare"].run(claim)
    return app, [job_id for _, kind, job_id in ready if kind == "transcribe"]


def work_off(app: Application, jobs: Sequence[str], at_once: int) -> tuple[float, float]:
    """Do these jobs in so many threads: seconds of the clock, and of all cores."""
    todo: SimpleQueue[str] = SimpleQueue()
    for job in jobs:
        todo.put(job)
    threads = [threading.Thread(target=_job_queue, args=(app, todo)) for _ in range(at_once)]
    began, used = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, time.process_time() - used


def _job_queue(app: Application, todo: SimpleQueue[str]) -> None:
    while True:
        try:
            claim = app.job_queue.claim(todo.get(block=False), "bench")
        except Empty:
            return
        assert claim is not None
        app.pipeline.stages["transcribe"].run(claim)


def main() -> None:
    """Both ways, in turns, as often as asked; the best of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--model", default="")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = calls(args.calls, args.seconds, Path(folder))
        if args.model:
            (Path(folder) / "models").mkdir()
            checkpoints.build(args.model, Path(folder) / "models", sounds=[checkpoints.noise(15)])
        engine = f"gigaam-{args.model or 'toy'}"
        warm, jobs = prepared(Path(folder) / "warm", files[:1], args.model, engine)
        work_off(warm, jobs, 1)
        count = cores.physical_cores()
        print(f"{args.calls} calls of {args.seconds:.0f} s, {engine}, {count} cores")
        print("| jobs | x real time | a core |\n|---|---|---|")
        best: dict[int, tuple[float, float]] = {}
        for turn in range(args.repeats):
            for at_once in args.at_once:
                home = Path(folder) / f"{turn}-{at_once}"
                app, jobs = prepared(home, files, args.model, engine)
                best[at_once] = min(best.get(at_once, (9e9, 9e9)), work_off(app, jobs, at_once))
        for at_once, (wall_s, used_s) in best.items():
            sound_s = args.calls * args.seconds
            print(f"| {at_once} at once | {sound_s / wall_s:,.0f} | {sound_s / used_s:,.0f} |")


if __name__ == "__main__":
    main()
