"""Saved searches: a standing one finds each new moment once and tells; what narrows a question."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.clients.deliveries import DeliveryState
from core.errors import NotFound
from core.library import moments, views
from core.library.kept_moments import Stretch
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.search import operators
from core.search.query import Found
from tests import drive
from tests.conftest import DATA
from tests.test_states_and_actions import sent

SPEECH = DATA / "ru_meeting.opus"
SAID = "бюджет"


def find_moments(app, question: str, **how) -> moments.Moments:
    return moments.find(app.searcher, app.recordings, EVERYONE, question, mode="words", limit=30, **how)


def test_a_standing_search_finds_each_new_moment_once_and_tells(app, monkeypatch):
    service = app.saved_searches
    standing = service.save(
        EVERYONE, f" {SAID}  lang:ru ", "words", standing=True, callback_url="https://example.com/hook"
    )
    service.save(EVERYONE, f"{SAID} tag:нет", "words", standing=True)
    service.save(EVERYONE, "совещание", "words")
    calls = []

    async def made(prepared, **_):
        calls.extend(prepared)
        return ["no answer" if len(calls) == 1 else None for _ in prepared]

    monkeypatch.setattr("core.clients.webhooks._all", made)
    task = sent(app, SPEECH)
    drive.perform_all(app)
    app.intake.transcribe_again(
        EVERYONE, task.recording_id, TranscriptionOptions(language="ru", force=True, subtitles=False)
    )
    drive.perform_all(app)

    new = {saved.search.question: saved.new for saved in service.all(EVERYONE)}
    assert new == {
        f"{SAID} lang:ru": len(service.hits(EVERYONE, standing.id)),
        f"{SAID} tag:нет": 0,
        "совещание": 0,
    }
    hits = service.hits(EVERYONE, standing.id)
    assert hits
    assert all(SAID in hit.text for hit in hits)
    assert [app.webhooks.deliver() for _ in range(3)] == [0, 1, 0]
    payload = json.loads(calls[1].body)
    assert (payload["question"], len(payload["moments"])) == (f"{SAID} lang:ru", len(hits))
    assert calls[0].task_id == calls[1].task_id
    (told,) = app.deliveries.of_searches(EVERYONE)
    assert (told.state, told.recording_id, told.failures) == (DeliveryState.ARRIVED, task.recording_id, 1)
    with pytest.raises(NotFound):
        app.deliveries.search_again(Principal("stranger"), standing.id, task.recording_id)
    app.deliveries.search_again(EVERYONE, standing.id, task.recording_id)
    assert app.deliveries.of_searches(EVERYONE)[0].state == DeliveryState.RETRYING
    assert [app.webhooks.deliver() for _ in range(2)] == [1, 0]
    assert app.deliveries.of_searches(Principal("stranger")) == []

    service.see(EVERYONE, standing.id)
    assert all(saved.new == 0 for saved in service.all(EVERYONE))
    with pytest.raises(NotFound):
        service.delete(Principal("stranger"), standing.id)
    app.recycle_bin.put(EVERYONE, task.recording_id)
    assert service.hits(EVERYONE, standing.id) == []


def test_a_question_narrows_sorts_and_counts(app):
    task = sent(app, SPEECH, TranscriptionOptions(language="ru", tags=("важно",)))
    drive.perform_all(app)
    app.kept_moments.add(
        EVERYONE,
        app.kept_moments.make_collection(EVERYONE, "Весна 26").id,
        app.kept_moments.keep(EVERYONE, Stretch(task.recording_id, 1.0, 2.0)).moment.id,
    )
    engine = app.recordings.transcript_of(app.recordings.get(EVERYONE, task.recording_id)).engine

    for fits in ("lang:ru", f"engine:{engine}", "shorter:60", 'in:"весна 26"', "longer:0", "tag:важно"):
        assert find_moments(app, f"{SAID} {fits}").total, fits
    for misses in ("lang:en", "engine:no", "longer:60", "in:лето", "shorter:0", "state:failed"):
        assert not find_moments(app, f"{SAID} {misses}").total, misses
    result = find_moments(app, SAID, sort="oldest")
    starts = [each.start_s for each in result.results]
    assert starts == sorted(starts)
    assert (result.tags, result.languages) == ({"важно": 1}, {"ru": result.total})
    assert (result.engines, result.collections) == ({engine: 1}, {"Весна 26": 1})
    assert (result.lengths, sum(result.states.values())) == ({"shorter:10": 1}, 1)
    assert [len(month) for month in result.months] == [len("2026-11")]
    assert views.languages(app.database, EVERYONE) == {"ru": 1}
    assert views.engines(app.database, EVERYONE) == {engine: 1}
    assert operators.read("in:x 10:30 lang: y").text == "10:30 lang: y"


@pytest.mark.parametrize(("sure", "counted"), [((True, True, False), 2), ((False, False, False), 3)])
def test_what_is_only_near_is_counted_only_where_nothing_answers(app, monkeypatch, sure, counted):
    sent(app, SPEECH, TranscriptionOptions(language="ru"))
    drive.perform_all(app)
    match = app.searcher.search(EVERYONE, SAID, mode="words").matches[0]
    rows = [replace(match.row, id=str(n), speaker="Анна", language="ru") for n in range(len(sure))]
    matches = tuple(replace(match, row=row, sure=one) for row, one in zip(rows, sure, strict=True))
    monkeypatch.setattr(app.searcher, "search", lambda *_, **__: Found(matches))

    result = find_moments(app, SAID)

    assert (result.total, len(result.counted)) == (len(sure), counted)
    assert (result.languages, [one.moments for one in result.speakers]) == ({"ru": counted}, [counted])
    assert (result.lengths, sum(result.months.values())) == ({"shorter:10": 1}, 1)
