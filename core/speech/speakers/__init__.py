"""Who speaks when, who said each word, and the same voice known again.

`diarize` takes sound and gives turns; `speakers_of_words` and `utterances` put them to words with times;
`propose` finds known voices. Uses torch, scipy, the weights that `models.load` finds, and the voice detector.
"""

from core.speech.speakers.assign import Utterance, WordSpeaker, speakers_of_words, utterances
from core.speech.speakers.diarization import Diarization, Speaker, SpeakerOptions, diarize, resolve
from core.speech.speakers.models import (
    MissingReason,
    SpeakerModels,
    SpeakerModelsMissing,
    load,
    missing_reason,
)
from core.speech.speakers.turns import Overlap, Turn, overlaps
from core.speech.speakers.voices import Certainty, VoiceMatch, propose

__all__ = [
    "Certainty",
    "Diarization",
    "MissingReason",
    "Overlap",
    "Speaker",
    "SpeakerModels",
    "SpeakerModelsMissing",
    "SpeakerOptions",
    "Turn",
    "Utterance",
    "VoiceMatch",
    "WordSpeaker",
    "diarize",
    "load",
    "missing_reason",
    "overlaps",
    "propose",
    "resolve",
    "speakers_of_words",
    "utterances",
]
