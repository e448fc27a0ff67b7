"""Passages, their vectors, the LanceDB index, queries. Uses transcripts, embedding and billing."""
