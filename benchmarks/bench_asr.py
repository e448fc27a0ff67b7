"""How many times faster than speech: each stage alone and the whole, ours against the straightforward loop.

    python benchmarks/bench_asr.py                       # this machine's device, full-size random models
    python benchmarks/bench_asr.py --hours 3 --device cuda
    python benchmarks/bench_asr.py --onnx               # the encoder on a CPU, ours against ONNX Runtime

Random weights, real size: the words are noise, the speed is not. Needs torch and numpy only; with
omegaconf and sentencepiece the models go through real checkpoint files. No network.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import checkpoints, textbook
from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.gigaam import device as devices
from core.speech.gigaam.batcher import Batcher
from core.speech.gigaam.checkpoint import Model, load
from core.speech.gigaam.device import Device
from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.recogniser import Recogniser, rounded
from core.speech.gigaam.tokens import speech

if TYPE_CHECKING:
    from benchmarks import onnx_encoder


@dataclass(frozen=True)
class JobQueue:
    """What is timed, and how many seconds of sound it gets through."""

    run: Callable[[], object]
    seconds: float


@dataclass(frozen=True)
class Row:
    """One line of the table: how many times faster than speech, by whom; 0: not measured."""

    stage: str
    ours: float
    loop: float = 0.0
    ratio: float = 0.0
    package: float = 0.0


def corpus(seconds: float) -> list[Waveform]:
    """Segments of several files as speech is cut: 3 to 20 s, mostly long, in the files' order."""
    chance = np.random.default_rng(0)
    segments: list[Waveform] = []
    while sum(len(segment) for segment in segments) < seconds * SAMPLE_RATE:
        length = int(np.clip(chance.normal(15, 5), 3, 20) * SAMPLE_RATE)
        swell = 3000 * np.abs(np.sin(np.arange(length) / chance.integers(2000, 9000)))
        segments.append((chance.normal(0, 1, length) * swell).astype(np.int16))
    return segments


def built(name: str, folder: Path, sounds: list[Waveform], *, tiny: bool) -> Model:
    """A random model, through a real checkpoint file where the packages for it are there."""
    if all(importlib.util.find_spec(package) for package in ("omegaconf", "sentencepiece")):
        return load(checkpoints.build(name, folder, sounds=sounds, tiny=tiny))
    return checkpoints.random_model(name, sounds=sounds, tiny=tiny)


def seconds_of(segments: list[Waveform]) -> float:
    """How long they are together."""
    return sum(map(len, segments)) / SAMPLE_RATE


def speed(work: JobQueue) -> float:
    """Seconds of sound a second of time (CLOCK), of one run."""
    _wait()
    begun = CLOCK()
    work.run()
    _wait()
    return work.seconds / (CLOCK() - begun)


def best(work: JobQueue, repeats: int) -> float:
    """The fastest of some runs, after one to get warm."""
    return max([speed(work) for _ in range(repeats + 1)][1:])


def compared(stage: str, ours: JobQueue, loop: JobQueue, package: JobQueue | None, rounds: int) -> Row:
    """Medians of some rounds in which they take turns, after one to get warm: a machine's drift meets all."""
    turns = [[speed(work) for work in (ours, loop, package) if work] for _ in range(rounds + 1)][1:]
    medians = [statistics.median(each) for each in zip(*turns, strict=True)]
    return Row(stage, *medians[:2], statistics.median(turn[0] / turn[1] for turn in turns), *medians[2:])


CLOCK = time.perf_counter if torch.cuda.is_available() else time.process_time
"""Without a GPU: seconds of all cores together, which a machine shared with others hardly disturbs."""


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def stages(
    recogniser: Recogniser, segments: list[Waveform], loop: JobQueue | None, options: argparse.Namespace
) -> list[Row]:
    """Features, encoder and search alone, in the batches that the recogniser would make."""
    seconds = seconds_of(segments)
    batches = recogniser.plan(segments)
    groups = [group for batch in batches for group in recogniser.groups([segments[index] for index in batch])]
    inputs: list[tuple[torch.Tensor, torch.Tensor, bool]] = []
    encoded: list[tuple[torch.Tensor, torch.Tensor]] = []

    def listen() -> None:
        inputs[:] = [recogniser.features(group) for group in groups]

    def encode() -> None:
        encoded[:] = [recogniser.encode(*each, recogniser.encoder) for each in inputs]

    with torch.inference_mode():
        rows = [
            Row("features", best(JobQueue(listen, seconds), options.rounds)),
            Row("encoder", best(JobQueue(encode, seconds), options.rounds)),
        ]
        ready = together(encoded, batches)
        search = JobQueue(lambda: [recogniser.search(*each) for each in ready], seconds)
        if loop is None:
            return [*rows, Row("token decode", best(search, options.rounds))]
        return [*rows, compared("token decode", search, loop, None, options.rounds)]


