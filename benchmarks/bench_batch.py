"""From “flush” to “searchable by meaning” for a thousand passages, on the emulator.

python -m benchmarks.bench_batch [--passages 1000] [--recordings 20] [--dim 768]

The emulator's own processing time is zero, so this is what the tool adds: collecting, upload, order,
looking, download, reading, storing, settling.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from core.principal import EVERYONE
from tests import batching
from tools.gemini_emulator import GeminiEmulator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=1000)
    parser.add_argument("--recordings", type=int, default=20)
    parser.add_argument("--dim", type=int, default=768)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, GeminiEmulator(processing_s=0) as emulator:
        here = batching.installation(
            Path(folder), emulator.url, embedding_dim=wanted.dim, batch_min_size=10**6, batch_max_wait_s=10**6
        )
        each = wanted.passages // wanted.recordings
        for n in range(wanted.recordings):
            batching.recording(here, batching.sentences(each, n * each), title=f"r{n}")
        here.batches.tick()
        here.batches.flush()
        began, ahead_s, ticks = time.perf_counter(), 0.0, 0
        while not batching.idle(here):
            batching.set_clock(here, ahead_s)
            before = time.perf_counter()
            here.batches.tick()
            print(f"tick {ticks}: {time.perf_counter() - before:.2f} s   {batching.states(here)}")
            ahead_s, ticks = ahead_s + here.settings.batch_poll_s, ticks + 1
        took_s = time.perf_counter() - began
        found = here.search(EVERYONE, "ремонт крыши", mode="meaning").matches
        print(f"{len(batching.meanings(here))} passages searchable {took_s:.1f} s of work after flush,")
        print(
            f"in {ticks} ticks; the first look at the provider comes {here.settings.batch_poll_s:.0f} s after"
        )
        print(f"the order. Best match: {found[0].row.text[:50]}…")


if __name__ == "__main__":
    main()
