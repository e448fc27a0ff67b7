"""Media read in a sandbox: `decode` (probe, decode), `waveform` (what sound is here), `encode`.

May use: storage and below.
"""
