"""The road of a recording, in order, one module a stage.

intake       bytes           → one durable blob, named by its content
decode       media           → 16 kHz mono sound, one file a channel
segment      sound           → stretches of speech an engine can take
transcribe   segment         → words; engines/ keep this promise
chunk        transcript      → passages of about 45 seconds
embed        passage         → vector; embedders/ keep this promise
index        words, vectors  → found again
search       question        → moments

On the road, one level down: sandbox (the child that opens media, for decode), channels (sound on disk
while it is heard), stems (words as the index knows them), lance (what LanceDB is told, for index).

What stays: records (SQL) with their migrations, recordings, transcripts, passages, keys, settings, errors.
Work: work (jobs), turns (one at a time), queues, workers, chores with tending (what is done again and
again), active (which embedder), downloads (models), failpoints (where tests kill).
What people see: library, answers, moments, export; words and phrases say it in their language.
`journey` drives the road.

Rooms beside the road: engines, embedders, gigaam (our speech model), batch (half-price vectors),
remote (work bought elsewhere), costs (pure arithmetic of prices), money (price, plan, proof),
watch (what goes on), programs (what users of the API were promised).
"""
