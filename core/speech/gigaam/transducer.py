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
        self._states: dict[tuple[int, int], DecodingState] = {}

    @torch.inference_mode()
    def __call__(self, encoded: Tensor, ends: Tensor) -> list[Emission]:
        """Encoded [batch, time, width] and the frames of each sample [batch] → one emission a sample."""
        projected = self._head.project_encoder(encoded)
        batch = projected.size(0)
        if self._asking:
            state = DecodingState(self._head, projected, self._window, asking=True)
        else:
            projected, ends = on_grid(projected, ends)
            state = self._kept(projected)
        state.start(projected, ends)
        state.finish(self._recording)
        return state.emissions(batch)

    def _kept(self, projected: Tensor) -> DecodingState:
        shape = (projected.size(0), projected.size(1))
        state = self._states.pop(shape, None) or DecodingState(
            self._head, projected, self._window, asking=False
        )
        self._states[shape] = state
        if len(self._states) > KEPT_SHAPES:
            del self._states[next(iter(self._states))]
        return state


def on_grid(projected: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """The batch made a little larger, by rows that end at once, so that few shapes are ever recorded."""
    batch, time, width = projected.shape
    rows = max(FEWEST_ROWS, 1 << (batch - 1).bit_length())
    frames = -(-time // FRAME_GRID) * FRAME_GRID
    larger, later = projected.new_zeros(rows, frames, width), ends.new_zeros(rows)
    larger[:batch, :time], later[:batch] = projected, ends
    return larger, later


class DecodingState:
    """Where each sample of a batch stands: its time, its tokens, and the prediction that they give."""

    def __init__(self, head: Transducer, projected: Tensor, window: int, *, asking: bool) -> None:
        batch, frames, width = projected.shape
        self.head, self.window, self.asking = head, window, asking
        self.room = frames * MAX_SYMBOLS
        whole = torch.zeros(batch, dtype=torch.long, device=projected.device)
        self.projected = torch.empty_like(projected)
        self.rows = torch.arange(batch, device=projected.device)
        self.ahead = torch.arange(window, device=projected.device)
        self.ends, self.time, self.count, self.symbols = (whole.clone() for _ in range(4))
        self.hidden, self.cell = (projected.new_zeros(batch, head.lstm.hidden_size) for _ in range(2))
        self.predicted = projected.new_zeros(batch, width)
        # One column more than can be filled: steps that find nothing write there.
        self.tokens, self.frames = (whole.new_zeros(batch, self.room + 1) for _ in range(2))
        self.probabilities = projected.new_zeros(batch, self.room + 1)
        self.graph: torch.cuda.CUDAGraph | None = None

    def start(self, projected: Tensor, ends: Tensor) -> None:
        """Stand at the beginning of a new batch of the same shape."""
        self.projected.copy_(projected)
        self.ends.copy_(ends)
        for place in (self.time, self.count, self.symbols, self.hidden, self.cell):
            place.zero_()
        nothing = torch.full_like(self.rows, self.head.blank)
        for state, first in zip(
            self._memory(), self.head.predict(nothing, self.hidden, self.cell), strict=True
        ):
            state.copy_(first)

    def _memory(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.predicted, self.hidden, self.cell

    def finish(self, recording: torch.cuda.Stream | None = None) -> None:
        """Step until every sample is at its end; on CUDA by steps that are recorded on that stream."""
        if recording is not None:
            self._replay(recording)
            return
        while bool((self.time < self.ends).any()):
            self.step()

    def step(self) -> None:
        """Pass over the next window of every sample, or stop at the first token in it."""
        at = self.time[:, None] + self.ahead
        projected = self.projected[self.rows[:, None], at.clamp(max=self.projected.size(1) - 1)]
        logits = self.head.score(projected, self.predicted[:, None])
        emitted = (logits.argmax(-1) != self.head.blank) & (at < self.ends[:, None])
        is_token, first = emitted.any(1), emitted.long().argmax(1)
        self._move(is_token, first)
        if not self.asking:
            self._take(is_token, logits[self.rows, first], self.rows)
        elif bool(is_token.any()):
            rows = is_token.nonzero()[:, 0]
            self._take(is_token[rows], logits[rows, first[rows]], rows)

    def _move(self, is_token: Tensor, first: Tensor) -> None:
        """Time goes to the token's frame, or past the window; past a frame that gave all it may."""
        self.time += torch.where(is_token, first, self.window)
        self.symbols.copy_(torch.where(is_token & (first == 0), self.symbols, 0) + is_token)

    def _take(self, is_token: Tensor, logits: Tensor, rows: Tensor) -> None:
        """Write down the tokens of these rows, where one was found, and predict from them."""
        best, token = logits.max(-1)
        place = torch.where(is_token, self.count[rows], self.room)
        self.tokens[rows, place] = token
        self.frames[rows, place] = self.time[rows]
        self.probabilities[rows, place] = (best - logits.logsumexp(-1)).exp()
        fresh = self.head.predict(token, self.hidden[rows], self.cell[rows])
        for state, new in zip(self._memory(), fresh, strict=True):
            state[rows] = torch.where(is_token[:, None], new, state[rows])
        self.count[rows] += is_token
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
        projected, ends = self.projected.clone(), self.ends.clone()
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
        self.start(projected, ends)

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
