"""Run the emulator until SIGTERM or Ctrl-C: python -m tools.gemini_emulator --port 8089 --folder F"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from jobs.stop import StopRequest
from tools.gemini_emulator.handle import GeminiEmulator
from tools.gemini_emulator.store import SETTINGS


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.gemini_emulator", description="A Gemini of one's own."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--folder", type=Path, help="where it remembers; without, it forgets when it stops")
    parser.add_argument(
        "--processing-s", type=float, default=SETTINGS["processing_s"], help="life of a batch"
    )
    args = parser.parse_args()
    ended = StopRequest()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with GeminiEmulator(args.folder, args.port, processing_s=args.processing_s) as emulator:
        print(emulator.url, flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
