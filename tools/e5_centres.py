"""Measures what multilingual-e5-small gives a text for its language alone: `python -m tools.e5_centres`.

Writes `core/embedding/embedders/e5_centres.npy` from the interface's sentences, which say the same in Russian
and in English. Another file needs another NAME in `e5.py`: vectors of two centres do not mix.
"""

from pathlib import Path

import numpy as np
from babel.messages.pofile import read_po

from core.embedding.embedders.e5 import CENTRES, ROLES, uncentred

SHORTEST = 26
"""Letters; what is shorter is a word on a button, no sentence."""
CATALOGUE = Path("core/i18n/locale/ru.po")


def main() -> None:
    with CATALOGUE.open("rb") as file:
        pairs = [
            (str(message.string), message.id)
            for message in read_po(file, locale="ru")
            if isinstance(message.id, str) and message.string and len(message.id) >= SHORTEST
        ]
    means = [[uncentred(role, texts).mean(0) for texts in zip(*pairs, strict=True)] for role in ROLES]
    np.save(CENTRES, np.array(means, np.float32))
    print(f"{len(pairs)} sentences in both languages → {CENTRES}")


if __name__ == "__main__":
    main()
