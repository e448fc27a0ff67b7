"""Train a toy: a tiny GigaAM v3 that understands espeak-ng's Russian voices, and nobody else.

    python -m tests.toy.train --minutes 90               # CTC: goes on from the toy that is there
    python -m tests.toy.train --minutes 90 --fresh       # CTC: begins from nothing
    python -m tests.toy.train --head rnnt --minutes 15   # a transducer's head over the CTC toy's encoder

Needs espeak-ng. Sentences are generated, spoken, made noisy, and learned with our own modules; the
file is written in the published format. If more than 10 % of the words of held-out sentences
are wrong, nothing is written; what was reached every ten minutes lies beside it, `.part`.
"""

from __future__ import annotations

import argparse
import io
import random
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import av
import jiwer
import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.checkpoints import RUSSIAN, mel_matrix
from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.gigaam import writing
from core.speech.gigaam.checkpoint import Model, load
from core.speech.gigaam.config import EncoderConfig, FeatureConfig, ModelConfig, TransducerConfig
from core.speech.gigaam.encoder import halved
from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.recogniser import Recogniser
from core.speech.gigaam.tokens import Letters
from tests.toy import transducer_loss
from tests.toy.vocabulary import VOCABULARY, sentence

VOICES = ("ru", "ru+m3", "ru+f2")
WORST_WER = 0.10
KEPT_EVERY_S = 600.0
ROOT = Path(__file__).resolve().parent.parent.parent
TOY = ROOT / "tests" / "data" / "models" / "v3_ctc.ckpt"
OUT = {"ctc": TOY, "rnnt": ROOT / "tests" / "data" / "models" / "v3_rnnt.ckpt"}


@dataclass(frozen=True)
class Spoken:
    """A sentence and its sound, int16."""

    text: str
    sound: Waveform


def speak(text: str, chance: random.Random) -> Spoken:
    """One of three voices, at a speed and a pitch of its own."""
    voice, speed, pitch = chance.choice(VOICES), chance.randint(140, 172), chance.randint(45, 55)
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(raw)) as file:
        rate, sound = file.getframerate(), np.frombuffer(file.readframes(1 << 26), np.int16)
    return Spoken(text.replace("ё", "е"), resample(sound, rate))


