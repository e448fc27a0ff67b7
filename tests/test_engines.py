"""Engines: which one a recording gets and why, and that the ready ones hear what was said."""

import itertools
import re
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path

import av
import jiwer
import numpy as np
import pytest

from core.errors import BadRequest, Rejected
from core.media.waveform import SAMPLE_RATE
from core.settings import ROOT, Settings
from core.speech import engines, vad
from core.speech.engine import NOT_HERE, AsyncRemoteEngine, Word
from core.speech.engines.gigaam_package import knows_v3
from core.speech.gigaam.download import files
from core.speech.written import as_written
from tests import installation, remotely
from tools.fireworks_emulator import FireworksEmulator
from tools.groq_emulator import GroqEmulator
from tools.runpod_emulator import RunPodEmulator

DATA = Path(__file__).parent / "data"
REMOTE = ("groq", "groq-batch", "runpod", "runpod/faster-whisper", "fireworks", "fireworks-batch")
TRANSCRIBING = [
    ("gigaam-v3_ctc", "ru"),
    ("whisper-base", "en"),
    *(
        (name, language)
        for name in REMOTE
        for language in ("ru", "en")
        if (name, language) != ("runpod", "en")
    ),
]
"""Every engine that can hear here, with the languages of our samples that it understands."""


@pytest.fixture(scope="session")
def remote_engines(tmp_path_factory):
    """Engines at providers, which are emulated and hear with the engines of this machine."""
    with (
        GroqEmulator() as groq,
        RunPodEmulator() as runpod,
        RunPodEmulator(worker="faster-whisper") as whisper,
        FireworksEmulator() as fireworks,
        remotely.bucket() as bucket,
    ):
        keys = {f"{name}_api_key": "k" for name in ("groq", "runpod", "fireworks")} | bucket
        addresses = {
            "groq_base_url": f"{groq.url}/openai/v1",
            "runpod_url": runpod.endpoint,
            "fireworks_base_url": f"{fireworks.url}/sync/v1",
            "fireworks_batch_url": f"{fireworks.url}/batch",
        }
        settings = {
            "engine_auto_remote": True,
            "fireworks_enabled": True,
            "fireworks_account_id": "acc",
            **keys,
            **addresses,
        }
        settings["stenogram_home"] = tmp_path_factory.mktemp("remote_engines")
        configured = engines.all(Settings(**settings))
        other = {"runpod_worker": "faster-whisper", "runpod_url": whisper.endpoint}
        configured["runpod/faster-whisper"] = engines.all(Settings(**{**settings, **other}))["runpod"]
        yield configured


@pytest.fixture
def everywhere(engines_by_name, remote_engines):
    """Engines of this machine and those of providers."""
    return {**engines_by_name, **{name: remote_engines[name] for name in REMOTE}}


def recognise(engine, segments, language):
    """What an engine hears, at once or by order."""
    if not isinstance(engine, AsyncRemoteEngine):
        return engine.transcribe(segments, language)
    our_ids = [secrets.token_hex(8) for _ in segments]
    their_ids = [
        engine.submit(sound, language, our_id, 0) for sound, our_id in zip(segments, our_ids, strict=True)
    ]
    return [engine.poll(*order).speech for order in zip(their_ids, our_ids, strict=True)]


@pytest.fixture
def engines_by_name(tmp_path):
    settings = Settings(stenogram_home=tmp_path, models_dir=str(tmp_path), gigaam_model="v3_e2e_rnnt")
    return {**engines.all(settings), "gigaam-v3_ctc": installation.toy()}


def decoded(name, layout="mono"):
    """A sample as int16, shape [channels, samples]."""
    resampler = av.AudioResampler("s16p", layout, SAMPLE_RATE)
    with av.open(str(DATA / name)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray() for frame in frames + resampler.resample(None)], axis=1)


def cut(wave, policy="reading"):
    """Segments as the road cuts them: at silences, short enough for every engine."""
    spans = vad.cut(vad.speech(wave), max_s=20, policy=policy, sound=wave)
    return [wave[int(span.start_s * SAMPLE_RATE) : int(span.end_s * SAMPLE_RATE)] for span in spans]


def plain(text):
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower().replace("ё", "е")).split())


def word_errors(engine, segments, language, text):
    recognised = recognise(engine, segments, language)
    return jiwer.wer(plain(text), plain(" ".join(speech.text for speech in recognised)))


@pytest.mark.parametrize(
    ("sample", "name", "language", "policy"),
    [
        ("ru_meeting", "gigaam-v3_ctc", "ru", "reading"),
        ("ru_meeting", "gigaam-v3_ctc", "ru", "subtitles"),
        ("en_meeting", "whisper-base", "en", "reading"),
    ],
)
def test_a_sample_is_heard_with_few_word_errors(engines_by_name, sample, name, language, policy):
    engine = engines.choose(engines_by_name, name, language).engine
    segments = cut(decoded(f"{sample}.opus")[0], policy)

    assert max(len(one) for one in segments) <= engine.max_segment_s * SAMPLE_RATE
    assert word_errors(engine, segments, language, (DATA / f"{sample}.txt").read_text()) <= 0.10


