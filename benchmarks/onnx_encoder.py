"""The encoder by ONNX Runtime: exported once for any length, in float32 and in dynamic int8.

Needs onnx and onnxscript (`tools/requirements-dev.txt`); the tool itself needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from core.speech.gigaam.encoder import Encoder

Encode = Callable[[Tensor], Tensor]
"""Features, float32 [1, mel, frames] → encoded [1, time, width]."""


class _OneSegment(nn.Module):
    """The encoder as a CPU runs it: one segment at a time, without a mask."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor) -> Tensor:
        return self.encoder(features, None)


def export(encoder: Encoder, folder: Path) -> Path:
    """Write `encoder.onnx`, float32."""
    path = folder / "encoder.onnx"
    torch.onnx.export(
        _OneSegment(encoder).eval(),
        (torch.zeros(1, encoder.config.feat_in, 1500),),
        path,
        input_names=["features"],
        output_names=["encoded"],
        dynamic_shapes={"features": {2: torch.export.Dim("frames", min=16, max=4000)}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path


def in_int8(exact: Path) -> Path:
    """The same with the weights of all products in int8, a scale an output; sound is scaled as it passes.

    Convolutions stay in float32, as in ours.
    """
    path = exact.with_name("encoder.int8.onnx")
    quantize_dynamic(
        exact, path, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8
    )
    return path


def opened(path: Path) -> Encode:
    """A session on a CPU with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # counted as work otherwise
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def encode(features: Tensor) -> Tensor:
        (encoded,) = session.run(None, {"features": np.ascontiguousarray(features.numpy())})
        return torch.from_numpy(encoded)

    return encode
