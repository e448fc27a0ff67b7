"""Greedy search of a transducer for a whole batch at once, without asking the device at every step.

The textbook loop goes frame by frame: score, and while a token comes out, feed it back. Here every
sample has a place of its own in time, and a step looks at a window of frames from there: as long
as only blanks come out, the prediction does not change, so the frames of a window can be scored
together. The first token of the window is taken; a window of blanks is passed over whole. Tokens
and frames are those of the textbook loop, in about `tokens + frames / window` steps instead of
`tokens + frames`, whatever the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.streams import URGENT, stream
from core.speech.gigaam.tokens import Emission

MAX_SYMBOLS = 10
"""Tokens that one frame may give before time moves on; the models were evaluated so."""

WINDOW_CPU, WINDOW_CUDA = 4, 8
"""Frames scored together: few where arithmetic is dear, more where launches are."""

STEPS_A_GRAPH = 16
"""Steps recorded in one CUDA graph; whether all samples are done is asked after each replay."""

FEWEST_ROWS, FRAME_GRID = 16, 125
"""Shapes of recorded walks: a power of two of samples, so many at least, and a multiple of five seconds."""

KEPT_SHAPES = 20
"""CUDA graphs kept, the least recently used goes first: all shapes of batches up to 256 segments of 20 s."""


class Search:
    """Searches of one head.

    `asking`: whether a step may ask the device what it found. A CPU answers at once; on CUDA each
    question would cost more than the step, so there all rows are always computed, and walks are
    kept with their recorded graphs and used again for batches of about the same shape.
    """

    def __init__(self, head: Transducer, window: int | None = None, *, asking: bool | None = None) -> None:
        cuda = head.joint.weight.is_cuda
        self._head = head
        self._asking = not cuda if asking is None else asking
        self._window = window or (WINDOW_CUDA if cuda else WINDOW_CPU)
        self._recording = stream("cuda", URGENT) if cuda else None
        self._walks: dict[tuple[int, int], Walk] = {}

    @torch.inference_mode()
    def __call__(self, encoded: Tensor, ends: Tensor) -> list[Emission]:
        """Encoded [batch, time, width] and the frames of each sample [batch] → one emission a sample."""
        heard = self._head.project_encoder(encoded)
        batch = heard.size(0)
        if self._asking:
            walk = Walk(self._head, heard, self._window, asking=True)
        else:
            heard, ends = on_grid(heard, ends)
            walk = self._kept(heard)
        walk.start(heard, ends)
        walk.finish(self._recording)
        return walk.emissions(batch)

    def _kept(self, heard: Tensor) -> Walk:
        shape = (heard.size(0), heard.size(1))
        walk = self._walks.pop(shape, None) or Walk(self._head, heard, self._window, asking=False)
        self._walks[shape] = walk
        if len(self._walks) > KEPT_SHAPES:
            del self._walks[next(iter(self._walks))]
        return walk


def on_grid(heard: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """The batch made a little larger, by rows that end at once, so that few shapes are ever recorded."""
    batch, time, width = heard.shape
    rows = max(FEWEST_ROWS, 1 << (batch - 1).bit_length())
    frames = -(-time // FRAME_GRID) * FRAME_GRID
    larger, later = heard.new_zeros(rows, frames, width), ends.new_zeros(rows)
    larger[:batch, :time], later[:batch] = heard, ends
    return larger, later


class Walk:
    """Where each sample of a batch stands: its time, its tokens, and the prediction that they give."""

    def __init__(self, head: Transducer, heard: Tensor, window: int, *, asking: bool) -> None:
        batch, frames, width = heard.shape
        self.head, self.window, self.asking = head, window, asking
        self.room = frames * MAX_SYMBOLS
        whole = torch.zeros(batch, dtype=torch.long, device=heard.device)
        self.heard = torch.empty_like(heard)
        self.rows = torch.arange(batch, device=heard.device)
        self.ahead = torch.arange(window, device=heard.device)
        self.ends, self.time, self.count, self.symbols = (whole.clone() for _ in range(4))
        self.hidden, self.cell = (heard.new_zeros(batch, head.lstm.hidden_size) for _ in range(2))
        self.predicted = heard.new_zeros(batch, width)
        # One column more than can be filled: steps that find nothing write there.
        self.tokens, self.frames = (whole.new_zeros(batch, self.room + 1) for _ in range(2))
        self.probabilities = heard.new_zeros(batch, self.room + 1)
        self.graph: torch.cuda.CUDAGraph | None = None

    def start(self, heard: Tensor, ends: Tensor) -> None:
        """Stand at the beginning of a new batch of the same shape."""
        self.heard.copy_(heard)
        self.ends.copy_(ends)
        for place in (self.time, self.count, self.symbols, self.hidden, self.cell):
            place.zero_()
        nothing = torch.full_like(self.rows, self.head.blank)
        for mine, first in zip(
            self._memory(), self.head.predict(nothing, self.hidden, self.cell), strict=True
        ):
            mine.copy_(first)

    def _memory(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.predicted, self.hidden, self.cell

    def finish(self, recording: torch.cuda.Stream | None = None) -> None:
        """Walk until every sample is at its end; on CUDA by steps that are recorded on that stream."""
        if recording is not None:
            self._replay(recording)
            return
        while bool((self.time < self.ends).any()):
            self.step()

    def step(self) -> None:
        """Pass over the next window of every sample, or stop at the first token in it."""
        at = self.time[:, None] + self.ahead
        heard = self.heard[self.rows[:, None], at.clamp(max=self.heard.size(1) - 1)]
        logits = self.head.score(heard, self.predicted[:, None])
        emitted = (logits.argmax(-1) != self.head.blank) & (at < self.ends[:, None])
        found, first = emitted.any(1), emitted.long().argmax(1)
        self._move(found, first)
        if not self.asking:
            self._take(found, logits[self.rows, first], self.rows)
        elif bool(found.any()):
            rows = found.nonzero()[:, 0]
            self._take(found[rows], logits[rows, first[rows]], rows)

    def _move(self, found: Tensor, first: Tensor) -> None:
        """Time goes to the token's frame, or past the window; past a frame that gave all it may."""
        self.time += torch.where(found, first, self.window)
        self.symbols.copy_(torch.where(found & (first == 0), self.symbols, 0) + found)

    def _take(self, found: Tensor, logits: Tensor, rows: Tensor) -> None:
        """Write down the tokens of these rows, where one was found, and predict from them."""
        best, token = logits.max(-1)
        place = torch.where(found, self.count[rows], self.room)
        self.tokens[rows, place] = token
        self.frames[rows, place] = self.time[rows]
        self.probabilities[rows, place] = (best - logits.logsumexp(-1)).exp()
        fresh = self.head.predict(token, self.hidden[rows], self.cell[rows])
        for mine, new in zip(self._memory(), fresh, strict=True):
            mine[rows] = torch.where(found[:, None], new, mine[rows])
        self.count[rows] += found
        full = self.symbols >= MAX_SYMBOLS
        self.time += full
        self.symbols.masked_fill_(full, 0)

    def _replay(self, recording: torch.cuda.Stream) -> None:
        """Replay recorded steps; the next ones are on their way before the last ones are asked about."""
        if self.graph is None:
            self._record(recording)
        assert self.graph is not None
        going = torch.ones((), dtype=torch.bool, pin_memory=True)
        while going:
            self.graph.replay()
            going.copy_((self.time < self.ends).any(), non_blocking=True)
            answered = torch.cuda.current_stream().record_event()
            self.graph.replay()
            answered.synchronize()

    def _record(self, recording: torch.cuda.Stream) -> None:
        """Record some steps of this shape; what they did to the state is undone."""
        heard, ends = self.heard.clone(), self.ends.clone()
        recording.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(recording):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(recording)
        graph = torch.cuda.CUDAGraph()
        # A graph keeps the priority of the stream it is recorded on; other threads may ask the driver
        # something meanwhile.
        with torch.cuda.graph(graph, stream=recording, capture_error_mode="thread_local"):
            for _ in range(STEPS_A_GRAPH):
                self.step()
        self.graph = graph
        self.start(heard, ends)

    def emissions(self, batch: int) -> list[Emission]:
        """What was written down for the first so many samples."""
        counts = self.count[:batch].tolist()
        longest = max(counts, default=0)
        columns = (self.tokens, self.frames, self.probabilities)
        tokens, frames, probabilities = (column[:batch, :longest].tolist() for column in columns)
        return [
            Emission(tuple(tokens[row][:n]), tuple(frames[row][:n]), tuple(probabilities[row][:n]))
            for row, n in enumerate(counts)
        ]
