"""The road of a recording, in order, one module a stage.

intake       bytes           → one durable blob, named by its content
decode       media           → 16 kHz mono sound, one file a channel
segment      sound           → stretches of speech an engine can take
transcribe   segment         → words; engines/ keep this promise
chunk        transcript      → passages of about 45 seconds
embed        passage         → vector; embedders/ keep this promise
index        words, vectors  → found again
search       question        → moments

What stays: records (SQL), work (jobs), settings, errors, costs. `journey` drives the road;
`library`, `monitor` and `export` show what came of it.
"""
