"""Listening once more: another engine hears a stretch, at its price, and what it heard is taken or left."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.database.states import TaskStatus
from core.errors import Code, Conflict, NotFound, ReadOnly, Rejected
from core.library import views
from core.principal import EVERYONE, Principal
from core.speech.engine import Mark, Word
from core.transcripts import corrections
from core.transcripts.segments import TranscribedSegment
from tests import drive
from tests.installation import generous
from tests.serve import serve
from tests.test_corrections import bring
from tools.groq_emulator import GroqEmulator

HEARD = ["good mourning every one", "and thank you for coming"]
WORD_S = 0.3


def spoken(texts, first_s=0.0) -> list[dict[str, object]]:
    return [
        {
            "text": text,
            "start_s": first_s + n * WORD_S,
            "end_s": first_s + (n + 1) * WORD_S,
            "confidence": 0.3,
        }
        for n, text in enumerate(texts)
    ]


def brought(app, clip, lines=HEARD) -> str:
    """The clip with a transcript that somebody else made, badly."""
    segments, start_s = [], 0.0
    for line in lines:
        words = spoken(line.split(), start_s)
        end_s = start_s + WORD_S * len(words)
        segments.append({"start": start_s, "end": end_s, "text": line, "words": words})
        start_s = end_s
    id_ = bring(app, json.dumps({"segments": segments}).encode(), language="en")
    with clip.open("rb") as file:
        app.intake.attach_file(EVERYONE, id_, file, "meeting.wav")
    return id_


def versions(app, id_):
    return [one.version for one in app.recording_text.utterances(EVERYONE, id_)]


def texts(app, id_):
    return [one.text for one in app.recording_text.utterances(EVERYONE, id_)]


def test_what_another_engine_hears_is_compared_taken_and_undone(app, clip):
    id_ = brought(app, clip)
    service = app.retranscriptions
    (offer,) = [one for one in service.offers(EVERYONE, id_, 0, 2) if not one.remote]
    assert (offer.engine, offer.usd, offer.present) == ("whisper-base", 0, False)

    task_id = service.begin(EVERYONE, id_, 0, versions(app, id_), offer.engine)
    with pytest.raises(Conflict) as early:
        service.take(EVERYONE, id_, task_id)
    assert early.value.code == Code.EXCERPT_NOT_HEARD
    assert not views.card(app.database, EVERYONE, id_).active
    assert views.listed(app.database, EVERYONE)[0].status == TaskStatus.COMPLETED
    drive.perform_all(app)

    (found,) = service.all(EVERYONE, id_)
    assert (found.task_id, found.status, found.current) == (task_id, TaskStatus.COMPLETED, True)
    changed = [text for text, differs in found.before if differs]
    assert changed[0].startswith("mourning every one")
    assert any(differs and "morning everyone" in text for text, differs in found.heard)
    assert texts(app, id_) == HEARD, "nothing is taken unasked"

    service.take(EVERYONE, id_, task_id)
    drive.perform_all(app)
    first, second = app.recording_text.utterances(EVERYONE, id_)
    assert first.text.startswith("Good morning everyone")
    assert "thank you for coming" in second.text
    assert all(word.confidence is None for word in first.words), "nobody doubts what was compared"
    assert service.all(EVERYONE, id_) == []
    assert app.recordings.get(EVERYONE, id_).transcript_id != found.task_id
    app.recording_text.undo(EVERYONE, id_)
    assert texts(app, id_) == HEARD


def test_it_is_left_and_refused_where_it_cannot_be(app, clip):
    id_ = brought(app, clip)
    service, said = app.retranscriptions, versions(app, id_)
    stranger = Principal("somebody else")
    for refused in (
        lambda: service.offers(stranger, id_, 0),
        lambda: service.begin(stranger, id_, 0, said[:1], "whisper-base"),
        lambda: service.begin(EVERYONE, id_, 7, said[:1], "whisper-base"),
        lambda: service.get(EVERYONE, id_, "nothing"),
    ):
        with pytest.raises(NotFound):
            refused()
    with pytest.raises(Conflict):
        service.begin(EVERYONE, id_, 1, said[:1], "whisper-base")
    with pytest.raises(Rejected):
        service.begin(EVERYONE, id_, 0, said[:1], "groq")
    with pytest.raises(ReadOnly):
        service.begin(replace(EVERYONE, read_only=True), id_, 0, said[:1], "whisper-base")

    task_id = service.begin(EVERYONE, id_, 0, said[:1], "whisper-base")
    drive.perform_all(app)
    app.recording_text.rewrite(EVERYONE, id_, 0, said[:1], "Good evening")
    assert not service.get(EVERYONE, id_, task_id).current
    with pytest.raises(Conflict):
        service.take(EVERYONE, id_, task_id)
    service.leave(EVERYONE, id_, task_id)
    assert service.all(EVERYONE, id_) == []
    assert texts(app, id_)[0] == "Good evening"
    without_sound = bring(
        app, json.dumps({"segments": [{"start": 0, "end": 2, "text": "да"}]}).encode(), "b.json"
    )
    with pytest.raises(Conflict):
        service.offers(EVERYONE, without_sound, 0)


def test_a_provider_says_its_price_first_and_is_asked_through_the_api(tmp_path, clip):
    heard = [{"start": 0.0, "end": 1.2, "text": "Good morning, everyone.", "words": []}]
    with GroqEmulator(recognise=lambda _file, _language: heard, key="k3y") as groq:
        app = generous(tmp_path, groq_api_key="k3y", groq_base_url=f"{groq.url}/openai/v1")
        id_ = brought(app, clip)
        with serve(app) as served, served.client(app.keys.make(EVERYONE, "test", admin=True)) as me:
            path = f"/api/v1/recordings/{id_}"
            offers = me.get(f"{path}/utterances/0/engines").json()
            remote = {one["engine"]: one for one in offers}["groq"]
            assert remote["remote"]
            assert float(remote["usd"]) > 0
            assert groq.billed == [], "prices cost nothing"

            asked = {"n": 0, "versions": versions(app, id_)[:1], "engine": "groq"}
            answer = me.post(f"{path}/retranscriptions", json=asked)
            assert answer.status_code == 202
            task_id = answer.json()["task_id"]
            drive.perform_all(app)
            (one,) = me.get(f"{path}/retranscriptions").json()
            assert (one["status"], one["heard"][0]["text"]) == ("completed", "Good")
            assert len(groq.billed) == 1
            taken = me.post(f"{path}/retranscriptions/{task_id}/take")
            assert taken.json()["changes"][0]["now"].startswith("Good morning,")
            assert me.get(f"{path}/retranscriptions/{task_id}").status_code == 404
            again = me.post(
                f"{path}/retranscriptions", json={**asked, "versions": versions(app, id_)[:1]}
            ).json()
            assert me.delete(f"{path}/retranscriptions/{again['task_id']}").status_code == 204
        drive.perform_all(app)
        assert len(groq.billed) == 1, "what was withdrawn is not sent"
        assert app.ledger.month().spent > 0


def piece(n, words):
    return TranscribedSegment(
        n, "mono", words[0].start_s, words[-1].end_s, " ".join(w.text for w in words), words
    )


def test_words_that_were_heard_again_go_to_the_utterances_where_they_are_said():
    first = piece(0, (Word("раз", 0.0, 0.5, 0.2), Word("двас", 0.6, 1.0, 0.2)))
    second = piece(1, (Word("три", 2.0, 2.5, 0.2),))
    heard = [Word("раз", 0.0, 0.4), Word("два", 0.6, 0.9), Word("ну", 1.9, 2.0), Word("три", 2.0, 2.4)]

    words = corrections.merged([first, second], heard)

    assert [[word.text for word in some] for some in words] == [["раз", "два", "ну"], ["три"]]
    assert words[0][0] == Word("раз", 0.0, 0.5, None)
    assert words[0][1] == Word("два", 0.6, 0.9, None, Mark.CORRECTED)
    assert corrections.merged([first], []) == [[]]
