"""The road, from bytes to moments, in this process."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import jiwer
import pytest
from sqlalchemy import func, select

from core.application import Application
from core.database.tables import Job, PassageRow, Recording, Segment, Task, Transcript
from core.embedding.embedder import text_hash
from core.embedding.embedders import e5
from core.errors import NoSound, NotFound, Rejected, UnreadableMedia
from core.library.recordings import TranscriptionOptions
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE, Principal
from core.speech.engine import Speech, Word
from tests.around import Around
from tests.conftest import DATA
from tests.drive import perform_all, ready

RUSSIAN, ENGLISH = TranscriptionOptions(language="ru"), TranscriptionOptions(language="en")


def accept(
    app: Application, name: str, options: TranscriptionOptions = RUSSIAN, principal: Principal = EVERYONE
) -> Task:
    with (DATA / name).open("rb") as file:
        return app.intake.accept(principal, file, name, options)


def done(app: Application, task: Task) -> Task:
    perform_all(app)
    return app.recordings.task(EVERYONE, task.id)


def transcript_text(app: Application, task: Task) -> str:
    return " ".join(part.text for part in app.transcripts.segments(task.transcript_id))


def errors_percent(expected: str, got: str) -> float:
    def plain(text: str) -> str:
        return re.sub(r"[^\w\s']", " ", text.lower().replace("ё", "е"))

    return 100 * jiwer.wer(plain(expected), plain(got))


def count(app: Application, model: type) -> int:
    with app.database.read() as session:
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
def counted(app):
    """The Russian engine of `here`, counting."""
    name = app.intake.choose_engine(RUSSIAN).engine.name
    app.engines[name] = Counting(app.engines[name])
    return app.engines[name]


@pytest.mark.parametrize(("name", "options"), [("ru_meeting", RUSSIAN), ("en_meeting", ENGLISH)])
def test_a_recording_becomes_its_words(app, name, options):
    task = done(app, accept(app, f"{name}.opus", options))

    assert (task.status, task.progress) == ("completed", 100)
    assert errors_percent((DATA / f"{name}.txt").read_text(), transcript_text(app, task)) <= 10


def test_subtitles_are_short_and_a_transcript_of_their_own(app):
    paragraphs = done(app, accept(app, "ru_meeting.opus"))
    phrases = done(app, accept(app, "ru_meeting.opus", replace(RUSSIAN, subtitles=True)))

    assert phrases.transcript_id != paragraphs.transcript_id
    assert all(part.end_s - part.start_s < 8 for part in app.transcripts.segments(phrases.transcript_id))
    assert any(part.end_s - part.start_s > 8 for part in app.transcripts.segments(paragraphs.transcript_id))


def test_russian_is_found_by_another_form_of_the_word(app):
    task = done(app, accept(app, "ru_meeting.opus"))

    matches = app.searcher.search(EVERYONE, "бухгалтерией").matches
    assert matches
    assert matches[0].row.recording_id == task.recording_id
    assert "бухгалтерия" in matches[0].row.text


def test_playing_starts_where_the_word_was_said(app):
    done(app, accept(app, "en_meeting.opus", ENGLISH))

    (match, *_) = app.searcher.search(EVERYONE, "contracts").matches
    words = app.transcripts.words_between(match.row.recording_id, match.play_s, match.play_s + 1.5)
    assert "contract" in [word.text for word in words]


def test_english_is_found_by_meaning(app):
    done(app, accept(app, "en_meeting.opus", ENGLISH))

    best = app.searcher.search(EVERYONE, "an unhappy client with a faulty device").matches[0]
    assert best.why in {"meaning", "both"}
    assert "machine" in best.row.text


def test_russian_is_found_by_meaning_and_asked_in_english_too(app):
    if absent := e5.reason():
        pytest.skip(absent)
    task = done(app, accept(app, "ru_meeting.opus"))

    assert app.recordings.get(EVERYONE, task.recording_id).embedding_status == "done"
    for question in ("кто ведёт финансовый учёт", "who does the financial records"):
        assert app.searcher.search(EVERYONE, question).matches[0].why in {"meaning", "both"}


def test_without_an_embedder_for_its_language_a_recording_says_so(app, monkeypatch):
    monkeypatch.setattr(e5, "_file", lambda: None)
    task = done(app, accept(app, "ru_meeting.opus"))

    assert app.recordings.get(EVERYONE, task.recording_id).embedding_status == "off"


def test_channels_of_a_call_are_two_speakers(app):
    task = done(
        app, accept(app, "call_stereo.opus", TranscriptionOptions(language="ru", split_channels=True))
    )

    for side in ("left", "right"):
        text = " ".join(p.text for p in app.transcripts.segments(task.transcript_id) if p.channel == side)
        assert errors_percent((DATA / f"call_stereo.{side}.txt").read_text(), text) <= 15


def test_the_same_bytes_are_transcribed_once(app, counted):
    first = done(app, accept(app, "ru_meeting.opus"))
    segments = counted.segments
    again = accept(app, "ru_meeting.opus")

    assert again.status == "completed"
    assert again.recording_id == first.recording_id
    assert (counted.segments, count(app, Recording)) == (segments, 1)


def test_another_owner_gets_a_recording_of_their_own_and_the_same_transcript(app, counted):
    done(app, accept(app, "ru_meeting.opus"))
    segments = counted.segments
    their_task = done(app, accept(app, "ru_meeting.opus", principal=Principal("key1")))

    assert their_task.status == "completed"
    assert counted.segments == segments
    assert count(app, Recording) == 2


def test_force_transcribes_again(app, counted):
    done(app, accept(app, "ru_meeting.opus"))
    segments = counted.segments
    done(app, accept(app, "ru_meeting.opus", TranscriptionOptions(language="ru", force=True)))

    assert counted.segments == 2 * segments


def test_an_interrupted_transcription_resumes_at_the_next_segment(app, counted):
    """Whatever was heard before the stop is not heard again."""
    task = accept(app, "ru_meeting.opus")
    (job,) = ready(app)
    app.pipeline.run(app.job_queue.claim(job.id, "w"))
    pending = app.transcripts.pending(task.transcript_id)
    (job,) = ready(app)
    claim = app.job_queue.claim(job.id, "w")
    app.transcripts.commit(claim, pending[:1], [Speech("уже сказано")], 0.1)
    app.job_queue.requeue(claim)

    ended = done(app, task)
    assert counted.segments == len(pending) - 1
    assert transcript_text(app, ended).startswith("уже сказано")


def test_a_partial_transcript_can_be_read(app):
    task = accept(app, "ru_meeting.opus")
    (job,) = ready(app)
    app.pipeline.run(app.job_queue.claim(job.id, "w"))
    pending = app.transcripts.pending(task.transcript_id)
    (job,) = ready(app)
    app.transcripts.commit(app.job_queue.claim(job.id, "w"), pending[:1], [Speech("начало")], 0.1)

    assert transcript_text(app, task) == "начало"


def test_silence_is_a_finished_job_with_an_empty_transcript(app, tmp_path):
    import wave

    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 16_000 * 5))
    with path.open("rb") as file:
        task = done(app, app.intake.accept(EVERYONE, file, path.name, RUSSIAN))

    assert task.status == "completed"
    assert transcript_text(app, task) == ""


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", UnreadableMedia),
        (b"just some text, renamed", UnreadableMedia),
        (b"#EXTM3U\nhttp://127.0.0.1:1/a", Rejected),
    ],
)
def test_what_is_no_recording_is_refused_and_leaves_nothing(app, content, error):
    with pytest.raises(error):
        app.intake.accept(EVERYONE, io.BytesIO(content), "not.wav", RUSSIAN)

    assert count(app, Recording) == 0
    assert not [path for path in (app.settings.home / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\0b.wav", "\u202eexe.wav", "🎙.wav", "я" * 4000])
def test_strange_names_are_only_shown(app, name):
    with (DATA / "ru_meeting.opus").open("rb") as file:
        task = app.intake.accept(EVERYONE, file, name, RUSSIAN)

    filename = app.recordings.get(EVERYONE, task.recording_id).filename
    assert 0 < len(filename) <= 255
    assert not set(filename) & {"/", "\0", "\u202e"}


def test_a_key_sees_only_its_own(app):
    task = done(app, accept(app, "ru_meeting.opus", principal=Principal("key1")))

    assert app.searcher.search(Principal("key1"), "бюджет").matches
    assert not app.searcher.search(Principal("key2"), "бюджет").matches
    with pytest.raises(NotFound):
        app.recordings.get(Principal("key2"), task.recording_id)


def test_deleting_leaves_nothing_of_ones_own(app):
    task = done(app, accept(app, "ru_meeting.opus"))
    app.deletion.delete_recording(EVERYONE, task.recording_id)

    assert not app.searcher.search(EVERYONE, "бюджет").matches
    assert [count(app, model) for model in (Recording, Task, Job, PassageRow, Transcript, Segment)] == [0] * 6
    assert not [path for path in (app.settings.home / "blobs").rglob("*") if path.is_file()]


def test_a_vector_outlives_its_passage_for_a_while(app):
    """What was bought once is free for a month; then nothing of the text is left, not even its vector."""

    task = done(app, accept(app, "en_meeting.opus", ENGLISH))
    with app.database.read() as session:
        texts = list(session.scalars(select(PassageRow.text)))
    hashes = [text_hash(app.active_embedder.embedder(), text) for text in texts]
    assert hashes
    app.deletion.delete_recording(EVERYONE, task.recording_id)

    app.clock.ahead_s = 29 * 24 * 3600
    app.retention.sweep()
    assert len(app.index.vectors_of(app.active_embedder.embedder(), hashes)) == len(hashes)
    app.clock.ahead_s = 31 * 24 * 3600
    app.retention.sweep()
    assert not app.index.vectors_of(app.active_embedder.embedder(), hashes)


def test_deleting_keeps_what_another_owner_still_has(app):
    my_task = done(app, accept(app, "ru_meeting.opus"))
    their_task = done(app, accept(app, "ru_meeting.opus", principal=Principal("key1")))
    app.deletion.delete_recording(EVERYONE, my_task.recording_id)

    assert app.searcher.search(Principal("key1"), "бюджет").matches
    assert transcript_text(app, their_task)


def test_deleting_in_the_middle_ends_the_work_quietly(app):
    task = accept(app, "ru_meeting.opus")
    (job,) = ready(app)
    claim = app.job_queue.claim(job.id, "w")
    app.deletion.delete_recording(EVERYONE, task.recording_id)

    with pytest.raises((NotFound, Rejected)):
        app.pipeline.stages["prepare"].run(claim)
    assert ready(app) == []


def test_cancelling_keeps_what_was_heard(app):
    task = accept(app, "ru_meeting.opus")
    (job,) = ready(app)
    app.pipeline.run(app.job_queue.claim(job.id, "w"))
    (job,) = ready(app)
    claim = app.job_queue.claim(job.id, "w")
    pending = app.transcripts.pending(task.transcript_id)
    app.transcripts.commit(claim, pending[:1], [Speech("начало")], 0.1)

    assert app.tasks.cancel(EVERYONE, task.id)
    with pytest.raises(Rejected):
        app.transcripts.commit(claim, pending[1:2], [Speech("дальше")], 0.1)
    assert transcript_text(app, task) == "начало"


def test_a_cancelled_task_can_be_resumed(app):
    task = accept(app, "ru_meeting.opus")
    app.tasks.cancel(EVERYONE, task.id)

    assert app.tasks.retry(EVERYONE, task.id)
    assert done(app, task).status == "completed"


class Late(Around):
    """The toy, hearing one more word, which ends behind the sound."""

    def ask(self, segments, language):
        asker = self._engine.ask(segments, language)
        wait = asker.wait
        ends_s = [len(segment) / SAMPLE_RATE for segment in segments]
        asker.wait = lambda: [
            Speech(f"{said.text} да", (*said.words, Word("да", end_s - 0.02, end_s + 0.3)))
            for said, end_s in zip(wait(), ends_s, strict=True)
        ]
        return asker


def test_no_word_ends_behind_its_segment(app):
    app.engines["gigaam-v3_ctc"] = Late(app.engines["gigaam-v3_ctc"])

    task = done(app, accept(app, "ru_meeting.opus"))

    parts = app.transcripts.segments(task.transcript_id)
    assert [part.words[-1].text for part in parts] == ["да"] * len(parts)
    assert all(word.end_s <= part.end_s for part in parts for word in part.words)


def test_video_without_sound_is_refused_with_the_reason(app, tmp_path):
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
        app.intake.accept(EVERYONE, file, path.name, RUSSIAN)
