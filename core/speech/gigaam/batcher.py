"""One model for all who ask at the same time: their segments share batches.

One thread owns the model. Nothing is locked: whoever asks puts segments into its inbox and waits at
a queue of their own, so they may be interrupted at any moment and nobody else notices. What a segment
says does not depend on its batch, and neither does an error: a batch that fails is tried again
segment by segment, and only those whose segment it was hear of it. So the thread catches whatever hearing
raises (compiling, too, which starts other programs): it would end, and everybody would wait for ever.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from core.media.waveform import Waveform
from core.speech.engine import Speech
from core.speech.gigaam import device
from core.speech.gigaam.recogniser import DeviceLost, Encoded, Recogniser
from core.speech.gigaam.tokens import Emission, speech

LOOK_S = 0.2
"""Whoever waits looks up so often: an interrupt reaches a thread only then."""

Answer = Emission | Exception


@dataclass(eq=False)
class Asker:
    """Somebody who waits for the words of some segments, until they are `gone`."""

    segments: Sequence[Waveform]
    read: Callable[[Emission], Speech]
    """Tokens to words: done by whoever asked, while the device is at the next batch."""
    answers: SimpleQueue[tuple[int, Answer]] = field(default_factory=SimpleQueue)
    gone: bool = False

    def wait(self) -> list[Speech]:
        """All answers, in order; the first that is an error is raised. Whoever leaves early is gone."""
        speeches: dict[int, Speech] = {}
        try:
            while len(speeches) < len(self.segments):
                with suppress(Empty):
                    index, answer = self.answers.get(timeout=LOOK_S)
                    if isinstance(answer, Exception):
                        raise answer
                    speeches[index] = self.read(answer)
        finally:
            self.leave()
        return [speeches[index] for index in range(len(self.segments))]

    def leave(self) -> None:
        """Not wait for it any more; what has not begun is left out."""
        self.gone = True


@dataclass(frozen=True)
class Piece:
    """One segment, and who wants to know."""

    asker: Asker
    index: int

    @property
    def sound(self) -> Waveform:
        """Int16, shape [samples]."""
        return self.asker.segments[self.index]


class Batcher:
    """A recogniser that any number of threads may ask at the same time."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._inbox: SimpleQueue[Asker] = SimpleQueue()
        # A daemon: what nobody waits for any more must not hold up the end of the process.
        threading.Thread(target=self._serve, name="gigaam", daemon=True).start()

    def ask(self, segments: Sequence[Waveform]) -> Asker:
        """Have these heard as soon as the device is free; does not wait."""
        asker = Asker(segments, self._read)
        self._inbox.put(asker)
        return asker

    def transcribe(self, segments: Sequence[Waveform]) -> list[Speech]:
        """Words of each segment, in order. Raises what `Recogniser.transcribe` raises."""
        return self.ask(segments).wait()

    def _read(self, emission: Emission) -> Speech:
        return speech(emission, self._recogniser.model.tokenizer)

    def _serve(self) -> None:
        """Whatever waits, batch by batch, for ever: first the one that has waited longest, with its likes.

        A GPU is given the next batch before the last one is finished.
        """
        device.use_cores(self._recogniser.model.config.encoder.d_model)
        waiting: list[Piece] = []
        at_work: deque[tuple[list[Piece], Encoded | None]] = deque()
        while True:
            waiting += self._arrived(patient=not waiting and not at_work)
            waiting = [piece for piece in waiting if not piece.asker.gone]
            batches = self._recogniser.plan([piece.sound for piece in waiting])
            batch = next((batch for batch in batches if 0 in batch), [])
            if batch:
                at_work.append(self._begun([waiting[index] for index in batch]))
                waiting = [piece for index, piece in enumerate(waiting) if index not in batch]
            if len(at_work) > (self._recogniser.ahead if batch else 0):
                self._answer(*at_work.popleft())

    def _arrived(self, *, patient: bool) -> Iterator[Piece]:
        """What has been asked meanwhile; the patient wait until somebody asks."""
        with suppress(Empty):
            asker = self._inbox.get(block=patient)
            while True:
                yield from (Piece(asker, index) for index in range(len(asker.segments)))
                asker = self._inbox.get(block=False)

    def _begun(self, batch: list[Piece]) -> tuple[list[Piece], Encoded | None]:
        """None beside it: something is wrong with it, and it has to be tried with care."""
        with suppress(Exception):
            return batch, self._recogniser.start([piece.sound for piece in batch])
        return batch, None

    def _answer(self, batch: Sequence[Piece], encoded: Encoded | None) -> None:
        answers = self._finished(encoded) or self._recognised([piece.sound for piece in batch])
        for piece, answer in zip(batch, answers, strict=True):
            piece.asker.answers.put((piece.index, answer))

    def _finished(self, encoded: Encoded | None) -> Sequence[Answer]:
        with suppress(Exception):
            return self._recogniser.finish(encoded) if encoded else []
        return []

    def _recognised(self, sounds: Sequence[Waveform]) -> Sequence[Answer]:
        """An answer to each; a lost device would fail again, anything else may be the fault of one."""
        try:
            return self._recogniser.emissions(sounds)
        except DeviceLost as error:
            return [error] * len(sounds)
        except Exception as error:  # noqa: BLE001 - as the module says
            if len(sounds) == 1:
                return [error]
        return [answer for sound in sounds for answer in self._recognised([sound])]
