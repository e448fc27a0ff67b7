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
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, GeminiEmulator(processing_s=0) as emulator:
        app = batching.installation(
            Path(folder), emulator.url, embedding_dim=args.dim, batch_min_size=10**6, batch_max_wait_s=10**6
        )
        each = args.passages // args.recordings
        for n in range(args.recordings):
            batching.recording(app, batching.sentences(each, n * each), title=f"r{n}")
        app.batches.tick()
        app.batches.flush()
        began, ahead_s, ticks = time.perf_counter(), 0.0, 0
        while not batching.idle(app):
            batching.set_clock(app, ahead_s)
            before = time.perf_counter()
            app.batches.tick()
            print(f"tick {ticks}: {time.perf_counter() - before:.2f} s   {batching.states(app)}")
            ahead_s, ticks = ahead_s + app.settings.batch_poll_s, ticks + 1
        took_s = time.perf_counter() - began
        matches = app.searcher.search(EVERYONE, "ремонт крыши", mode="meaning").matches
        print(f"{len(batching.meanings(app))} passages searchable {took_s:.1f} s of work after flush,")
        print(
            f"in {ticks} ticks; the first look at the provider comes {app.settings.batch_poll_s:.0f} s after"
        )
        print(f"the order. Best match: {matches[0].row.text[:50]}…")


if __name__ == "__main__":
    main()
