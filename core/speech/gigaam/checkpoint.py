"""A checkpoint file → a model, without running anything that the file carries.

The file is `{"cfg": omegaconf config, "state_dict": tensors}`. It is read with
`weights_only=True` and a short list of configuration types; a file that needs more is refused.
A file from the authors' trainer has no `cfg`: it names the published model that it was tuned from, which has
to lie beside it.
"""

from __future__ import annotations

import collections
import pickle
import typing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.speech.gigaam.config import ModelConfig, UnknownModel, read_config
from core.speech.gigaam.description import describe
from core.speech.gigaam.encoder import Encoder
from core.speech.gigaam.features import LogMel
from core.speech.gigaam.heads import CTCHead, Transducer
from core.speech.gigaam.tokens import Letters, Pieces, Tokenizer

State = dict[str, Tensor]


class Model(nn.Module):
    """Features, encoder and head of one checkpoint, with the tokenizer that reads its answers."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        width = config.encoder.d_model
        self.config, self.tokenizer = config, tokenizer
        self.features = LogMel(config.features)
        self.encoder = Encoder(config.encoder)
        self.head: CTCHead | Transducer = (
            Transducer(width, config.num_classes, config.transducer)
            if config.transducer
            else CTCHead(width, config.num_classes)
        )


def tokenizer_path(checkpoint: Path) -> Path:
    """Where the tokenizer of an end-to-end model lies: beside its checkpoint."""
    return checkpoint.with_name(checkpoint.stem + "_tokenizer.model")


def load(path: Path) -> Model:
    """Read a checkpoint, float32, ready for inference. Raise UnknownModel if it is not one."""
    description = describe(path)
    base = path.with_name(f"{description.base}.ckpt") if description and description.base else path
    cfg, state = read(base)
    if base != path:
        state = _tuned(path)
    config = read_config(cfg)
    model = Model(config, _tokenizer(config, base))
    try:
        model.load_state_dict(
            from_checkpoint_layout({name: weight.float() for name, weight in state.items()})
        )
    except RuntimeError as error:
        raise UnknownModel(reason="its weights do not fit its description") from error
    if isinstance(model.head, Transducer):
        model.head.tabulate()
    return model.eval().requires_grad_(False)


def read(path: Path) -> tuple[dict[str, Any], State]:
    """The configuration as plain containers, and the weights under the file's own names."""
    from omegaconf import OmegaConf  # noqa: PLC0415 - only files need it

    content = _content(path)
    try:
        cfg: Any = OmegaConf.to_container(content["cfg"], resolve=True)
        state: State = content["state_dict"]
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownModel(reason=STRANGE) from error
    return cfg, state


MODEL = ("preprocessor.", "encoder.", "head.")
"""How the model's own weights begin in a file of the trainer."""


def _tuned(path: Path) -> State:
    """The weights of a file from the trainer."""
    state: State = _content(path)["state_dict"]
    return {name: weight for name, weight in state.items() if name.startswith(MODEL)}


STRANGE = "it is not a GigaAM checkpoint"


def _content(path: Path) -> dict[str, Any]:
    from omegaconf import DictConfig, ListConfig  # noqa: PLC0415 - only files need it
    from omegaconf.base import ContainerMetadata, Metadata  # noqa: PLC0415
    from omegaconf.nodes import AnyNode  # noqa: PLC0415

    shapes = [DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode]
    plain = [typing.Any, dict, list, int, collections.defaultdict]
    try:
        with torch.serialization.safe_globals([*shapes, *plain]):
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError, ValueError) as error:
        raise UnknownModel(reason=STRANGE) from error
    return content


def _tokenizer(config: ModelConfig, path: Path) -> Tokenizer:
    if config.vocabulary:
        tokenizer: Tokenizer = Letters(config.vocabulary)
    elif tokenizer_path(path).exists():
        tokenizer = _pieces(tokenizer_path(path))
    else:
        raise UnknownModel(reason=f"{tokenizer_path(path).name} is not beside it")
    if len(tokenizer) + 1 != config.num_classes:
        raise UnknownModel(reason="its tokenizer belongs to another model")
    return tokenizer


def _pieces(path: Path) -> Pieces:
    """No sum of tokenizers is published, so that a page of some network's login may lie there."""
    try:
        return Pieces(str(path))
    except RuntimeError as error:
        raise UnknownModel(
            reason=f"{path.name} beside it is damaged; delete it and fetch it again"
        ) from error


RENAMED = {
    "preprocessor.featurizer.0.spectrogram.window": "features.window",
    "preprocessor.featurizer.0.mel_scale.fb": "features.mel",
    "head.decoder_layers.0.": "head.decoder_layers.",
    "head.decoder.": "head.",
    "head.joint.joint_net.1.": "head.joint.",
    "head.joint.pred.": "head.pred.",
    "head.joint.enc.": "head.enc.",
    ".conv.batch_norm.": ".conv.norm.",
}
"""Beginnings or parts of the file's names → ours, in the order they are tried."""

POINTWISE = ("pointwise_conv1.weight", "pointwise_conv2.weight", "head.decoder_layers.weight")
"""Convolutions of width 1: linear maps with a needless last dimension."""


NORM_EPSILON = 1e-5
"""What torch's batch norm adds to a variance."""


def from_checkpoint_layout(state: State) -> State:
    """The file's weights in the shape our modules hold them: fewer, fused where that is faster."""
    named = {_renamed(name): weight for name, weight in state.items()}
    for name in [name for name in named if name.endswith(POINTWISE)]:
        named[name] = named[name].squeeze(-1)
    for name in [name for name in named if ".self_attn.linear_q." in name]:
        q, k = named.pop(name), named.pop(name.replace("linear_q", "linear_k"))
        named[name.replace("linear_q", "linear_qk")] = torch.cat([q, k])
    for name in [name for name in named if name.endswith(".conv.norm.running_mean")]:
        _fold_norm(named, name.removesuffix("norm.running_mean"))
    return named


def _renamed(name: str) -> str:
    for file_name, own_name in RENAMED.items():
        if name.startswith(file_name) or (file_name.startswith(".") and file_name in name):
            return name.replace(file_name, own_name)
    return name


def _fold_norm(state: State, conv: str) -> None:
    """Fold a batch norm, at inference only a scale and a shift, into the depthwise convolution before it."""
    mean, variance = state.pop(conv + "norm.running_mean"), state.pop(conv + "norm.running_var")
    weight, bias = state.pop(conv + "norm.weight"), state.pop(conv + "norm.bias")
    state.pop(conv + "norm.num_batches_tracked", None)
    scale = weight / torch.sqrt(variance + NORM_EPSILON)
    kernel, shift = conv + "depthwise_conv.weight", conv + "depthwise_conv.bias"
    state[kernel] = state[kernel] * scale[:, None, None]
    state[shift] = (state[shift] - mean) * scale + bias
