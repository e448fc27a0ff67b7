"""The stage before the recogniser: decoding and voice detection, beside the least that either could take.

    python -m benchmarks.bench_prepare [--hours 1] [--kinds wav opus mp3]

An hour of the real recordings beside the project one after another (else of a sample), as three kinds of
file. Seconds are of a processor, so other work on the machine changes little. Bare decoding is PyAV's
demuxer, decoder and resampler, nothing else; the bare detector is its package's model, 512 frames a block,
through ONNX Runtime. "Stage" is the job as a worker does it, its decoder's process and SQL included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("STENOGRAM_WORKER", "1")
os.environ["STENOGRAM_HOME"] = tempfile.mkdtemp()  # for what the actors open when they are imported

import av
import numpy as np

from benchmarks.bench_long import used_s
from core.application import Application
from core.database.states import JobKind
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.media.waveform import SAMPLE_RATE, Waveform
from core.principal import EVERYONE
from core.settings import Settings
from core.speech import vad
from jobs import actors
from tests import voices

KINDS = {
    "wav": ("pcm_s16le", 16_000, 0),
    "opus": ("libopus", 48_000, 32_000),
    "mp3": ("libmp3lame", 16_000, 64_000),
}


def sound(hours: float, folder: Path) -> Waveform:
    """People, again and again."""
    paths = voices.files() if voices.FOLDER.is_dir() else voices.SAMPLES
    once = np.concatenate([np.array(voices.sound(path, folder / path.stem)) for path in paths])
    return np.resize(once, round(hours * 3600 * SAMPLE_RATE))


def as_kind(samples: Waveform, kind: str, folder: Path) -> Path:
    """A file of them: opus 32, mp3 64 kbit/s."""
    plain, path = folder / "plain.wav", folder / f"hours.{kind}"
    with wave.open(str(plain), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    codec, rate, bits = KINDS[kind]
    if kind == "wav":
        return plain
    with av.open(plain) as source, av.open(path, "w") as made:
        stream = made.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bits
        resampler = av.AudioResampler(stream.format.name, "mono", rate, stream.frame_size or 1152)
        for frame in [*source.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                made.mux(stream.encode(piece))
        made.mux(stream.encode(None))
    return path


def bare_decoding(path: Path) -> None:
    """To 16 kHz mono, kept nowhere."""
    resampler, waiting = av.AudioResampler("s16", "mono", SAMPLE_RATE), av.AudioFifo()
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            frame.pts = None
            waiting.write(frame)
            if waiting.samples >= frame.rate:
                resampler.resample(waiting.read())


def bare_detector(samples: Waveform) -> None:
    """The package's own model, a block at a time."""
    from silero_vad import load_silero_vad  # noqa: PLC0415 - imports torch

    model = load_silero_vad(sequence=True)
    for start in range(0, len(samples), vad._WINDOW):
        model.audio_forward(samples[start : start + vad._WINDOW] / np.float32(32768))


def processor_s(work: Callable[[], object]) -> float:
    """What a piece of work takes of all cores, children included."""
    before = used_s()
    work()
    return used_s() - before


def stage(path: Path, folder: Path) -> tuple[float, float]:
    """Processor time and time of the stage."""
    app = Application(Settings(stenogram_home=folder / "home", speakers="off"))
    jobs: list[tuple[str, str, str]] = []
    app.job_queue.notifier = lambda *job: jobs.append(job)
    with path.open("rb") as file:
        app.intake.accept(EVERYONE, file, path.name, TranscriptionOptions(language="ru", speakers="off"))
    (job_id,) = [job_id for _, kind, job_id in jobs if kind == JobKind.PREPARE]
    began = time.perf_counter()
    return processor_s(lambda: actors.perform(app, job_id)), time.perf_counter() - began


def row(kind: str, path: Path, folder: Path, seconds: float) -> None:
    """Of the table."""
    bare_s = processor_s(lambda: bare_decoding(path))
    decoded_s = processor_s(lambda: decode.decode(path, folder / "decoded"))
    worked_s, took_s = stage(path, folder / kind)
    parts_s = f"{bare_s:.2f} | {decoded_s:.2f} | {worked_s:.2f}"
    print(f"| {kind} | {parts_s} | {seconds / worked_s:.0f} | {seconds / took_s:.0f} |", flush=True)


def main() -> None:
    """A row for each kind."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = sound(args.hours, folder)
        seconds = len(samples) / SAMPLE_RATE
        vad.speech(samples[: vad._WINDOW])  # loads it
        detected_s = processor_s(lambda: vad.speech(samples))
        bare_detector(samples[: vad._WINDOW])
        print(f"detector: {detected_s:.2f} s, bare {processor_s(lambda: bare_detector(samples)):.2f} s")
        print("| kind | bare decoding, s | ours | stage, s | × real time a core | × the clock |")
        print("|---|---|---|---|---|---|")
        for kind in args.kinds:
            row(kind, as_kind(samples, kind, folder), folder, seconds)


if __name__ == "__main__":
    main()
