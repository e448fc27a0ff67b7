"""Silero's voice detector (16 kHz), computed with NumPy from the weights in its wheel.

ONNX Runtime multiplies the small matrices of one frame after the other, and leaves most of a core unused;
here the convolutions of many frames are one product. What it computes is the same to the fourth digit. The
package itself is not imported, as it imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FRAME = 512
"""Samples of a frame, 32 ms."""
CONTEXT = 64
"""Samples before a frame with which it is heard."""
_HOP, _SPECTRUM = 128, 256
"""A frame has four spectra; the last one is completed by the frame's own end, mirrored."""
_SIZE = 128
"""Numbers that describe a frame, and that the recurrent layer remembers."""
_BLOCK = 256
"""Frames whose spectra are computed together: those of more do not fit into a core's own cache."""


class Detector:
    """How likely frames are speech. `weights` are the tensors of the ONNX model by their names there."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._convolutions = [
            (weights[f"encoder.{n}.weight"].transpose(2, 1, 0).copy(), weights[f"encoder.{n}.bias"])
            for n in range(4)
        ]
        self._hann = weights["stft.forward_basis_buffer"][0, 0]  # the row of 0 Hz is the window alone
        self._of_frame = _gates(weights["onnx::LSTM_209"][0])
        self._of_memory = _gates(weights["onnx::LSTM_210"][0]) / np.float32(2)
        self._bias = _gates(weights["onnx::LSTM_211"].reshape(2, -1).sum(axis=0))
        self._out, self._out_bias = weights["output.weight"].reshape(_SIZE) / 2, weights["output.bias"]

    def listen(self, samples: Floats, memory: Memory) -> Floats:
        """The probability of each frame: `CONTEXT` samples of what was before, then whole frames, ±1.

        `memory` is of the frames before, and of these afterwards.
        """
        count = (len(samples) - CONTEXT) // FRAME
        described = np.empty((count, _SIZE), np.float32)
        for first in range(0, count, _BLOCK):
            block = samples[first * FRAME : (first + _BLOCK) * FRAME + CONTEXT]
            described[first : first + _BLOCK] = self._encoded(self._spectra(block))
        remembered = self._remembered(described, memory)
        logits = np.maximum(remembered, 0, out=remembered) @ self._out + self._out_bias
        return cast("Floats", 1 / (1 + np.exp(-logits)))

    def _spectra(self, samples: Floats) -> Floats:
        """The magnitudes [4, frames, 129] of frames."""
        from scipy.fft import rfft  # noqa: PLC0415 - pages import this; numpy's takes twice as long

        count, step = (len(samples) - CONTEXT) // FRAME, samples.itemsize
        windows = np.empty((4, count, _SPECTRUM), np.float32)
        shape = (3, count, _SPECTRUM)
        inside = as_strided(samples, shape, (_HOP * step, FRAME * step, step), writeable=False)
        np.multiply(inside, self._hann, out=windows[:3])
        whole = _SPECTRUM - CONTEXT
        ends = as_strided(samples[3 * _HOP :], (count, whole), (FRAME * step, step), writeable=False)
        np.multiply(ends, self._hann[:whole], out=windows[3, :, :whole])
        mirrored = ends[:, -2 : -2 - CONTEXT : -1]
        np.multiply(mirrored, self._hann[whole:], out=windows[3, :, whole:])
        parts = rfft(windows, axis=-1).view(np.float32)
        np.square(parts, out=parts)
        power: Floats = parts[..., ::2] + parts[..., 1::2]
        return np.sqrt(power, out=power)

    def _encoded(self, spectra: Floats) -> Floats:
        """What four convolutions over the spectra of each frame leave of them: [frames, 128]."""
        (before, here, after), bias = self._convolutions[0]
        first = spectra @ here
        first[1:] += spectra[:-1] @ before
        first[:-1] += spectra[1:] @ after
        _rectify(first, bias)
        (before, here, after), bias = self._convolutions[1]  # of every other spectrum
        second = first[::2] @ here
        second += first[1::2] @ after
        second[1] += first[1] @ before
        _rectify(second, bias)
        (_, here, after), bias = self._convolutions[2]
        third = _rectify(second[0] @ here + second[1] @ after, bias)
        (_, here, _), bias = self._convolutions[3]
        return _rectify(third @ here, bias)

    def _remembered(self, described: Floats, memory: Memory) -> Floats:
        """Twice what the recurrent layer says of each frame, one after the other.

        It remembers a minute and more, so that starting it at several places at once would change what it
        finds. A step is eight calls of NumPy: gates and cell lie side by side to be computed together.
        """
        of_frames = described @ self._of_frame
        of_frames += self._bias
        said, of_memory = np.empty_like(described), self._of_memory
        state = np.empty(5 * _SIZE, np.float32)
        gates, doubled, out = state[: 4 * _SIZE], state[: 3 * _SIZE], state[:_SIZE]
        shares, parts, cell = state[_SIZE : 3 * _SIZE], state[3 * _SIZE :], state[4 * _SIZE :]
        products = np.empty(2 * _SIZE, np.float32)
        old, new, squashed = products[_SIZE:], products[:_SIZE], np.empty(_SIZE, np.float32)
        last, cell[:] = memory.said, memory.cell
        half, one = np.float32(0.5), np.float32(1)
        dot, add, multiply, tanh = np.dot, np.add, np.multiply, np.tanh
        for of_frame, says in zip(of_frames, said, strict=True):
            dot(last, of_memory, gates)
            add(gates, of_frame, gates)
            tanh(gates, gates)
            add(doubled, one, doubled)
            multiply(shares, parts, products)
            add(old, new, cell)
            multiply(cell, half, cell)
            tanh(cell, squashed)
            multiply(out, squashed, says)
            last = says
        memory.said, memory.cell = last.copy(), cell.copy()
        return said


class Memory:
    """What the recurrent layer keeps of all frames so far."""

    def __init__(self) -> None:
        self.said = np.zeros(_SIZE, np.float32)
        self.cell = np.zeros(_SIZE, np.float32)


@cache
def detector() -> Detector:
    """The one of this process, which computes on one thread from now on.

    OpenBLAS's threads wait for each other by turning round: on a busy machine they took ten times as much.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - it looks through all loaded libraries

    package = find_spec("silero_vad")
    assert package
    assert package.origin
    model = Path(package.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
    threadpool_limits(1, user_api="blas")
    return Detector(_weights(model.read_bytes()))


def _rectify(values: Floats, bias: Floats) -> Floats:
    """In place."""
    values += bias
    return np.maximum(values, 0, out=values)


def _gates(weights: Floats) -> Floats:
    """Weights of ONNX's gates, in, out, forget and cell, as ours: out, in, forget, cell, from left to right.

    All four through tanh at once: sigmoid(x) = (1 + tanh(x / 2)) / 2.
    """
    inward, outward, forget, cell = np.split(weights, 4)
    return np.concatenate([outward / 2, inward / 2, forget / 2, cell]).T.copy()


def _weights(model: bytes) -> dict[str, Floats]:
    """The tensors of an ONNX file by name, read without its package, which takes as long as the rest."""
    (graph,) = _values(model, 7)
    tensors = {}
    for tensor in _values(graph, 5):
        (name,), (numbers,) = _values(tensor, 8), _values(tensor, 9)
        tensors[name.decode()] = np.frombuffer(numbers, np.float32).reshape(_values(tensor, 1))
    return tensors


def _values(message: bytes, field: int) -> list[Any]:
    """All values of a field of a Protocol Buffers message that holds integers and bytes."""
    return [value for key, value in _fields(message) if key == field]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(message):
        key, place = _integer(message, place)
        size, place = _integer(message, place)
        if key & 7 == 2:
            yield key >> 3, message[place : place + size]
            place += size
        else:
            yield key >> 3, size


def _integer(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while message[place] > 127:
        value |= (message[place] & 127) << shift
        place, shift = place + 1, shift + 7
    return value | message[place] << shift, place + 1
