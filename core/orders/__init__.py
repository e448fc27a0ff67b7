"""Paid work elsewhere: embedding batches, transcripts, pictures; `breakers` for providers that fail.

May use: library and below.
"""