def resample(sound: Waveform, rate: int) -> Waveform:
    """To 16 kHz."""
    frame = av.AudioFrame.from_ndarray(sound[None], format="s16p", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler("s16p", "mono", SAMPLE_RATE)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def disturbed(spoken: Spoken, chance: np.random.Generator) -> Spoken:
    """Another loudness, another room, a little silence around; one time in five no room at all."""
    around = chance.integers(0, SAMPLE_RATE * 2 // 5, 2)
    sound = np.pad(spoken.sound.astype(np.float32), around) * chance.uniform(0.5, 1.2)
    level = 0.0 if chance.random() < 0.2 else 10 ** chance.uniform(-3.5, -2.2)
    noisy = sound + chance.normal(0, level * 32768, len(sound))
    return Spoken(spoken.text, noisy.clip(-32768, 32767).astype(np.int16))


def joined(some: list[Spoken], chance: np.random.Generator) -> Spoken:
    """Sentences with pauses between, so that the space between two sentences survives."""
    pauses = [np.zeros(int(chance.uniform(0.05, 1.5) * SAMPLE_RATE), np.int16) for _ in some]
    sound = np.concatenate(
        [part for each, pause in zip(some, pauses, strict=True) for part in (each.sound, pause)]
    )
    return Spoken(" ".join(each.text for each in some), sound)


def batches(corpus: list[Spoken], seed: int, size_s: float) -> Iterator[list[Spoken]]:
    """One pass: a third of the sentences joined to twos and threes, all disturbed, like lengths together."""
    chance = np.random.default_rng(seed)
    order = [corpus[index] for index in chance.permutation(len(corpus))]
    third, samples = len(order) // 3, []
    while third:
        count = min(third, int(chance.integers(2, 4)))
        samples.append(joined([order.pop() for _ in range(count)], chance))
        third -= count
    samples += order
    samples.sort(key=lambda each: len(each.sound))
    groups: list[list[Spoken]] = [[]]
    for each in samples:
        if groups[-1] and len(each.sound) * (len(groups[-1]) + 1) > size_s * SAMPLE_RATE:
            groups.append([])
        groups[-1].append(each)
    for index in chance.permutation(len(groups)):
        yield [disturbed(each, chance) for each in groups[index]]


def fresh_model(width: int, layers: int) -> Model:
    """An untrained model: the published configuration, but tiny."""
    config = ModelConfig(
        name="v3_ctc",
        features=FeatureConfig(),
        encoder=EncoderConfig(d_model=width, n_layers=layers, n_heads=4),
        num_classes=len(RUSSIAN) + 1,
        vocabulary=RUSSIAN,
    )
    model = Model(config, Letters(RUSSIAN))
    # The file holds 16 bits of these two: what is trained is what will be loaded.
    model.features.window.copy_(torch.hann_window(320).half().float())
    model.features.mel.copy_(mel_matrix(config.features).half().float())
    return model


def with_transducer(model: Model, hidden: int) -> Model:
    """Its features and encoder under an untrained transducer's head."""
    shape = TransducerConfig(pred_hidden=hidden, joint_hidden=hidden)
    other = Model(replace(model.config, name="v3_rnnt", transducer=shape), model.tokenizer)
    other.features, other.encoder = model.features, model.encoder
    return other


def collate(batch: list[Spoken]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Waves, their samples, letters (spaces behind shorter texts), and how many letters each has."""
    samples = torch.tensor([len(each.sound) for each in batch])
    waves = torch.zeros(len(batch), int(samples.max()))
    for row, each in zip(waves, batch, strict=True):
        row[: len(each.sound)] = torch.from_numpy(each.sound) / 32768
    letters = [torch.tensor([RUSSIAN.index(letter) for letter in each.text]) for each in batch]
    return waves, samples, pad_sequence(letters, batch_first=True), torch.tensor([*map(len, letters)])


def loss_of(model: Model, batch: list[Spoken], device: str) -> Tensor:
    """Mean loss a letter."""
    waves, samples, letters, counts = (part.to(device) for part in collate(batch))
    with torch.no_grad():
        features = model.features(waves)
    frames = model.features.frames(samples)
    encoded, ends = model.encoder(features, frames), halved(frames, 2)
    if isinstance(model.head, Transducer):
        logits = transducer_loss.along(model.head, encoded, letters)
        return (transducer_loss.loss(logits, letters, ends, counts) / counts).mean()
    scores = model.head(encoded).float().log_softmax(-1).transpose(0, 1)
    return torch.nn.functional.ctc_loss(scores, letters, ends, counts, blank=len(RUSSIAN), zero_infinity=True)


def rate_at(share: float, peak: float) -> float:
    """One cycle over the time given: a tenth of it up, the rest down along a cosine."""
    if share < 0.1:
        return peak * (0.05 + 9.5 * share)
    return peak * (0.5 + 0.5 * float(np.cos(np.pi * min(1.0, (share - 0.1) / 0.9)))) + 1e-6


def train(model: Model, corpus: list[Spoken], options: argparse.Namespace) -> None:
    """Learn until the time is over."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=options.rate, weight_decay=1e-3)
    begun, steps, epoch, smoothed_loss, reported_at = time.monotonic(), 0, 0, 0.0, time.process_time()
    while (share := (time.monotonic() - begun) / (options.minutes * 60)) < 1:
        for batch in batches(corpus, epoch, options.batch_s):
            share = (time.monotonic() - begun) / (options.minutes * 60)
            if share >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = rate_at(share, options.rate)
            loss = loss_of(model, batch, options.device)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            steps += 1
            smoothed_loss = 0.98 * smoothed_loss + 0.02 * loss.item() if smoothed_loss else loss.item()
            if steps % 50 == 0:
                print(f"{share:4.0%} epoch {epoch} step {steps} loss {smoothed_loss:.3f}", flush=True)
            if time.process_time() > reported_at + KEPT_EVERY_S:
                reported_at = time.process_time()
                write(model, options.out.with_suffix(".part"))
        epoch += 1


def write(model: Model, path: Path) -> None:
    """The published format, 16 bits a weight."""
    writing.save(model.config, writing.to_checkpoint_layout(model.state_dict()), path)


def word_errors(model: Model, held_out: list[Spoken]) -> float:
    """Share of wrong words in sentences that were not learned from, in a quiet room."""
    if isinstance(model.head, Transducer):
        model.head.tabulate()
    chance = np.random.default_rng(1)
    sounds = [disturbed(each, chance).sound for each in held_out]
    recognised = Recogniser(model).transcribe(sounds)
    return float(jiwer.wer([each.text for each in held_out], [speech.text for speech in recognised]))


def make_examples(count: int, seed: int) -> list[Spoken]:
    """So many sentences, spoken."""
    chance = random.Random(seed)
    return [speak(sentence(chance), chance) for _ in range(count)]


def hours(corpus: list[Spoken]) -> float:
    """How much sound it is."""
    return sum(len(each.sound) for each in corpus) / SAMPLE_RATE / 3600


def ready_to_learn(options: argparse.Namespace) -> Model:
    """The model to learn with; of a new transducer over a known encoder only the head learns."""
    model = fresh_model(options.width, options.layers) if options.fresh else load(options.start)
    if options.head == "rnnt" and not model.config.transducer:
        model = with_transducer(model, options.hidden)
    model.requires_grad_(True).encoder.requires_grad_(options.whole or options.fresh or options.head == "ctc")
    return model.train().to(options.device)


def main() -> None:
    """Make the sound, learn it, test it, write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--head", choices=OUT, default="ctc")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--start", type=Path, default=TOY, help="go on from this checkpoint")
    parser.add_argument("--fresh", action="store_true", help="begin from nothing")
    parser.add_argument("--whole", action="store_true", help="the encoder learns under a transducer too")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--sentences", type=int, default=9000)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=96, help="width of a transducer's networks")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--batch-s", type=float, default=40.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    options.out = options.out or OUT[options.head]
    torch.manual_seed(0)
    corpus, held_out = make_examples(options.sentences, seed=1), make_examples(150, seed=2)
    print(f"{len(VOCABULARY)} words, {len(corpus)} sentences, {hours(corpus):.2f} h", flush=True)
    model = ready_to_learn(options)
    train(model, corpus, options)
    model = model.to("cpu").eval().requires_grad_(False)
    wer = word_errors(model, held_out)
    print(f"word errors on {len(held_out)} held-out sentences: {wer:.1%}")
    if wer > WORST_WER:
        sys.exit(f"more than {WORST_WER:.0%}: nothing is written")
    write(model, options.out)
    options.out.with_suffix(".part").unlink(missing_ok=True)
    print(f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
