"""Bytes: blobs under their hash, the object store, uploads under way. Uses database."""
