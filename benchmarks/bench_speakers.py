"""Who speaks when: errors, speed, memory, and whether a voice is known again.

    python -m benchmarks.bench_speakers [--audio FOLDER] [--readers FOLDER] [--half 0|1] [--minutes 60]

`--audio` has recordings with a reference beside each (`name.flac`, `name.rttm`). `--readers` has recordings
of people reading aloud, a folder a reader or files named `<reader>-…` (LibriSpeech; the copy in Resemblyzer's
repository, 100 recordings of 10 readers and one each of 250 others, is what the figures in README.md are
from), of which dialogues are made; `--half` takes every other reader, so that what was chosen on one half is
proved on the other. Errors are pyannote.metrics' diarization error rate without a collar, overlaps counted.
One thread.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import psutil
import torch
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

from core.speech.speakers.diarization import Diarization, diarize
from core.speech.speakers.models import SpeakerModels, load
from core.speech.speakers.voices import POSSIBLE, PROBABLE
from tools import dialogues
from tools.dialogues import RATE, Conditions, Reference, Sound, dialogue, telephone


@dataclass(frozen=True)
class Errors:
    """Seconds of each kind of error, and of speech in the reference (overlaps counted for each speaker)."""

    missed: float = 0.0
    false_alarm: float = 0.0
    confusion: float = 0.0
    total: float = 0.0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confusion + other.confusion,
            self.total + other.total,
        )

    @property
    def rate(self) -> float:
        """The diarization error rate."""
        return (self.missed + self.false_alarm + self.confusion) / self.total

    def __str__(self) -> str:
        shares = (self.missed, self.false_alarm, self.confusion)
        missed, false_alarm, confusion = (100 * each / self.total for each in shares)
        return (
            f"{100 * self.rate:5.1f} % (missed {missed:.1f}, false alarm {false_alarm:.1f}, "
            f"confusion {confusion:.1f})"
        )


def errors(reference: Reference, hypothesis: Diarization) -> Errors:
    """What a diarization gets wrong, over the whole recording."""
    metric = DiarizationErrorRate(collar=0.0, skip_overlap=False)
    turns = [(turn.start_s, turn.end_s, str(turn.speaker)) for turn in hypothesis.turns]
    whole = Timeline([Segment(0, hypothesis.duration_s)])
    parts = metric(_annotation(reference), _annotation(turns), uem=whole, detailed=True)
    return Errors(parts["missed detection"], parts["false alarm"], parts["confusion"], parts["total"])


def _annotation(turns: Iterable[tuple[float, float, str]]) -> Annotation:
    annotation = Annotation()
    for number, (start, end, speaker) in enumerate(turns):
        annotation[Segment(start, end), number] = speaker
    return annotation


def read_rttm(path: Path) -> Reference:
    """Turns of a reference file."""
    rows = [line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER")]
    return [(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows]


class Meter:
    """Errors and numbers of speakers over some recordings, and what they cost."""

    def __init__(self, models: SpeakerModels) -> None:
        self._models = models
        self.sound_s = self.cpu_s = 0.0

    def diarize(self, sound: Sound) -> Diarization:
        """Diarize, and count what it costs."""
        began = time.process_time()
        diarization = diarize(sound, self._models)
        self.cpu_s += time.process_time() - began
        self.sound_s += len(sound) / RATE
        return diarization

    def measure(self, title: str, recordings: Iterable[tuple[str, Sound, Reference]], *, each: bool) -> None:
        """Print the errors of some recordings together."""
        total, right, count = Errors(), 0, 0
        for name, sound, reference in recordings:
            diarization = self.diarize(sound)
            these = errors(reference, diarization)
            people = len({speaker for *_, speaker in reference})
            total, count, right = total + these, count + 1, right + (people == len(diarization.speakers))
            if each:
                print(f"  {name:20s} {these}, {len(diarization.speakers)} of {people} speakers")
        print(f"{title}: {total}, right number of speakers {right} of {count}")


def real(folder: Path) -> Iterable[tuple[str, Sound, Reference]]:
    """Recordings that have a reference."""
    for reference in sorted(folder.glob("*.rttm")):
        yield reference.stem, dialogues.load(reference.with_suffix(".flac")), read_rttm(reference)


def make_conversation(
    readers: Mapping[str, Sequence[Sound]], seed: int, *, called: bool
) -> Iterable[tuple[str, Sound, Reference]]:
    """Dialogues of 2 to 8 people; who has only one recording says one or two sentences."""
    rng = random.Random(seed)
    many = [who for who, sounds in readers.items() if len(sounds) > 1]
    few = [who for who, sounds in readers.items() if len(sounds) == 1]
    for number in range(6 if called else 12):
        speaker_count = 2 + number % (5 if called else 7)
        who = rng.sample(many, min(speaker_count, len(many)))
        who += rng.sample(few, min(len(few), speaker_count - len(who) + (number % 3 == 2 and not called)))
        speaks = {each: rng.uniform(25, 80) for each in who if each in many}
        conditions = Conditions(
            telephone=called,
            room=number % 2 == 1 and not called,
            noise_db=(None, None, 25, 18)[number % 4],
        )
        sound, reference = dialogue({each: readers[each] for each in who}, seed + number, conditions, speaks)
        yield f"{len(who)} people", sound, reference


def one_speaker(meter: Meter, readers: Mapping[str, Sequence[Sound]]) -> None:
    """Nobody is split in two: whole readers, in a room, noisy, and on a telephone."""
    counts: list[int] = []
    for number, sounds in enumerate(readers.values()):
        sound = np.concatenate(sounds)
        if len(sounds) > 1:
            noise = np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32) * 0.005
            counts += [
                len(meter.diarize(each).speakers)
                for each in (sound, telephone(sound), dialogues.in_a_room(sound, 3) + noise)
            ]
        elif number % 4 == 0:
            counts.append(len(meter.diarize(sound).speakers))
    print(f"one speaker: {counts.count(1)} of {len(counts)} recordings have one ({sorted(set(counts))})")


def known_again(meter: Meter, readers: Mapping[str, Sequence[Sound]]) -> None:
    """Voices of two halves of each reader's recordings, in three conditions: the error at equal rates."""
    changes: tuple[Callable[[Sound], Sound], ...] = (
        lambda sound: sound,
        telephone,
        lambda sound: dialogues.in_a_room(sound, 3),
    )
    voices: list[tuple[str, np.ndarray]] = []
    for who, sounds in readers.items():
        if len(sounds) < 2:
            continue
        halves = np.array_split(np.concatenate(sounds), 2)
        for half in halves:
            for change in changes:
                speaker = max(meter.diarize(change(half)).speakers, key=lambda each: each.alone_s)
                if speaker.storable:
                    voices.append((who, speaker.voice))
    pairs = [(a[0] == b[0], float(a[1] @ b[1])) for a, b in combinations(voices, 2)]
    same = np.array([cosine for alike, cosine in pairs if alike])
    different = np.array([cosine for alike, cosine in pairs if not alike])
    thresholds = np.linspace(0, 1, 201)
    missed = np.array([(same < each).mean() for each in thresholds])
    wrong = np.array([(different >= each).mean() for each in thresholds])
    at = int(np.abs(missed - wrong).argmin())
    print(
        f"voices: {len(same)} pairs of one person ({same.min():.2f} to {same.max():.2f}), "
        f"{len(different)} of two (up to {different.max():.2f}): "
        f"equal errors {50 * (missed[at] + wrong[at]):.2f} % at a cosine of {thresholds[at]:.2f}; "
        f"at {PROBABLE} {100 * (same < PROBABLE).mean():.1f} % missed and "
        f"{100 * (different >= PROBABLE).mean():.2f} % wrong, at {POSSIBLE} "
        f"{100 * (same < POSSIBLE).mean():.1f} and {100 * (different >= POSSIBLE).mean():.2f} %"
    )


