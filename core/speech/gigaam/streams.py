"""Queues of a GPU: sound is carried there, and tokens are searched, while another batch is encoded.

On a CPU there is nothing to queue: everything is done when the call returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

URGENT = -1
"""The priority of searches: their many small steps go before the large ones of the next batch."""


class Streams:
    """The queue of copies and the queue of searches, beside the current one."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._copies, self._searches = stream(kind), stream(kind, URGENT)

    def carry(self, tensor: Tensor) -> Tensor:
        """A pinned tensor on the device, ready for whatever is queued next; does not wait."""
        if self._copies is None:
            return tensor.to(self._kind)
        with torch.cuda.stream(self._copies):
            carried = tensor.to(self._kind, non_blocking=True)
        current = torch.cuda.current_stream()
        current.wait_stream(self._copies)
        carried.record_stream(current)
        return carried

    def mark(self) -> torch.cuda.Event | None:
        """The moment when all that was queued so far is done."""
        return None if self._searches is None else torch.cuda.current_stream().record_event()

    @contextmanager
    def search(self, ready: torch.cuda.Event | None, *needed: Tensor) -> Iterator[None]:
        """What is queued inside begins at that moment, and not behind what was queued since."""
        if self._searches is None or ready is None:
            yield
            return
        self._searches.wait_event(ready)
        for tensor in needed:
            tensor.record_stream(self._searches)
        with torch.cuda.stream(self._searches):
            yield


def stream(kind: str, priority: int = 0) -> torch.cuda.Stream | None:
    """A queue of the device's own; None: it has none."""
    return torch.cuda.Stream(priority=priority) if kind == "cuda" else None  # type: ignore[no-untyped-call]
