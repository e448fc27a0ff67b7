"""Translations into English and chance: asked for everywhere, of Whisper alone, and never mixed up."""

import itertools
import re
import wave
from dataclasses import replace

import psutil
import pytest

from core.application import Application
from core.errors import Code, Rejected
from core.library.recordings import TranscriptionOptions
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE
from core.settings import Settings
from core.speech import engines
from core.speech.engine import Speech, TunableEngine, with_options
from core.speech.engines.whisper import WhisperEngine
from tests import voices
from tests.conftest import DATA
from tests.drive import perform_all
from tests.installation import cut, generous, upload
from tests.serve import serve, working
from tests.test_whisper import noises

ENGLISH = TranscriptionOptions(language="ru", engine="whisper-base", translate=True)


@pytest.fixture(scope="module")
def morning(tmp_path_factory):
    """Six seconds of Russian: "Good morning, colleagues, we begin the meeting"."""
    return cut(tmp_path_factory.mktemp("morning"), "ru_planning.opus", 6)


class Decoder:
    """Says with what it was asked."""

    def __init__(self):
        self.asked = []

    def transcribe(self, segments, options):
        self.asked.append((options.language, options.task, options.temperature))
        return [Speech("Good morning.") for _ in segments]

    def language_probabilities(self, sounds):
        return [{"ru": 0.98, "en": 0.02} for _ in sounds]


@pytest.fixture
def decoder(monkeypatch):
    decoder = Decoder()
    monkeypatch.setattr(WhisperEngine, "_decoder", lambda _self: decoder)
    return decoder


def accept(app: Application, path, options):
    with path.open("rb") as file:
        return app.intake.accept(EVERYONE, file, path.name, options)


def done(app: Application, task):
    perform_all(app)
    return app.recordings.task(EVERYONE, task.id)


def text(app: Application, task) -> str:
    return " ".join(part.text for part in app.transcripts.segments(task.transcript_id))


def test_russian_speech_becomes_english_text(app, morning):
    task = done(app, accept(app, morning, ENGLISH))

    assert task.status == "completed"
    assert re.search("[a-z]{4}", text(app, task))
    assert not re.search("[а-яё]", text(app, task).lower())
    assert not app.transcripts.get(task.transcript_id).warnings


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ENGLISH, ("ru", "translate", 0.0)),
        (replace(ENGLISH, engine=""), ("ru", "translate", 0.0)),
        (replace(ENGLISH, engine="", language="auto"), ("ru", "translate", 0.0)),
        (replace(ENGLISH, translate=False, temperature=0.4), ("ru", "transcribe", 0.4)),
        (replace(ENGLISH, translate=False), ("ru", "transcribe", 0.0)),
    ],
)
def test_what_is_asked_for_reaches_the_model(app, morning, decoder, options, expected):
    assert done(app, accept(app, morning, options)).status == "completed"
    assert set(decoder.asked) == {expected}


def test_a_transcript_is_reused_only_where_it_was_asked_for_in_the_same_way(app, morning, decoder):
    ways = [replace(ENGLISH, translate=t, temperature=c) for t in (False, True) for c in (0.0, 0.2, 0.8)]
    first = [done(app, accept(app, morning, options)).transcript_id for options in ways]
    request_count = len(decoder.asked)
    again = [done(app, accept(app, morning, options)).transcript_id for options in ways]

    assert len(set(first)) == len(ways)
    assert again == first
    assert len(decoder.asked) == request_count


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"translate": True}, Code.TRANSLATION_NOT_OF_ENGINE),
        ({"temperature": 0.2}, Code.TEMPERATURE_NOT_OF_ENGINE),
    ],
)
def test_what_an_engine_cannot_do_is_refused_where_it_is_named(app, morning, options, code):
    plain = replace(ENGLISH, translate=False)
    with pytest.raises(Rejected) as refused:
        accept(app, morning, replace(plain, engine="gigaam-v3_ctc", **options))

    assert refused.value.code == code
    assert app.intake.choose_engine(replace(plain, engine="auto", temperature=0.2)).engine.name
    assert app.intake.choose_engine(replace(ENGLISH, engine="auto")).engine.name == "whisper-base"


@pytest.mark.parametrize(
    ("model", "translates"),
    [("base", True), ("large-v3", True), ("large-v3-turbo", False), ("distil-large-v3", False)],
)
def test_only_models_that_have_learnt_it_translate(tmp_path, model, translates):
    engine = WhisperEngine(model, tmp_path)
    assert isinstance(engine, TunableEngine)
    able = engines.able({engine.name: engine}, "auto", translate=True, temperature=0.0)
    assert bool(able) == translates


def test_asking_for_more_changes_nobody_elses_engine(tmp_path):
    engine = WhisperEngine("base", tmp_path)
    tuned_engine = with_options(engine, translate=True, temperature=0.6)
    assert (tuned_engine.translate, tuned_engine.temperature, tuned_engine.name) == (True, 0.6, engine.name)
    assert (engine.translate, engine.temperature) == (False, 0.0)
    assert with_options(engine, translate=False, temperature=0.0) is engine


@pytest.fixture
def served(tmp_path):
    with serve(generous(tmp_path / "home")) as served:
        yield served


def test_programs_ask_in_every_form(served, morning, decoder):
    with served.client() as me:
        assert upload(me, morning, language="ru", task="translate", temperature="0.3").status_code == 202
        perform_all(served.app)
        classic = {"file": ("a.wav", morning.read_bytes())}
        assert me.post("/transcribe/?task=translate&language=ru", files=classic).status_code == 200
        perform_all(served.app)
        assert upload(me, morning, task="dance").status_code == 400
        assert upload(me, morning, temperature="2").status_code == 400
    assert decoder.asked == [("ru", "translate", 0.3), ("ru", "translate", 0.0)]


def test_clients_of_openai_translate(served, morning, decoder):
    fields = {"response_format": "verbose_json", "temperature": "0.2", "language": "ru"}
    with served.client() as me, working(served.app):
        response = me.post(
            "/v1/audio/translations", files={"file": ("a.wav", morning.read_bytes())}, data=fields
        )
        plain = me.post(
            "/v1/audio/transcriptions", files={"file": ("a.wav", morning.read_bytes())}, data=fields
        )

    assert (response.status_code, plain.status_code) == (200, 200)
    assert response.json()["task"] == "translate"
    assert {segment["temperature"] for segment in response.json()["segments"]} == {0.2}
    assert decoder.asked[0] == ("ru", "translate", 0.2)
    assert plain.json()["task"] == "transcribe"


@pytest.mark.parametrize(("name", "translate"), zip(noises(1), itertools.cycle([False, True])))
def test_what_is_no_speech_gives_no_words_through_the_whole_chain(app, tmp_path, name, translate):
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        out.writeframes((noises(20)[name] * 0.1 * 32767).astype("<i2").tobytes())

    task = done(app, accept(app, path, replace(ENGLISH, translate=translate)))

    assert (task.status, text(app, task)) == ("completed", "")


@pytest.mark.slow
def test_many_segments_leave_no_memory_behind(tmp_path_factory):
    """Short for ten hours: `python -m benchmarks.bench_long --engine whisper-base`."""
    sound = voices.sound(DATA / "en_meeting.opus", tmp_path_factory.mktemp("long"))[: 3 * SAMPLE_RATE]
    engine = WhisperEngine("base", Settings().models)
    me, after = psutil.Process(), []
    for n in range(16):
        engine.transcribe([sound, sound], "en")
        if n % 5 == 0:
            after.append(me.memory_info().rss / 1e6)
    assert after[-1] - after[1] < 30
