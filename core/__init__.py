"""The road of a recording, in order, one module a stage.

intake       bytes           → one durable blob, named by its content
decode       media           → 16 kHz mono sound, one file a channel
segment      sound           → stretches of speech an engine can take
transcribe   segment         → words; engines/ keep this promise
chunk        transcript      → passages of about 45 seconds
embed        passage         → vector; embedders/ keep this promise
index        words, vectors  → found again
search       question        → moments

What stays: records (SQL), work (jobs), turns, transcripts, passages, recordings, settings, errors.
`journey` drives the road; `library`, `answers` and `export` show what came of it.

Rooms beside the road: engines, embedders, gigaam (our speech model), batch (half-price vectors),
remote (work bought elsewhere), costs (pure arithmetic of prices), money (price, plan, proof),
watch (what goes on), programs (what users of the API were promised).
"""
