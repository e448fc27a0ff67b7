"""Who speaks when, who said each word, and the same voice known again.

`finder.find` is what the pipeline calls; `diarization.diarize` takes sound and gives turns and voices,
`models.load` the networks it needs; `assign` puts turns to words with times; `voices.propose` finds known
voices. Nothing is imported here: `turns` and `assign` are for everybody, the others load torch or scipy.
Uses the voice detector and nothing else of core.
"""
