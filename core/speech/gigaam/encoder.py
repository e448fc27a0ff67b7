"""The conformer: features → encoded frames of 40 ms.

Two facts of this family shape the attention: positions rotate the layer's *input*, head by head,
before the projections, so queries and keys share one projection of the rotated input, while values
are projected from the input as it is. Padding is masked as keys only: a query row of padding
then still sees sound, and never turns to NaN. Models of the first version know distances instead of
positions, as Transformer-XL does (Dai et al. 2019, section 3.3).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor, nn

from core.speech.gigaam.config import EncoderConfig, UnknownModel


def halved(lengths: Tensor, times: int) -> Tensor:
    """Frames left after so many convolutions of stride 2 with half-kernel padding."""
    for _ in range(times):
        lengths = (lengths + 1) // 2
    return lengths


def blank_tail(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Zero what lies behind each sample's end, along dimension 2; None means that there is nothing."""
    if lengths is None:
        return x
    behind = torch.arange(x.size(2), device=x.device) >= lengths[:, None]
    return x.masked_fill(behind.view(behind.shape[0], 1, -1, *[1] * (x.dim() - 3)), 0.0)


class Subsampling(nn.Module):
    """Strided convolutions over time (v3) or over time and mel bands (v2)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        if config.subsampling not in {"conv1d", "conv2d"}:
            raise UnknownModel(reason=f"its subsampling is {config.subsampling}")
        self.planar = config.subsampling == "conv2d"
        self.stages = int(math.log2(config.subsampling_factor))
        kind = nn.Conv2d if self.planar else nn.Conv1d
        kernel, width = config.subs_kernel_size, config.d_model
        layers: list[nn.Module] = []
        for stage in range(self.stages):
            before = width if stage else (1 if self.planar else config.feat_in)
            layers += [kind(before, width, kernel, stride=2, padding=(kernel - 1) // 2), nn.ReLU()]
        self.conv = nn.Sequential(*layers)
        bands = int(halved(torch.tensor(config.feat_in), self.stages))
        self.out = nn.Linear(width * bands, width) if self.planar else nn.Identity()

    def forward(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        """Features [batch, mel, frames] → [batch, frames / factor, width]."""
        x = features.transpose(1, 2).unsqueeze(1) if self.planar else features
        x = blank_tail(x, lengths)
        for stage in range(self.stages):
            x = F.relu(self.conv[2 * stage](x))
            x = blank_tail(x, None if lengths is None else halved(lengths, stage + 1))
        x = x.transpose(1, 2)
        return self.out(x.flatten(2) if self.planar else x)  # type: ignore[no-any-return]


class Rotary(nn.Module):
    """Cosines and sines of positions, shape [positions, head width] each."""

    cos: Tensor
    sin: Tensor

    def __init__(self, width: int, positions: int, base: float) -> None:
        super().__init__()
        frequencies = base ** -(torch.arange(0, width, 2).float() / width)
        angles = torch.outer(torch.arange(positions).float(), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rotate x [batch, time, heads, head width] by its place in time."""
        time, half = x.size(1), x.size(3) // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
        cos, sin = self.cos[:time, None].to(x.dtype), self.sin[:time, None].to(x.dtype)
        return x * cos + turned * sin


