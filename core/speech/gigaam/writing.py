"""A model → a checkpoint file in the published format, so that what is made here loads anywhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.speech.gigaam.checkpoint import POINTWISE, RENAMED, State
from core.speech.gigaam.config import ModelConfig


def save(config: ModelConfig, state: State, path: Path) -> None:
    """Write weights in the file's own names (`to_checkpoint_layout`), 16 bits each, described."""
    from omegaconf import OmegaConf  # noqa: PLC0415 - only files need it

    halves = {name: weight.half() for name, weight in state.items()}
    torch.save({"cfg": OmegaConf.create(describe(config)), "state_dict": halves}, path)


def describe(config: ModelConfig) -> dict[str, Any]:
    """The configuration as published files have it, with the class names that hydra would look for."""
    head: dict[str, Any] = {"_target_": "gigaam.decoder.CTCHead"}
    decoding = {"_target_": "gigaam.decoding.CTCGreedyDecoding"}
    if config.transducer:
        head, decoding = _transducer(config), {"_target_": "gigaam.decoding.RNNTGreedyDecoding"}
    else:
        head |= {"feat_in": config.encoder.d_model, "num_classes": config.num_classes}
    return {
        "model_name": config.name,
        "model_class": "asr",
        "sample_rate": 16000,
        "preprocessor": _preprocessor(config),
        "encoder": _encoder(config),
        "head": head,
        "decoding": decoding | {"vocabulary": list(config.vocabulary) if config.vocabulary else None},
    }


def _preprocessor(config: ModelConfig) -> dict[str, Any]:
    """v2's feature extractor takes no settings of windows."""
    fields = {"_target_": "gigaam.preprocess.FeatureExtractor", "sample_rate": 16000}
    if config.features.center:
        return fields | {"features": config.features.features}
    return fields | asdict(config.features) | {"mel_scale": "htk"}


def _encoder(config: ModelConfig) -> dict[str, Any]:
    """v2's encoder takes no settings of subsampling and norm."""
    fields = asdict(config.encoder)
    if config.encoder.subsampling == "conv2d":
        for name in ("subsampling", "subs_kernel_size", "conv_norm_type"):
            del fields[name]
    target = {"_target_": "gigaam.encoder.ConformerEncoder"}
    return target | fields | {"flash_attn": False}


def _transducer(config: ModelConfig) -> dict[str, Any]:
    assert config.transducer is not None
    shape, classes = asdict(config.transducer), config.num_classes
    hidden = {"pred_hidden": shape["pred_hidden"], "num_classes": classes}
    joint = {"enc_hidden": config.encoder.d_model, "joint_hidden": shape["joint_hidden"]}
    return {
        "_target_": "gigaam.decoder.RNNTHead",
        "decoder": hidden | {"pred_rnn_layers": shape["pred_rnn_layers"]},
        "joint": hidden | joint,
    }


def to_checkpoint_layout(state: State) -> State:
    """Our weights under the file's names, a folded norm still folded; undoes `from_checkpoint_layout`."""
    named: State = {}
    for name, weight in state.items():
        for each, part in _split(name, weight):
            named[_file_name(each)] = part.unsqueeze(-1) if each.endswith(POINTWISE) else part
    return named


def _split(name: str, weight: Tensor) -> list[tuple[str, Tensor]]:
    """Queries and keys lie apart in the file."""
    if "linear_qk" not in name:
        return [(name, weight)]
    parts = zip(("linear_q", "linear_k"), weight.chunk(2), strict=True)
    return [(name.replace("linear_qk", own_name), part.clone()) for own_name, part in parts]


def _file_name(name: str) -> str:
    """`head.joint.` is tried before the shorter `head.`, as more than one of ours may fit."""
    reverse = sorted(((own_name, file) for file, own_name in RENAMED.items()), key=lambda pair: -len(pair[0]))
    for own_name, file in reverse:
        if name.startswith(own_name) or (own_name.startswith(".") and own_name in name):
            return name.replace(own_name, file)
    return name
