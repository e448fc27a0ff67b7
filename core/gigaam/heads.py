"""Encoded frames → scores of tokens: the CTC head and the transducer's two networks."""

from __future__ import annotations

from torch import Tensor, nn

from core.gigaam.config import TransducerConfig


class CTCHead(nn.Module):
    """One linear map; the last class is blank."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.decoder_layers = nn.Linear(width, num_classes)

    def forward(self, encoded: Tensor) -> Tensor:
        """Encoded [batch, time, width] → logits [batch, time, classes]."""
        return self.decoder_layers(encoded)  # type: ignore[no-any-return]


class Transducer(nn.Module):
    """Prediction network (embedding, LSTM) and joint; the last class is blank.

    The weights are kept as the greedy loop wants them: see `core.gigaam.greedy`.
    """

    def __init__(self, width: int, num_classes: int, config: TransducerConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_classes, config.pred_hidden, padding_idx=num_classes - 1)
        self.lstm = nn.LSTM(config.pred_hidden, config.pred_hidden, config.pred_rnn_layers)
        self.pred = nn.Linear(config.pred_hidden, config.joint_hidden)
        self.enc = nn.Linear(width, config.joint_hidden)
        self.joint = nn.Linear(config.joint_hidden, num_classes)
