"""What a checkpoint says about its model, as plain frozen objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import Code, Rejected
from core.speech.gigaam.download import in_pieces

NO_HEAD = "it is an encoder only and says no words"


class UnknownModel(Rejected):
    """The checkpoint describes a model of another kind."""

    code = Code.MODEL_UNSUPPORTED


@dataclass(frozen=True)
class FeatureConfig:
    """Log-mel settings; lengths in samples. `center` reflects half a window at both ends (v2)."""

    features: int = 64
    n_fft: int = 320
    win_length: int = 320
    hop_length: int = 160
    center: bool = False


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the conformer."""

    feat_in: int = 64
    n_layers: int = 16
    d_model: int = 768
    subsampling: str = "conv1d"
    subs_kernel_size: int = 5
    subsampling_factor: int = 4
    ff_expansion_factor: int = 4
    n_heads: int = 16
    pos_emb_max_len: int = 5000
    conv_kernel_size: int = 5
    conv_norm_type: str = "layer_norm"
    self_attention_model: str = "rotary"
    """Positions that rotate the input (v2 and later), or distances that have weights of their own (v1)."""


@dataclass(frozen=True)
class TransducerConfig:
    """Shape of the prediction network and of the joint."""

    pred_hidden: int = 320
    joint_hidden: int = 320
    pred_rnn_layers: int = 1


@dataclass(frozen=True)
class ModelConfig:
    """The whole model. No `transducer`: a CTC head. No `vocabulary`: a tokenizer file lies beside."""

    name: str
    features: FeatureConfig
    encoder: EncoderConfig
    num_classes: int
    transducer: TransducerConfig | None = None
    vocabulary: tuple[str, ...] | None = None


def _known(kind: type[Any], fields: Mapping[str, Any], **defaults: object) -> Any:
    """Build a config from the fields it knows; hydra's `_target_` and training knobs are left aside."""
    names = kind.__dataclass_fields__
    return kind(**defaults | {key: value for key, value in fields.items() if key in names})


def read_config(cfg: Mapping[str, Any]) -> ModelConfig:
    """The config of a checkpoint (those before v3 leave out what v3 made variable)."""
    if not ("head" in cfg and "decoding" in cfg):
        raise UnknownModel(reason=NO_HEAD)
    if cfg["encoder"].get("self_attention_model", "rotary") not in {"rotary", "rel_pos"}:
        raise UnknownModel(reason="its attention is of another kind")
    transducer, num_classes = _head(cfg["head"])
    letters = tuple(cfg["decoding"].get("vocabulary") or ()) or None
    vocabulary = None if in_pieces(cfg["model_name"]) else letters
    return ModelConfig(
        name=cfg["model_name"],
        features=_features(cfg["preprocessor"]),
        encoder=_encoder(cfg["encoder"]),
        num_classes=num_classes,
        transducer=transducer,
        vocabulary=vocabulary,
    )


def _features(fields: Mapping[str, Any]) -> FeatureConfig:
    """v2: windows of 25 ms, centred; v3 names its own."""
    window = fields["sample_rate"] // 40
    hop = fields["sample_rate"] // 100
    v2 = {"n_fft": window, "win_length": window, "hop_length": hop, "center": True}
    config: FeatureConfig = _known(FeatureConfig, fields, **v2)
    return config


def _encoder(fields: Mapping[str, Any]) -> EncoderConfig:
    v2 = {
        "subsampling": "conv2d",
        "subs_kernel_size": 3,
        "conv_kernel_size": 31,
        "conv_norm_type": "batch_norm",
    }
    config: EncoderConfig = _known(EncoderConfig, fields, **v2)
    return config


def _head(fields: Mapping[str, Any]) -> tuple[TransducerConfig | None, int]:
    """A transducer's head has a `joint`, a CTC one has `num_classes` of its own."""
    if "joint" not in fields and "num_classes" not in fields:
        raise UnknownModel(reason=NO_HEAD)  # a classifier of moods
    if "joint" not in fields:
        return None, int(fields["num_classes"])
    shape = {**fields["decoder"], **fields["joint"]}
    return _known(TransducerConfig, shape), int(fields["joint"]["num_classes"])
