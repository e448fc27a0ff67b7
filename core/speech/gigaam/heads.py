"""Encoded frames → scores of tokens: the CTC head and the transducer's two networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.speech.gigaam.config import TransducerConfig, UnknownModel


class CTCHead(nn.Module):
    """One linear map; the last class is blank."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.decoder_layers = nn.Linear(width, num_classes)

    def forward(self, encoded: Tensor) -> Tensor:
        """Encoded [batch, time, width] → logits [batch, time, classes]."""
        return self.decoder_layers(encoded)  # type: ignore[no-any-return]


class Transducer(nn.Module):
    """Prediction network (embedding, LSTM) and joint, cut where a greedy search wants them cut.

    `listen` is done once a recording, `predict` once a token, `score` once a frame or more.
    """

    table: Tensor
    recurrent: Tensor

    def __init__(self, width: int, num_classes: int, config: TransducerConfig) -> None:
        super().__init__()
        if config.pred_rnn_layers != 1:
            raise UnknownModel(reason="its prediction network has several layers")
        self.blank = num_classes - 1
        self.embed = nn.Embedding(num_classes, config.pred_hidden, padding_idx=self.blank)
        self.lstm = nn.LSTM(config.pred_hidden, config.pred_hidden)
        self.pred = nn.Linear(config.pred_hidden, config.joint_hidden)
        self.enc = nn.Linear(width, config.joint_hidden)
        self.joint = nn.Linear(config.joint_hidden, num_classes)
        self.register_buffer("table", torch.empty(0), persistent=False)
        self.register_buffer("recurrent", torch.empty(0), persistent=False)

    @torch.no_grad()
    def tabulate(self) -> None:
        """Prepare what each token adds to the LSTM's gates; to be called when the weights are there.

        Blank stands for the beginning, when there is no token yet.
        """
        enter, recur, bias, more_bias = self.lstm.all_weights[0]
        weights = self.embed.weight.clone()
        weights[self.blank] = 0
        self.table = weights @ enter.T + bias + more_bias
        self.recurrent = recur.T.contiguous()

    def project_encoder(self, encoded: Tensor) -> Tensor:
        """Encoded [batch, time, width] → its part of the joint [batch, time, joint]."""
        return self.enc(encoded)  # type: ignore[no-any-return]

    def predict(self, token: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One LSTM step for tokens [rows] → (its part of the joint, hidden, cell), [rows, …] each."""
        gates = torch.addmm(self.table[token], hidden, self.recurrent)
        enter, forget, fresh, leave = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * fresh.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        return self.pred(hidden), hidden, cell

    def score(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Parts of the joint that broadcast → logits [..., classes]."""
        return self.joint((encoded + predicted).relu_())  # type: ignore[no-any-return]
