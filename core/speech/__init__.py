"""Sound to words: `vad`, `engine` (their protocol), `engines`, `gigaam`, `language`, `speakers`.

May use: media, billing and below.
"""
