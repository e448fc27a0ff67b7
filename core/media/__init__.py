"""Probing and decoding media in a sandbox; sound as arrays; encoding it again. Uses storage."""
