"""The road, from bytes to moments, in this process."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace

import jiwer
import pytest
from sqlalchemy import func, select

from core.application import Journey
from core.database.tables import Job, PassageRow, Recording, Segment, Task, Transcript
from core.embedding.embedder import text_hash
from core.errors import NoSound, NotFound, Rejected, UnreadableMedia
from core.library.recordings import Wish
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE, Principal
from core.speech.engine import Speech, Word
from tests.around import Around
from tests.conftest import DATA
from tests.drive import perform_all, ready

RUSSIAN, ENGLISH = Wish(language="ru"), Wish(language="en")


def accept(here: Journey, name: str, wish: Wish = RUSSIAN, who: Principal = EVERYONE) -> Task:
    with (DATA / name).open("rb") as file:
        return here.accept(who, file, name, wish)


def done(here: Journey, task: Task) -> Task:
    perform_all(here)
    return here.recordings.task(EVERYONE, task.id)


def heard(here: Journey, task: Task) -> str:
    return " ".join(part.text for part in here.transcripts.heard(task.transcript_id))


def errors_percent(expected: str, got: str) -> float:
    def plain(text: str) -> str:
        return re.sub(r"[^\w\s']", " ", text.lower().replace("ё", "е"))

    return 100 * jiwer.wer(plain(expected), plain(got))


def count(here: Journey, model: type) -> int:
    with here.records.read() as session:
        return session.scalar(select(func.count()).select_from(model))


class Counting(Around):
    """An engine that counts the segments it was given, around a real one."""

    def __init__(self, engine):
        super().__init__(engine)
        self.segments = 0

    def ask(self, segments, language):
        self.segments += len(segments)
        return self._engine.ask(segments, language)


@pytest.fixture
def counted(here):
    """The Russian engine of `here`, counting."""
    name = here.choose(RUSSIAN).engine.name
    here.engines[name] = Counting(here.engines[name])
    return here.engines[name]


@pytest.mark.parametrize(("name", "wish"), [("ru_meeting", RUSSIAN), ("en_meeting", ENGLISH)])
def test_a_recording_becomes_its_words(here, name, wish):
    task = done(here, accept(here, f"{name}.opus", wish))

    assert (task.status, task.progress) == ("completed", 100)
    assert errors_percent((DATA / f"{name}.txt").read_text(), heard(here, task)) <= 10


def test_subtitles_are_short_and_a_transcript_of_their_own(here):
    paragraphs = done(here, accept(here, "ru_meeting.opus"))
    phrases = done(here, accept(here, "ru_meeting.opus", replace(RUSSIAN, subtitles=True)))

    assert phrases.transcript_id != paragraphs.transcript_id
    assert all(part.end_s - part.start_s < 8 for part in here.transcripts.heard(phrases.transcript_id))
    assert any(part.end_s - part.start_s > 8 for part in here.transcripts.heard(paragraphs.transcript_id))


def test_russian_is_found_by_another_form_of_the_word(here):
    task = done(here, accept(here, "ru_meeting.opus"))

    found = here.search(EVERYONE, "бухгалтерией").matches
    assert found
    assert found[0].row.recording_id == task.recording_id
    assert "бухгалтерия" in found[0].row.text


def test_playing_starts_where_the_word_was_said(here):
    done(here, accept(here, "en_meeting.opus", ENGLISH))

    (match, *_) = here.search(EVERYONE, "contracts").matches
    said = here.transcripts.said(match.row.recording_id, match.play_s, match.play_s + 1.5)
    assert "contract" in [word.text for word in said]


def test_english_is_found_by_meaning(here):
    done(here, accept(here, "en_meeting.opus", ENGLISH))

    best = here.search(EVERYONE, "an unhappy client with a faulty device").matches[0]
    assert best.why in {"meaning", "both"}
    assert "machine" in best.row.text


def test_without_an_embedder_for_its_language_a_recording_says_so(here):
    task = done(here, accept(here, "ru_meeting.opus"))

    assert here.recordings.get(EVERYONE, task.recording_id).meaning == "off"


def test_channels_of_a_call_are_two_speakers(here):
    task = done(here, accept(here, "call_stereo.opus", Wish(language="ru", split_channels=True)))

    for side in ("left", "right"):
        said = " ".join(p.text for p in here.transcripts.heard(task.transcript_id) if p.channel == side)
        assert errors_percent((DATA / f"call_stereo.{side}.txt").read_text(), said) <= 15


def test_the_same_bytes_are_transcribed_once(here, counted):
    first = done(here, accept(here, "ru_meeting.opus"))
    segments = counted.segments
    again = accept(here, "ru_meeting.opus")

    assert again.status == "completed"
    assert again.recording_id == first.recording_id
    assert (counted.segments, count(here, Recording)) == (segments, 1)


def test_another_owner_gets_a_recording_of_their_own_and_the_same_transcript(here, counted):
    done(here, accept(here, "ru_meeting.opus"))
    segments = counted.segments
    theirs = done(here, accept(here, "ru_meeting.opus", who=Principal("key1")))

    assert theirs.status == "completed"
    assert counted.segments == segments
    assert count(here, Recording) == 2


def test_force_transcribes_again(here, counted):
    done(here, accept(here, "ru_meeting.opus"))
    segments = counted.segments
    done(here, accept(here, "ru_meeting.opus", Wish(language="ru", force=True)))

    assert counted.segments == 2 * segments


def test_an_interrupted_transcription_resumes_at_the_next_segment(here, counted):
    """Whatever was heard before the stop is not heard again."""
    task = accept(here, "ru_meeting.opus")
    (job,) = ready(here)
    here.prepare(here.work.claim(job.id, "w"))
    pending = here.transcripts.pending(task.transcript_id)
    (job,) = ready(here)
    claim = here.work.claim(job.id, "w")
    here.transcripts.commit(claim, pending[:1], [Speech("уже сказано")], 0.1)
    here.work.put_back(claim)

    ended = done(here, task)
    assert counted.segments == len(pending) - 1
    assert heard(here, ended).startswith("уже сказано")


def test_a_partial_transcript_can_be_read(here):
    task = accept(here, "ru_meeting.opus")
    (job,) = ready(here)
    here.prepare(here.work.claim(job.id, "w"))
    pending = here.transcripts.pending(task.transcript_id)
    (job,) = ready(here)
    here.transcripts.commit(here.work.claim(job.id, "w"), pending[:1], [Speech("начало")], 0.1)

    assert heard(here, task) == "начало"


def test_silence_is_a_finished_job_with_an_empty_transcript(here, tmp_path):
    import wave

    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 16_000 * 5))
    with path.open("rb") as file:
        task = done(here, here.accept(EVERYONE, file, path.name, RUSSIAN))

    assert task.status == "completed"
    assert heard(here, task) == ""


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", UnreadableMedia),
        (b"just some text, renamed", UnreadableMedia),
        (b"#EXTM3U\nhttp://127.0.0.1:1/a", Rejected),
    ],
)
def test_what_is_no_recording_is_refused_and_leaves_nothing(here, content, error):
    with pytest.raises(error):
        here.accept(EVERYONE, io.BytesIO(content), "not.wav", RUSSIAN)

    assert count(here, Recording) == 0
    assert not [path for path in (here.settings.home / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\0b.wav", "\u202eexe.wav", "🎙.wav", "я" * 4000])
def test_strange_names_are_only_shown(here, name):
    with (DATA / "ru_meeting.opus").open("rb") as file:
        task = here.accept(EVERYONE, file, name, RUSSIAN)

    shown = here.recordings.get(EVERYONE, task.recording_id).filename
    assert 0 < len(shown) <= 255
    assert not set(shown) & {"/", "\0", "\u202e"}


def test_a_key_sees_only_its_own(here):
    task = done(here, accept(here, "ru_meeting.opus", who=Principal("key1")))

    assert here.search(Principal("key1"), "бюджет").matches
    assert not here.search(Principal("key2"), "бюджет").matches
    with pytest.raises(NotFound):
        here.recordings.get(Principal("key2"), task.recording_id)


def test_deleting_leaves_nothing_of_ones_own(here):
    task = done(here, accept(here, "ru_meeting.opus"))
    here.delete(EVERYONE, task.recording_id)

    assert not here.search(EVERYONE, "бюджет").matches
    assert [count(here, model) for model in (Recording, Task, Job, PassageRow, Transcript, Segment)] == [
        0
    ] * 6
    assert not [path for path in (here.settings.home / "blobs").rglob("*") if path.is_file()]


def test_a_vector_outlives_its_passage_for_a_while(here):
    """What was bought once is free for a month; then nothing of the text is left, not even its vector."""
    from core.clients import retention

    task = done(here, accept(here, "en_meeting.opus", ENGLISH))
    with here.records.read() as session:
        texts = list(session.scalars(select(PassageRow.text)))
    hashes = [text_hash(here.embedder(), text) for text in texts]
    assert hashes
    here.delete(EVERYONE, task.recording_id)

    retention.sweep(here, time.time() + 29 * 24 * 3600)
    assert len(here.index_store.vectors_of(here.embedder(), hashes)) == len(hashes)
    retention.sweep(here, time.time() + 31 * 24 * 3600)
    assert not here.index_store.vectors_of(here.embedder(), hashes)


def test_deleting_keeps_what_another_owner_still_has(here):
    mine = done(here, accept(here, "ru_meeting.opus"))
    theirs = done(here, accept(here, "ru_meeting.opus", who=Principal("key1")))
    here.delete(EVERYONE, mine.recording_id)

    assert here.search(Principal("key1"), "бюджет").matches
    assert heard(here, theirs)


def test_deleting_in_the_middle_ends_the_work_quietly(here):
    task = accept(here, "ru_meeting.opus")
    (job,) = ready(here)
    claim = here.work.claim(job.id, "w")
    here.delete(EVERYONE, task.recording_id)

    with pytest.raises((NotFound, Rejected)):
        here.prepare(claim)
    assert ready(here) == []


def test_cancelling_keeps_what_was_heard(here):
    task = accept(here, "ru_meeting.opus")
    (job,) = ready(here)
    here.prepare(here.work.claim(job.id, "w"))
    (job,) = ready(here)
    claim = here.work.claim(job.id, "w")
    pending = here.transcripts.pending(task.transcript_id)
    here.transcripts.commit(claim, pending[:1], [Speech("начало")], 0.1)

    assert here.cancel(EVERYONE, task.id)
    with pytest.raises(Rejected):
        here.transcripts.commit(claim, pending[1:2], [Speech("дальше")], 0.1)
    assert heard(here, task) == "начало"


def test_a_cancelled_task_can_be_resumed(here):
    task = accept(here, "ru_meeting.opus")
    here.cancel(EVERYONE, task.id)

    assert here.retry(EVERYONE, task.id)
    assert done(here, task).status == "completed"


class Late(Around):
    """The toy, hearing one more word, which ends behind the sound."""

    def ask(self, segments, language):
        asker = self._engine.ask(segments, language)
        hear = asker.wait
        ends_s = [len(segment) / SAMPLE_RATE for segment in segments]
        asker.wait = lambda: [
            Speech(f"{said.text} да", (*said.words, Word("да", end_s - 0.02, end_s + 0.3)))
            for said, end_s in zip(hear(), ends_s, strict=True)
        ]
        return asker


def test_no_word_ends_behind_its_segment(here):
    here.engines["gigaam-toy"] = Late(here.engines["gigaam-toy"])

    task = done(here, accept(here, "ru_meeting.opus"))

    parts = here.transcripts.heard(task.transcript_id)
    assert [part.words[-1].text for part in parts] == ["да"] * len(parts)
    assert all(word.end_s <= part.end_s for part in parts for word in part.words)


def test_video_without_sound_is_refused_with_the_reason(here, tmp_path):
    import av
    import numpy as np

    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with path.open("rb") as file, pytest.raises(NoSound):
        here.accept(EVERYONE, file, path.name, RUSSIAN)
