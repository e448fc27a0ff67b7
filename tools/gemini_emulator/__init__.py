"""The Gemini API as a server on this machine, for tests and demonstrations: no key, no charge.

The real google-genai client talks to it when `base_url` points here. Its vectors are bags of
words: right for plumbing, no measure of quality. It keeps its own ledger of what it was asked
and what it would have charged, can be told to misbehave (`faults.py` lists how), and has a clock
that tests can move.

vectors.py   text → vector
store.py     one SQLite file: clock, settings, faults, ledger, files, batches
wire.py      requests, answers and refusals as they travel
faults.py    every way to misbehave
texts.py · files.py · batches.py   the API's calls
server.py    HTTP on loopback
handle.py    what tests hold
"""

from tools.gemini_emulator.handle import Batch, Call, Control, GeminiEmulator, Ledger, Text

__all__ = ["Batch", "Call", "Control", "GeminiEmulator", "Ledger", "Text"]
