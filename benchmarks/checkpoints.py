"""Random models of every published kind, in the real format and (unless tiny) in the real size.

Their words are noise, their speed is real: a bias on blank makes them emit about as many tokens a
second as speech does.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.gigaam import greedy, writing
from core.speech.gigaam.checkpoint import Model, State, tokenizer_path
from core.speech.gigaam.config import EncoderConfig, FeatureConfig, ModelConfig, TransducerConfig
from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.tokens import Letters
from core.speech.gigaam.transducer import Search

RUSSIAN = (" ", *"абвгдежзийклмнопрстуфхцчшщъыьэюя")
TOKENS_A_SECOND = {"letters": 12.0, "pieces": 5.0}
MULTILINGUAL = (" ", "'", *"abcdefghijklmnopqrstuvwxyz", "ё", *RUSSIAN[1:], *"әғқңөұүһі")
"""The 70 letters of the multilingual models, as public conversions list them; their order is not known."""
PIECES = {"v1_rnnt": 512, "v3_e2e_ctc": 256, "v3_e2e_rnnt": 1024}

V2_FEATURES = FeatureConfig(n_fft=400, win_length=400, center=True)
V2_ENCODER = EncoderConfig(
    subsampling="conv2d", subs_kernel_size=3, conv_kernel_size=31, conv_norm_type="batch_norm"
)


def describe(name: str, *, tiny: bool = False) -> ModelConfig:
    """The published configuration of a model; tiny keeps all but the size."""
    v2 = name.startswith(("v1", "v2"))
    encoder = V2_ENCODER if v2 else EncoderConfig()
    if name.startswith("v1"):
        encoder = replace(encoder, self_attention_model="rel_pos")
    if name.startswith("multilingual_large"):
        encoder = replace(encoder, n_layers=24, d_model=1024)
    letters = MULTILINGUAL if name.startswith("multilingual") else RUSSIAN
    shape = TransducerConfig() if "rnnt" in name else None
    if tiny:
        encoder = replace(encoder, d_model=64, n_layers=2, n_heads=4)
    return ModelConfig(
        name=name,
        features=V2_FEATURES if v2 else FeatureConfig(),
        encoder=encoder,
        num_classes=PIECES.get(name, len(letters)) + 1,
        transducer=shape,
        vocabulary=None if name in PIECES else letters,
    )


def build(
    name: str, folder: Path, *, tiny: bool = False, seed: int = 0, sounds: Sequence[Waveform] | None = None
) -> Path:
    """Write `<name>.ckpt` and, for end-to-end models, its tokenizer; answer the checkpoint's path.

    `sounds` are those on which the model emits as many tokens a second as speech has.
    """
    model = random_model(name, tiny=tiny, seed=seed, sounds=sounds)
    config = model.config
    path = folder / f"{name}.ckpt"
    writing.save(config, _with_norms(writing.to_checkpoint_layout(model.state_dict()), config), path)
    if name in PIECES:
        tokenizer_path(path).write_bytes(pieces(PIECES[name]))
    return path


def random_model(
    name: str, *, tiny: bool = False, seed: int = 0, sounds: Sequence[Waveform] | None = None
) -> Model:
    """The model alone, without a file; pieces are then plain made-up syllables."""
    torch.manual_seed(seed)
    config = describe(name, tiny=tiny)
    tokens = [f"▁{number}" for number in range(config.num_classes - 1)]
    model = Model(config, Letters(config.vocabulary or tokens)).eval().requires_grad_(False)
    model.features.window.copy_(torch.hann_window(config.features.win_length))
    model.features.mel.copy_(mel_matrix(config.features))
    sounds = [noise(5)] if sounds is None else list(sounds)
    with torch.inference_mode():
        features = [model.features(torch.from_numpy(sound).float()[None] / 32768) for sound in sounds]
        encoded = [model.encoder(each, None) for each in features]
    _liven(model, encoded)
    seconds = sum(map(len, sounds)) / SAMPLE_RATE
    _quieten(model, encoded, seconds * TOKENS_A_SECOND["pieces" if name in PIECES else "letters"])
    return model


def mel_matrix(config: FeatureConfig) -> torch.Tensor:
    """Triangles on the mel scale 2595 · log10(1 + f / 700), [bins, features]."""
    bins = torch.linspace(0, 8000, config.n_fft // 2 + 1)
    top = 2595 * math.log10(1 + 8000 / 700)
    corners = 700 * (10 ** (torch.linspace(0, top, config.features + 2) / 2595) - 1)
    rise = (bins[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    fall = (corners[2:] - bins[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rise, fall).clamp(min=0)


def _liven(model: Model, encoded: list[Tensor]) -> None:
    """Make the head listen to what changes from frame to frame: a random encoder mostly repeats itself."""
    transducer = model.head if isinstance(model.head, Transducer) else None
    listening = transducer.enc if transducer else model.head.decoder_layers
    frames = torch.cat([each[0] for each in encoded])
    mean, spread = frames.mean(0), (frames - frames.mean(0)).std()
    listening.weight.mul_(3 / spread)
    listening.bias.copy_(-(listening.weight @ mean))
    if transducer:
        transducer.joint.weight.mul_(4)
        transducer.embed.weight[transducer.blank] = 0
        transducer.tabulate()


def noise(seconds: int) -> Waveform:
    """Noise that swells and fades as speech does, int16."""
    swell = 3000 * np.abs(np.sin(np.arange(seconds * SAMPLE_RATE) / 4000))
    return (np.random.default_rng(0).normal(0, 1, len(swell)) * swell).astype(np.int16)


def _quieten(model: Model, encoded: list[Tensor], target: float) -> None:
    """Find by bisection the bias on blank that lets about so many tokens through."""
    head = model.head.joint if isinstance(model.head, Transducer) else model.head.decoder_layers
    low, high, tried = head.bias[-1].item(), head.bias[-1].item() + 400, []
    for _ in range(20):
        bias = (low + high) / 2
        head.bias[-1] = bias
        count = sum(_tokens(model, each) for each in encoded)
        tried.append((abs(count - target), bias))
        low, high = (bias, high) if count > target else (low, bias)
    head.bias[-1] = min(tried)[1]


def _tokens(model: Model, encoded: Tensor) -> int:
    """How many tokens come out of one encoded sample."""
    ends = torch.tensor([encoded.size(1)])
    if isinstance(model.head, Transducer):
        return len(Search(model.head)(encoded, ends)[0].tokens)
    return len(greedy.ctc(model.head(encoded), ends)[0].tokens)


def _with_norms(state: State, config: ModelConfig) -> State:
    """v2 files carry batch norms, which our modules have folded away."""
    if config.encoder.conv_norm_type != "batch_norm":
        return state
    width = config.encoder.d_model
    for layer in range(config.encoder.n_layers):
        norm = f"encoder.layers.{layer}.conv.batch_norm."
        state |= {
            norm + "weight": torch.rand(width) + 0.5,
            norm + "bias": torch.randn(width) * 0.1,
            norm + "running_mean": torch.randn(width) * 0.1,
            norm + "running_var": torch.rand(width) + 0.5,
            norm + "num_batches_tracked": torch.tensor(1),
        }
    return state


def pieces(count: int) -> bytes:
    """A sentencepiece model of so many pieces, trained on made-up words."""
    from sentencepiece import SentencePieceTrainer  # noqa: PLC0415

    chance = random.Random(0)
    syllables = [a + b for a in "бвгдклмнпрст" for b in "аеиоуя"]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(4000)]
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(" ".join(words[i : i + 8]) for i in range(0, 4000, 8)),
        model_writer=model,
        vocab_size=count,
        model_type="bpe",
        minloglevel=2,
        num_threads=1,
        bos_id=-1,
        eos_id=-1,
    )
    return model.getvalue()
