"""What a transducer learns by: minus the log of the probability of all its ways to a text.

A way goes through a grid of frames and tokens: a token moves on in the text, a blank in time
(Graves 2012, "Sequence Transduction with Recurrent Neural Networks", equation 16).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from core.speech.gigaam.heads import Transducer


def along(head: Transducer, encoded: Tensor, tokens: Tensor) -> Tensor:
    """Logits of every frame after every beginning of the text: [batch, time, tokens + 1, classes].

    Encoded [batch, time, width]; tokens [batch, tokens]. The LSTM reads blank, which is embedded as
    zeros, and then the tokens, as `Transducer.predict` does one by one.
    """
    read, _ = head.lstm(head.embed(pad(tokens, (1, 0), value=head.blank)).transpose(0, 1))
    predicted = head.pred(read.transpose(0, 1))
    return head.score(head.project_encoder(encoded)[:, :, None], predicted[:, None])


def loss(logits: Tensor, tokens: Tensor, ends: Tensor, counts: Tensor) -> Tensor:
    """Minus log probability of each sample's tokens [batch], given logits as `along` answers them.

    `ends` and `counts` [batch] are the frames, at least one, and the tokens of each sample. What stands
    behind them may be any class: no way leads back from there, so nothing of it reaches the loss.
    """
    scores = logits.log_softmax(-1)
    blank = scores[..., -1]
    spoken = tokens[:, None, :, None].expand(-1, scores.size(1), -1, 1)
    token = scores[:, :, :-1].gather(3, spoken)[..., 0]
    # The forward variable of a frame follows from that of the frame before, for all tokens at once:
    # relative to the sum of the frame's token scores, moving on in the text costs nothing.
    sums = pad(token.cumsum(2), (1, 0))
    reached = [sums[:, 0]]
    for waited, climbed in zip(blank.unbind(1), sums.unbind(1)[1:], strict=False):
        reached.append(climbed + (reached[-1] + waited - climbed).logcumsumexp(1))
    last = torch.arange(len(ends), device=ends.device), ends - 1, counts
    return -(torch.stack(reached, 1)[last] + blank[last])
