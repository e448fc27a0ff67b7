"""Paid work elsewhere: batches of embeddings, remote transcripts, pictures; breakers."""