@pytest.mark.parametrize(("side", "channel"), [("left", 0), ("right", 1)])
def test_each_side_of_a_call_is_heard_alone(engines_by_name, side, channel):
    segments = cut(decoded("call_stereo.opus", "stereo")[channel])
    text = (DATA / f"call_stereo.{side}.txt").read_text()

    assert word_errors(engines_by_name["gigaam-v3_ctc"], segments, "ru", text) <= 0.10


@pytest.mark.parametrize(("name", "language"), TRANSCRIBING)
def test_words_make_the_text_and_stand_in_order_within_the_segment(everywhere, name, language):
    sound = cut(decoded(f"{language}_meeting.opus")[0], "subtitles")[0]

    (speech,) = recognise(everywhere[name], [sound], language)

    assert " ".join(word.text for word in speech.words) == speech.text != ""
    assert all(word.start_s < word.end_s for word in speech.words)
    assert all(a.end_s <= b.start_s for a, b in zip(speech.words, speech.words[1:], strict=False))
    assert speech.words[-1].end_s <= len(sound) / SAMPLE_RATE
    assert not re.search(r"[<\[(]", speech.text)


@pytest.mark.parametrize(
    ("text", "heard", "written"),
    [
        ("скажи по-английски", "скажи|по|-английски", "скажи|по-английски"),
        ("at ten o'clock.", "at|ten|o|'clock.", "at|ten|o'clock."),
        ("Ну... да — нет", "Ну|...|да|—|нет", "Ну...|да|—|нет"),
        ("«Что-то» было", "«|Что|-то|»|было", "«Что-то»|было"),
        ("Привет, по-русски!", "привет|по|русски", "Привет,|по-русски!"),
        ("Привет, мир.", "привет|мир", "Привет,|мир."),
        ("大家好 OpenAI", "大|家|好|OpenAI", "大|家|好|OpenAI"),
        ("ร้าน 7-Eleven", "ร้|าน|7|-Eleven", "ร้|าน|7-Eleven"),
        ("Twenty-one. Yes.", "21", "21"),
        ("да —", "да", "да"),
        ("", "да", "да"),
    ],
)
def test_what_no_blank_divides_is_one_word(text, heard, written):
    words = [Word(part, float(n), n + 1.0, 0.9 - n / 10) for n, part in enumerate(heard.split("|"))]

    found = as_written(text, words)

    assert [word.text for word in found] == written.split("|")
    assert (found[0].start_s, found[-1].end_s) == (0.0, float(len(words)))
    assert all(before.end_s == after.start_s for before, after in itertools.pairwise(found))


def test_a_word_is_as_sure_as_the_least_sure_of_its_parts():
    parts = [Word("по", 0.0, 1.0, 0.9), Word("-английски", 1.0, 2.0, 0.3), Word("...", 2.0, 2.1, 0.1)]

    assert as_written("по-английски...", parts) == (Word("по-английски...", 0.0, 2.1, 0.3),)


@pytest.mark.parametrize(("name", "language"), TRANSCRIBING)
def test_silence_and_nothing_at_all_are_no_words(everywhere, name, language):
    silence = [np.zeros(SAMPLE_RATE, np.int16), np.zeros(0, np.int16)]

    assert [speech.words for speech in recognise(everywhere[name], silence, language)] == [(), ()]


@pytest.mark.parametrize("name", REMOTE)
def test_long_pieces_go_elsewhere_and_come_back_in_phrases_with_few_word_errors(everywhere, name):
    engine, sound = everywhere[name], decoded("ru_meeting.opus")[0]
    (speech,) = recognise(engine, [sound], "ru")

    assert len(sound) <= engine.max_segment_s * SAMPLE_RATE
    assert jiwer.wer(plain((DATA / "ru_meeting.txt").read_text()), plain(speech.text)) <= 0.10
    assert len(speech.phrases) > 1
    assert speech.text == " ".join(phrase.text for phrase in speech.phrases)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(speech.phrases))


@pytest.mark.parametrize("name", ["groq", "groq-batch", "runpod", "fireworks", "fireworks-batch"])
def test_without_what_it_needs_an_engine_says_so_and_takes_nothing(engines_by_name, name):
    engine = engines_by_name[name]

    assert not engine.readiness().ready
    assert engine.readiness().reason
    with pytest.raises(Rejected, match="not ready"):
        recognise(engine, [np.ones(SAMPLE_RATE, np.int16)], "ru")


def test_a_provider_is_chosen_by_itself_only_where_that_is_allowed_and_never_a_batch(remote_engines):
    assert engines.choose(remote_engines, "auto", "ru").engine.name == "gigaam-v3_ctc"
    assert engines.choose(remote_engines, "auto", "en").engine.name == "groq"


def test_a_provider_that_is_set_up_is_not_used_unasked(tmp_path):
    settings = Settings(stenogram_home=tmp_path, groq_api_key="k")
    assert engines.choose(engines.all(settings), "auto", "en").engine.name == "whisper-base"