def long(models: SpeakerModels, sounds: Sequence[Sound], minutes: float) -> None:
    """Time and memory by length."""
    process = psutil.Process()
    together = np.rint(np.concatenate(sounds) * 32767).astype(np.int16)
    for length in (minutes / 4, minutes):
        sound = np.resize(together, int(length * 60 * RATE))
        most = 0

        def on_progress(_seconds: float) -> None:
            nonlocal most
            most = max(most, process.memory_info().rss)

        began, cpu = time.monotonic(), time.process_time()
        diarization = diarize(sound, models, progress=on_progress)
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
        print(
            f"{length:.0f} min: {wall:.0f} s, {cpu:.0f} CPU s ({length * 60 / cpu:.1f} × real time a core), "
            f"{len(diarization.speakers)} speakers, {max(most, process.memory_info().rss) / 2**20:.0f} MiB"
        )


def main() -> None:
    """Whatever there is sound for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=Path("../shared/audio"))
    parser.add_argument("--readers", type=Path)
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--minutes", type=float, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    models = load()
    meter = Meter(models)
    recordings = list(real(chosen.audio))
    if recordings:
        meter.measure("real recordings", recordings, each=True)
    if chosen.readers:
        readers = dialogues.readers(chosen.readers)
        names = sorted(readers, key=lambda who: (len(readers[who]) == 1, who))
        readers = {who: readers[who] for who in names[chosen.half :: 2 if chosen.half is not None else 1]}
        seed = 100 if chosen.half is None else 100 * (chosen.half + 1)
        meter.measure("made dialogues", make_conversation(readers, seed, called=False), each=True)
        meter.measure("made telephone calls", make_conversation(readers, seed, called=True), each=True)
        one_speaker(meter, readers)
        known_again(meter, readers)
    if meter.cpu_s:
        print(f"{meter.sound_s:.0f} s of sound, {meter.sound_s / meter.cpu_s:.1f} × real time a core")
    if chosen.minutes:
        long(models, [sound for _, sound, _ in recordings], chosen.minutes)


if __name__ == "__main__":
    main()
