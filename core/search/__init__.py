"""`passages` and their vectors, the LanceDB `index`, `query` (ranking), `service` (what doors call).

May use: transcripts, embedding, billing and below.
"""