def test_without_gigaam_russian_is_for_whisper_and_the_reason_says_what_is_missing(engines_by_name):
    choice = engines.choose(engines_by_name, "auto", "ru")

    assert choice.engine.name == "whisper-base"
    assert NOT_HERE in choice.reason


def test_every_other_language_is_for_whisper(engines_by_name):
    assert engines.choose(engines_by_name, "auto", "fr").engine.name == "whisper-base"


def test_no_reason_names_a_file_of_the_server(engines_by_name):
    reasons = [each.readiness().reason for each in engines_by_name.values()]
    assert not [reason for reason in reasons if "/" in reason or ".ckpt" in reason or len(reason) > 100]


def test_the_real_model_is_preferred_where_its_files_are(engines_by_name):
    real = engines_by_name["gigaam-v3_e2e_rnnt"]
    for name in files(real.checkpoint.stem):
        (real.checkpoint.parent / name).touch()

    assert engines.choose(engines_by_name, "auto", "ru").engine is real


def test_half_a_model_is_not_ready(engines_by_name):
    real = engines_by_name["gigaam-v3_e2e_rnnt"]
    real.checkpoint.touch()

    assert not real.readiness().ready


def test_a_named_engine_that_is_not_ready_is_refused_with_its_reason(engines_by_name):
    with pytest.raises(Rejected, match=NOT_HERE):
        engines.choose(engines_by_name, "gigaam-v3_e2e_rnnt", "ru")


def test_the_package_is_an_engine_of_its_own_only_where_it_knows_v3(engines_by_name):
    """What the index has (0.1.0) knows no v3: the README has the lines that bring one which does."""
    readiness = engines_by_name["gigaam-package"].readiness()

    assert not readiness.ready
    assert ("v3_e2e_rnnt" if knows_v3() else "the README says how") in readiness.reason


def test_the_package_needs_torchaudio_and_says_so(engines_by_name, tmp_path, monkeypatch):
    if find_spec("torchaudio"):
        pytest.skip("there is a torchaudio")
    package = tmp_path / "gigaam"
    package.mkdir()
    for name in ("__init__.py", "timestamps_utils.py"):
        (package / name).touch()
    monkeypatch.delitem(sys.modules, "gigaam", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    readiness = engines_by_name["gigaam-package"].readiness()

    assert knows_v3()
    assert not readiness.ready
    assert readiness.reason.startswith("the gigaam package needs a torchaudio")


def test_the_lines_that_bring_the_package_are_the_same_everywhere():
    readme = (ROOT / "README.md").read_text()
    lines = [line.removeprefix(".venv/bin/") for line in readme.splitlines() if "bin/pip install" in line]

    assert len(lines) == 2
    assert [line for line in lines if line not in (ROOT / "requirements.txt").read_text()] == []


def test_the_name_of_the_package_is_the_same_in_the_readme(engines_by_name):
    assert f'"{engines_by_name["gigaam-package"].title}"' in (ROOT / "README.md").read_text()


def test_the_engine_says_what_it_computes_with(engines_by_name):
    assert re.match(
        "computes on the [CG]PU.* in [a-z]+[0-9]+", engines_by_name["gigaam-v3_ctc"].device_reason()
    )
    assert re.match(
        "computes in [a-z]+[0-9_a-z]+ on the [CG]PU", engines_by_name["whisper-base"].device_reason()
    )


def test_an_unready_engine_refuses_to_transcribe(engines_by_name):
    with pytest.raises(Rejected, match="not ready"):
        engines_by_name["gigaam-v3_e2e_rnnt"].transcribe([np.zeros(SAMPLE_RATE, np.int16)], "ru")


def test_an_unknown_name_is_a_bad_request_that_lists_the_known(engines_by_name):
    with pytest.raises(BadRequest, match="gigaam-v3_ctc"):
        engines.choose(engines_by_name, "whisper", "ru")


@pytest.mark.parametrize(("requested", "language"), [("auto", "tlh"), ("gigaam-v3_e2e_rnnt", "en")])
def test_a_language_that_is_not_understood_is_refused(engines_by_name, requested, language):
    with pytest.raises(Rejected, match=language):
        engines.choose(engines_by_name, requested, language)


@pytest.mark.parametrize("longest_s", [6, 12, 20])
def test_no_word_is_lost_or_doubled_where_a_recording_was_cut(engines_by_name, longest_s):
    """The same recording cut at other places has the same words, one at most aside."""
    wave = decoded("ru_meeting.opus")[0]
    spans = vad.cut(vad.speech(wave), max_s=longest_s, sound=wave)
    pieces = [wave[int(span.start_s * SAMPLE_RATE) : int(span.end_s * SAMPLE_RATE)] for span in spans]

    recognised = " ".join(speech.text for speech in engines_by_name["gigaam-v3_ctc"].transcribe(pieces, "ru"))

    compared = jiwer.process_words(plain((DATA / "ru_meeting.txt").read_text()), plain(recognised))
    assert len(pieces) > 50 / longest_s
    assert compared.deletions + compared.insertions <= 1
