"""The transducer with real words: a small trained model, through the engine that runs the published one.

`data/models` is a models' folder as `MODELS_DIR` expects it; `make toy-rnnt` trains what lies there.
"""

import jiwer
import numpy as np
import pytest
import torch

from benchmarks import textbook
from core.application import Application
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE
from core.settings import Settings
from core.speech import vad
from core.speech.engines.gigaam import real
from core.speech.gigaam.checkpoint import load
from core.speech.gigaam.recogniser import Recogniser
from core.speech.gigaam.transducer import Search
from tests.conftest import DATA
from tests.installation import TOY
from tests.test_engines import cut, decoded, plain
from tests.test_pipeline import accept, done, errors_percent, transcript_text

MODEL = DATA / "models" / "v3_rnnt.ckpt"
SAMPLES = [("ru_meeting.opus", "ru_meeting.txt", "mono", 0)] + [
    ("call_stereo.opus", f"call_stereo.{side}.txt", "stereo", channel)
    for channel, side in enumerate(["left", "right"])
]


@pytest.fixture
def settings(tmp_path):
    return Settings(
        stenogram_home=tmp_path / "home",
        models_dir=str(MODEL.parent),
        gigaam_model="v3_rnnt",
        engine="gigaam-v3_rnnt",
    )


@pytest.fixture
def engine(settings):
    return real(settings)


@pytest.fixture(scope="module")
def recogniser():
    """As on a GPU: segments are padded and encoded together."""
    return Recogniser(load(MODEL), together=True)


@pytest.fixture(scope="module")
def wave():
    return decoded("ru_meeting.opus")[0]


@pytest.fixture(scope="module")
def phrases(wave):
    return cut(wave, "subtitles")


def test_our_russian_samples_are_heard_with_few_errors(engine):
    references, recognised = [], []
    for sample, text, layout, channel in SAMPLES:
        references.append(plain((DATA / text).read_text()))
        pieces = cut(decoded(sample, layout)[channel])
        recognised.append(plain(" ".join(speech.text for speech in engine.transcribe(pieces, "ru"))))

    assert jiwer.wer(references, recognised) <= 0.05
    assert jiwer.wer(references[0], recognised[0]) <= 0.05


def test_words_stand_in_order_within_the_segment(engine, phrases):
    for sound, speech in zip(phrases, engine.transcribe(phrases, "ru"), strict=True):
        times = [time for word in speech.words for time in (word.start_s, word.end_s)]

        assert " ".join(word.text for word in speech.words) == speech.text != ""
        assert times == sorted(times)
        assert all(word.start_s < word.end_s for word in speech.words)
        assert 0 <= times[0] < times[-1] <= len(sound) / SAMPLE_RATE
        assert all(0 < word.confidence <= 1 for word in speech.words)


def test_words_begin_where_the_ctc_model_hears_them(recogniser, phrases):
    """Two heads of different kinds over the same sound agree on when a word was said."""
    both = [recogniser.transcribe(phrases), Recogniser(load(TOY)).transcribe(phrases)]

    own_words, other_words = ([word for speech in speeches for word in speech.words] for speeches in both)
    pairs = [(a, b) for a, b in zip(own_words, other_words, strict=True) if a.text == b.text]
    assert len(pairs) >= 0.9 * len(own_words)
    assert max(abs(a.start_s - b.start_s) for a, b in pairs) <= 0.081


@pytest.mark.parametrize(("window", "asking"), [(1, True), (4, True), (8, False)])
def test_the_fast_search_finds_in_real_speech_what_the_textbook_finds(recogniser, phrases, window, asking):
    with torch.inference_mode():
        encoded, ends = recogniser.encode(*recogniser.features(phrases), recogniser.encoder)
        result = Search(recogniser.model.head, window, asking=asking)(encoded, ends)

    for sample, end, emission in zip(encoded, ends, result, strict=True):
        expected = textbook.transducer(recogniser.model.head, sample, int(end))
        assert (list(emission.tokens), list(emission.frames)) == expected
        assert emission.tokens


def test_a_segment_says_the_same_alone_and_in_any_batch(recogniser, phrases):
    alone = [recogniser.emissions([phrase])[0] for phrase in phrases]
    very_short = np.ones(10, np.int16)

    together = recogniser.emissions([very_short, *phrases, phrases[0][: SAMPLE_RATE // 3]])[1:-1]

    assert [(one.tokens, one.frames) for one in together] == [(one.tokens, one.frames) for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)


@pytest.mark.parametrize("longest_s", [6, 12, 20])
def test_no_word_is_lost_or_doubled_where_a_recording_was_cut(engine, wave, longest_s):
    spans = vad.cut(vad.speech(wave), max_s=longest_s, sound=wave)
    pieces = [wave[int(span.start_s * SAMPLE_RATE) : int(span.end_s * SAMPLE_RATE)] for span in spans]

    recognised = " ".join(speech.text for speech in engine.transcribe(pieces, "ru"))

    compared = jiwer.process_words(plain((DATA / "ru_meeting.txt").read_text()), plain(recognised))
    assert len(pieces) > 50 / longest_s
    assert compared.deletions + compared.insertions <= 1


def test_silence_and_a_quiet_room_say_nothing(engine):
    room = np.random.default_rng(0).normal(0, 50, 3 * SAMPLE_RATE).astype(np.int16)

    assert [speech.text for speech in engine.transcribe([np.zeros_like(room), room], "ru")] == ["", ""]


def test_the_road_goes_through_the_transducer_to_a_transcript_that_is_found(settings):
    app = Application(settings)

    task = done(app, accept(app, "ru_meeting.opus"))

    assert (task.engine, task.status, task.progress) == ("gigaam-v3_rnnt", "completed", 100)
    assert errors_percent((DATA / "ru_meeting.txt").read_text(), transcript_text(app, task)) <= 5
    (best, *_) = app.searcher.search(EVERYONE, "бухгалтерией").matches
    words = app.transcripts.words_between(task.recording_id, best.play_s, best.play_s + 2)
    assert any(word.text.startswith("бухгалтери") for word in words)
