"""Makes core/speech/speakers/condition.npy: the mean voice of readers, in a room and on a telephone.

    python -m tools.condition FOLDER

FOLDER holds a recording or a folder of recordings a reader (60 of LibriSpeech's train-clean-100 made the
file that is there: six seconds of each).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from core.speech.speakers import models
from core.speech.speakers.condition import FILE
from tools.dialogues import RATE, readers, telephone

READERS = 60
SECONDS = 8


def main() -> None:
    torch.set_num_threads(1)
    networks = models.load()

    def voice(sound: np.ndarray) -> np.ndarray:
        parts = sound[: len(sound) // (2 * RATE) * 2 * RATE].reshape(-1, 2 * RATE)
        with torch.inference_mode():
            encoder = networks.voices
            embedding = encoder(encoder.features(torch.from_numpy(parts)))
        return embedding.numpy().mean(0)

    sounds = [each[0][: SECONDS * RATE] for each in readers(Path(sys.argv[1])).values()]
    long_enough = [sound for sound in sounds if len(sound) > 5 * RATE][:READERS]
    room = np.mean([voice(sound) for sound in long_enough], 0)
    called = np.mean([voice(telephone(sound)) for sound in long_enough], 0)
    np.save(FILE, np.stack([room, called]).astype(np.float16))
    print(f"{len(long_enough)} readers, {np.linalg.norm(called - room):.2f} apart")


if __name__ == "__main__":
    main()
