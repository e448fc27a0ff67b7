"""`transcripts` and their segments, cutting them into passages (`chunking`), `export` to files.

May use: speech, queue, storage and below.
"""
