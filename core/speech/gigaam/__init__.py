"""GigaAM's speech models (v2 and v3), written from the format of their checkpoints.

samples → `features` (log-mel) → `encoder` (conformer) → `heads` → `greedy` (tokens) → `tokens` (words);
`checkpoint` reads the file safely, `recogniser` runs the road on batches of segments.
"""