def together(
    encoded: list[tuple[torch.Tensor, torch.Tensor]], batches: list[list[int]]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What was encoded in parts, in whole batches again, as the search takes it."""
    rows_of = iter((row, end) for rows, ends in encoded for row, end in zip(rows, ends, strict=True))
    whole = [[next(rows_of) for _ in batch] for batch in batches]
    return [
        (pad_sequence([row for row, _ in batch], batch_first=True), torch.stack([end for _, end in batch]))
        for batch in whole
    ]


def loop_search(model: Model, segments: list[Waveform]) -> JobQueue | None:
    """The textbook loop alone, over encoded segments; none for CTC."""
    if not isinstance(model.head, Transducer):
        return None
    head, device = model.head, model.features.mel.device
    waves = [torch.from_numpy(segment).to(device).float()[None] / 32768 for segment in segments]
    with torch.inference_mode():
        encoded = [model.encoder(model.features(wave), None)[0] for wave in waves]
    run = lambda: [textbook.transducer(head, each, len(each)) for each in encoded]  # noqa: E731
    return JobQueue(run, seconds_of(segments))


def matmul_tflops(device: Device) -> float:
    """What the device multiplies at best: a square product in the encoder's numbers."""
    size = 8192 if device.kind == "cuda" else 2048
    matrix = torch.ones(size, size, dtype=device.dtype, device=device.kind)
    times = torch._int_mm if device.dtype == torch.int8 else torch.matmul
    return best(JobQueue(lambda: times(matrix, matrix), 2 * size**3 / 1e12), 5)


def package(name: str, folder: Path, segments: list[Waveform]) -> JobQueue | None:
    """The `gigaam` package on the same file, one segment after another; none where it cannot load it."""
    if importlib.util.find_spec("gigaam") is None or importlib.util.find_spec("torchaudio") is None:
        return None
    import gigaam  # noqa: PLC0415

    if name not in getattr(gigaam, "_MODEL_HASHES", {}):
        return None
    gigaam._MODEL_HASHES[name] = gigaam.hash_path(str(folder / f"{name}.ckpt"))
    model = gigaam.load_model(name, download_root=str(folder))

    def run() -> None:
        for segment in segments:
            wave = torch.from_numpy(segment).float()[None].to(model._device) / 32768
            encoded, ends = model.forward(wave, torch.tensor([wave.size(1)], device=model._device))
            model.decoding.decode(model.head, encoded, ends)

    return JobQueue(torch.inference_mode()(run), seconds_of(segments))


def gflop_a_second(model: Model) -> float:
    """What the encoder computes for a second of sound, counted on a segment of 15 s."""
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        model.encoder(torch.zeros(1, 64, 1500, device=model.features.mel.device), None)
    return counter.get_total_flops() / 1e9 / 15


def peak_gib(kind: str) -> float:
    """The most memory so far: of the device, or of this process."""
    if kind == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, folder: Path, options: argparse.Namespace) -> None:
    """All rows of one model, printed as a table."""
    segments = corpus(options.hours * 3600)
    few, seconds = segments[: options.loop_segments], seconds_of(segments)
    model = built(name, folder, segments[:4], tiny=options.tiny)
    chosen = devices.choose(
        model.config.encoder.d_model, options.device, dtype=devices.numbers(options.numbers)
    )
    plain = model.to(chosen.kind)  # the recogniser rounds its own in place
    model = copy.deepcopy(plain)
    work = gflop_a_second(model)
    recogniser = Recogniser(model, chosen, compiled=options.compile)
    rows = stages(recogniser, segments, loop_search(plain, few), options)
    batcher = Batcher(recogniser)
    rows.append(
        compared(
            "end to end",
            JobQueue(lambda: batcher.transcribe(segments), seconds),
            JobQueue(lambda: textbook.transcribe(plain, few), seconds_of(few)),
            package(name, folder, few),
            options.rounds,
        )
    )
    tokens = sum(len(emission.tokens) for emission in recogniser.emissions(segments)) / seconds
    print(f"\n### {name}: {len(segments)} segments, {seconds / 60:.0f} min, {tokens:.1f} tokens/s\n")
    print(f"{chosen.reason}\n")
    show(rows)
    used, ceiling = rows[1].ours * work / 1000, matmul_tflops(chosen)
    share, memory = rows[3].ours / rows[2].ours, peak_gib(chosen.kind)
    print(f"\nToken decode takes {share:.1%} of the time. The encoder does {used:.2f} TFLOPS,")
    print(f"{used / ceiling:.0%} of a bare product's {ceiling:.2f}. Peak memory {memory:.1f} GiB.")