class Distances(nn.Module):
    """Sines and cosines of the distances of so many frames, from the farthest before to the last behind."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """X [batch, time, width] → [2 · time - 1, width]."""
        time = x.size(1)
        steps = torch.arange(0, self.width, 2, device=x.device).float()
        distances = torch.arange(time - 1, -time, -1, device=x.device).float()
        angles = torch.outer(distances, torch.exp(steps * (-math.log(10000.0) / self.width)))
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(x.dtype)


class DistanceAttention(nn.Module):
    """Self-attention in which a key also counts by how far away it is."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads, width = config.n_heads, config.d_model
        self.linear_qk = nn.Linear(width, 2 * width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(self.heads, width // self.heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(self.heads, width // self.heads))

    def forward(self, x: Tensor, positions: Distances, keys: Tensor | None) -> Tensor:
        """X [batch, time, width]; keys: True where there is sound, [batch, 1, 1, time], or None."""
        heads = (x.size(0), x.size(1), self.heads, -1)
        q, k = (part.view(heads) for part in self.linear_qk(x).chunk(2, dim=-1))
        k, v = k.transpose(1, 2), self.linear_v(x).view(heads).transpose(1, 2)
        far = self.linear_pos(positions(x)).view(-1, self.heads, q.size(3)).permute(1, 2, 0)
        by_content, by_distance = ((q + bias).transpose(1, 2) for bias in (self.pos_bias_u, self.pos_bias_v))
        weights = _by_key(by_distance @ far) / math.sqrt(q.size(3))
        if keys is not None:
            weights = weights.masked_fill(~keys, -math.inf)
        mixed = F.scaled_dot_product_attention(by_content, k, v, attn_mask=weights)
        return self.linear_out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _by_key(scores: Tensor) -> Tensor:
    """Scores by distance [batch, heads, time, 2 · time - 1] → by key [batch, heads, time, time]."""
    batch, heads, time, _ = scores.shape
    shifted = F.pad(scores, (1, 0)).view(batch, heads, -1, time)[:, :, 1:]
    return shifted.reshape(batch, heads, time, -1)[..., :time]


class Attention(nn.Module):
    """Self-attention whose queries and keys come from one projection of the rotated input."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.n_heads
        self.linear_qk = nn.Linear(config.d_model, 2 * config.d_model)
        self.linear_v = nn.Linear(config.d_model, config.d_model)
        self.linear_out = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, rotary: Rotary, keys: Tensor | None) -> Tensor:
        """X [batch, time, width]; keys: True where there is sound, [batch, 1, 1, time], or None."""
        heads = (x.size(0), x.size(1), self.heads, -1)
        rotated = rotary(x.view(heads)).flatten(2)
        q, k = (part.view(heads).transpose(1, 2) for part in self.linear_qk(rotated).chunk(2, dim=-1))
        v = self.linear_v(x).view(heads).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        return self.linear_out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """Gated pointwise, depthwise, pointwise; v2's batch norm is folded into the depthwise at loading."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, kernel = config.d_model, config.conv_kernel_size
        self.pointwise_conv1 = nn.Linear(width, 2 * width)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2, groups=width)
        self.norm = nn.LayerNorm(width) if config.conv_norm_type == "layer_norm" else nn.Identity()
        self.pointwise_conv2 = nn.Linear(width, width)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """X [batch, time, width]; what lies behind a sample's end is kept out of its last frames."""
        gated = F.glu(self.pointwise_conv1(x), dim=-1).transpose(1, 2)
        near = self.depthwise_conv(blank_tail(gated, lengths)).transpose(1, 2)
        return self.pointwise_conv2(F.silu(self.norm(near)))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear maps with a SiLU between."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.linear1 = nn.Linear(config.d_model, config.d_model * config.ff_expansion_factor)
        self.linear2 = nn.Linear(config.d_model * config.ff_expansion_factor, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """X [batch, time, width] → the same shape."""
        return self.linear2(F.silu(self.linear1(x)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward: a conformer block."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.norm_feed_forward1 = nn.LayerNorm(config.d_model)
        self.feed_forward1 = FeedForward(config)
        self.norm_self_att = nn.LayerNorm(config.d_model)
        rotary = config.self_attention_model == "rotary"
        self.self_attn = Attention(config) if rotary else DistanceAttention(config)
        self.norm_conv = nn.LayerNorm(config.d_model)
        self.conv = Convolution(config)
        self.norm_feed_forward2 = nn.LayerNorm(config.d_model)
        self.feed_forward2 = FeedForward(config)
        self.norm_out = nn.LayerNorm(config.d_model)

    def forward(
        self, x: Tensor, positions: Rotary | Distances, keys: Tensor | None, lengths: Tensor | None
    ) -> Tensor:
        """X [batch, time, width] → the same shape."""
        x = x + 0.5 * self.feed_forward1(self.norm_feed_forward1(x))
        x = x + self.self_attn(self.norm_self_att(x), positions, keys)
        x = x + self.conv(self.norm_conv(x), lengths)
        x = x + 0.5 * self.feed_forward2(self.norm_feed_forward2(x))
        return self.norm_out(x)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Subsampling and the stack of conformer layers."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.pre_encode = Subsampling(config)
        # The rotation's base is the number of positions: so it is in the models' training.
        positions = config.pos_emb_max_len
        self.positions: Rotary | Distances = (
            Rotary(config.d_model // config.n_heads, positions, float(positions))
            if config.self_attention_model == "rotary"
            else Distances(config.d_model)
        )
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))

    def forward(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        """Features [batch, mel, frames] → encoded [batch, frames / 4, width].

        `lengths` [batch] counts the frames of each sample that are sound; None: all are.
        """
        x = self.pre_encode(features, lengths)
        if lengths is None:
            ends, keys = None, None
        else:
            ends = halved(lengths, self.pre_encode.stages)
            keys = (torch.arange(x.size(1), device=x.device) < ends[:, None])[:, None, None]
        for layer in self.layers:
            x = layer(x, self.positions, keys, ends)
        return x  # type: ignore[no-any-return]

    def compile_layers(self) -> None:
        """Have each layer compiled, for any length, when it first runs; a deep copy is not compiled."""
        for layer in self.layers:
            layer.compile(dynamic=True)
