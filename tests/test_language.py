"""Languages are found across the whole recording, and stretch by stretch where they change."""

import numpy as np
import pytest

from core.media import decode
from core.media.waveform import SAMPLE_RATE
from core.speech import language
from core.speech.engines.whisper import WhisperEngine
from core.speech.language import identify, stretches
from core.speech.vad import Span
from tests import voices
from tests.conftest import DATA

LANGUAGES = ("ru", "en", "uk")


class Model:
    """Says the language that is written into the first sample, and how sure it is into the second."""

    def __init__(self):
        self.asked = 0

    def language_probabilities(self, sounds):
        self.asked += len(sounds)
        return [self._one(sound) for sound in sounds]

    def _one(self, sound):
        code, sure = LANGUAGES[sound[0]], sound[1] / 100
        return {each: sure if each == code else (1 - sure) / 2 for each in LANGUAGES}


def sound(code, seconds=10.0, sure=90):
    samples = np.zeros(int(seconds * SAMPLE_RATE), dtype=np.int16)
    samples[:2] = LANGUAGES.index(code), sure
    return samples


def test_the_main_language_is_that_of_most_speech_with_its_probability():
    identified = identify(Model(), [sound("ru"), sound("en", 4), sound("ru", sure=80)])
    assert (identified.main.code, identified.main.probability) == ("ru", 0.85)


def test_one_doubtful_segment_changes_nothing():
    identified = identify(Model(), [sound("ru"), sound("uk", 2, sure=60), sound("ru")])
    assert identified.segments == ("ru", "ru", "ru")


def test_a_guest_in_another_language_is_a_stretch():
    codes = ["ru"] * 3 + ["en"] * 2 + ["ru"] * 3
    identified = identify(Model(), [sound(code, sure=98) for code in codes])
    assert identified.main.code == "ru"
    assert list(identified.segments) == codes


def test_of_hours_one_segment_a_minute_is_listened_to():
    model = Model()
    identified = identify(model, [sound("ru", 20)] * 540)  # three hours
    assert model.asked <= 190
    assert set(identified.segments) == {"ru"}


def test_where_neighbours_disagree_those_between_are_listened_to():
    model = Model()
    codes = ["ru"] * 100 + ["en"] * 31 + ["ru"] * 100
    identified = identify(model, [sound(code, 20, sure=98) for code in codes])
    assert list(identified.segments) == codes
    assert model.asked < 100


def test_a_segment_too_short_to_tell_takes_its_neighbours_language():
    model = Model()
    identified = identify(model, [sound("ru"), sound("en", 0.5, sure=99), sound("ru")])
    assert identified.segments == ("ru", "ru", "ru")
    assert model.asked == 2


def test_a_recording_of_one_short_word_has_a_language():
    assert identify(Model(), [sound("en", 0.4)]).main.code == "en"


def test_nothing_said_no_language():
    assert identify(Model(), []) is None


def test_only_languages_that_are_known_are_answered():
    identified = identify(Model(), [sound("uk")], languages=("ru", "en"))
    assert identified.main.code in {"ru", "en"}
    assert identified.main.probability == pytest.approx(0.5)


def test_neighbours_of_one_language_are_one_stretch():
    spans = [Span(n, n + 1.0) for n in range(4)]
    assert stretches(spans, ["ru", "ru", "en", "ru"]) == [
        (Span(0, 2.0), "ru"),
        (Span(2, 3.0), "en"),
        (Span(3, 4.0), "ru"),
    ]


@pytest.fixture(scope="session")
def whisper(tmp_path_factory):
    return WhisperEngine("base", tmp_path_factory.mktemp("models"))


@pytest.mark.slow
def test_the_samples_are_in_their_languages(whisper, tmp_path):
    for name, code in (("ru_planning", "ru"), ("en_meeting", "en")):
        sound = voices.sound(DATA / f"{name}.opus", tmp_path / name)
        assert identify(whisper, voices.pieces(sound)).main.code == code


def test_each_channel_of_a_call_has_its_own_language(whisper, tmp_path):
    channels = decode.decode(DATA / "two_languages.opus", tmp_path, split_channels=True)
    sounds = [voices.pieces(decode.waveform(channel)) for channel in channels]
    assert [identify(whisper, each).main.code for each in sounds] == ["ru", "en"]


@voices.REAL
@pytest.mark.voices
def test_people_speak_the_languages_that_are_heard(whisper, tmp_path):
    for path in voices.files():
        sound = voices.sound(path, tmp_path / path.stem)
        identified = identify(whisper, voices.pieces(sound))
        assert identified.main.code == voices.language(path.name), path.name
        assert identified.main.probability > language.FLOOR


@voices.REAL
@pytest.mark.voices
def test_an_english_guest_among_russians_is_found(whisper, tmp_path):
    russian = [
        segment
        for n in ("00", "04", "06", "11")
        for segment in voices.pieces(voices.sound(voices.FOLDER / f"golos_{n}.wav", tmp_path / n))
    ]
    guest = voices.pieces(voices.sound(voices.FOLDER / "jfk.flac", tmp_path / "jfk"))
    identified = identify(whisper, [*russian, *guest, *russian])
    assert list(identified.segments) == ["ru"] * len(russian) + ["en"] * len(guest) + ["ru"] * len(russian)