def beside_onnx(name: str, folder: Path, options: argparse.Namespace) -> None:
    """The encoder alone on a CPU, ours and ONNX Runtime taking turns; what each makes of the words."""
    from benchmarks import onnx_encoder  # noqa: PLC0415 - needs packages that only developers have

    segments = corpus(options.hours * 3600)
    model = built(name, folder, segments[:4], tiny=options.tiny)
    exported = onnx_encoder.export(model.encoder, folder)
    recogniser = Recogniser(model, devices.choose(model.config.encoder.d_model, "cpu", dtype=torch.float32))
    squeezed = rounded(copy.deepcopy(model.encoder), torch.int8)
    if options.compile:
        recogniser.encoder.compile_layers()
        squeezed.compile_layers()
    encoders = {
        "ours, float32": lambda features: recogniser.encoder(features, None),
        "ONNX Runtime, float32": onnx_encoder.opened(exported),
        "ours, int8": lambda features: squeezed(features, None),
        "ONNX Runtime, int8": onnx_encoder.opened(onnx_encoder.in_int8(exported)),
    }
    with torch.inference_mode():
        extracted = [recogniser.features([segment])[0] for segment in segments]
        speeds = taking_turns(encoders, extracted, seconds_of(segments), options.rounds)
        encoded = {who: [encode(each) for each in extracted] for who, encode in encoders.items()}
        words = {who: _words(recogniser, rows) for who, rows in encoded.items()}
    show_encoders(name, speeds, encoded, words)


def taking_turns(
    encoders: dict[str, onnx_encoder.Encode], features: list[torch.Tensor], seconds: float, rounds: int
) -> dict[str, float]:
    """Times real time, by name: medians of some rounds, after one to get warm."""
    works = [JobQueue(partial(_each, encode, features), seconds) for encode in encoders.values()]
    turns = [[speed(work) for work in works] for _ in range(rounds + 1)][1:]
    return dict(zip(encoders, map(statistics.median, zip(*turns, strict=True)), strict=True))


def _each(encode: onnx_encoder.Encode, extracted: list[torch.Tensor]) -> None:
    for features in extracted:
        encode(features)


def _words(recogniser: Recogniser, encoded: list[torch.Tensor]) -> str:
    emissions = [recogniser.search(rows, torch.tensor([rows.size(1)]))[0] for rows in encoded]
    return " ".join(speech(emission, recogniser.model.tokenizer).text for emission in emissions)


def show_encoders(
    name: str, speeds: dict[str, float], encoded: dict[str, list[torch.Tensor]], words: dict[str, str]
) -> None:
    """The table: speeds, and how far each is from ours in float32, in numbers and in words."""
    import jiwer  # noqa: PLC0415 - only developers have it

    exact, true = torch.cat(encoded["ours, float32"], 1), words["ours, float32"]
    print(f"\n### {name}: the encoder alone\n")
    print("| encoder | x real time a core | to ours | largest difference | of the output | words changed |")
    print("|---|---|---|---|---|---|")
    for who, times in speeds.items():
        away = torch.cat(encoded[who], 1) - exact
        ours = speeds[f"ours, {who.split(', ')[1]}"]
        share, changed = float(away.norm() / exact.norm()), jiwer.wer(true, words[who])
        print(f"| {who} | {times:.1f} | {times / ours:.2f} | {float(away.abs().max()):.1e} |", end="")
        print(f" {share:.1e} | {changed:.1%} |", flush=True)


def show(rows: list[Row]) -> None:
    """The table."""
    clock = "" if torch.cuda.is_available() else " a core"
    print(f"| stage | ours, x real time{clock} | straightforward loop (float32) | ratio | package |")
    print("|---|---|---|---|---|")
    for row in rows:
        ratio = f"{row.ratio:.1f}" if row.loop else "–"
        print(f"| {row.stage} | {row.ours:,.1f} | {_known(row.loop)} | {ratio} | {_known(row.package)} |")
    sys.stdout.flush()


def _known(value: float) -> str:
    return f"{value:,.1f}" if value else "–"


def main() -> None:
    """Measure the models that are named."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("models", nargs="*", default=["v3_e2e_ctc", "v3_e2e_rnnt"])
    parser.add_argument("--hours", type=float, default=4.0 if cuda else 0.02)
    parser.add_argument("--loop-segments", type=int, default=8 if cuda else 2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--numbers", default="auto", help="as GIGAAM_DTYPE")
    parser.add_argument("--compile", action="store_true", help="as GIGAAM_COMPILE")
    parser.add_argument("--onnx", action="store_true", help="the encoder beside ONNX Runtime's, nothing else")
    parser.add_argument("--tiny", action="store_true", help="only to see that everything runs")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {devices.use_cores()} threads")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            (beside_onnx if options.onnx else measure)(name, Path(folder), options)


if __name__ == "__main__":
    main()
