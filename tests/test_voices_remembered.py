"""Voices that are known again in other recordings: off until turned on, proposed, confirmed, forgotten."""

from __future__ import annotations

import pytest

from core.errors import NotFound
from core.principal import EVERYONE, Principal
from tests import drive
from tests.installation import cut, done, generous
from tests.serve import serve
from tests.test_speakers_of_recordings import accept, names, script


@pytest.fixture
def clips(tmp_path):
    """Two different recordings."""
    paths = [tmp_path / "one", tmp_path / "two"]
    for folder in paths:
        folder.mkdir()
    return [cut(folder, start_s=3 * n) for n, folder in enumerate(paths)]


def name(app, task, label, called):
    app.recording_speakers.rename(EVERYONE, task.recording_id, label, called)
    drive.perform_all(app)


def maybe(app, task):
    view = app.recording_speakers.view(EVERYONE, task.recording_id)
    return {one.label: (one.maybe.name, one.maybe.certainty) for one in view.speakers if one.maybe}


def recordings_by_voice(app, principal=EVERYONE):
    return {voice.name: len(voice.heard_in) for voice in app.voices.all(principal)}


def test_nothing_is_remembered_before_somebody_turns_it_on(app, clips, monkeypatch):
    script(monkeypatch)
    first = accept(app, clips[0])
    name(app, first, "speaker_1", "Anna")
    second = accept(app, clips[1])

    assert (app.voices.asked, app.voices.on, recordings_by_voice(app), maybe(app, second)) == (
        False,
        False,
        {},
        {},
    )

    app.voices.turn(EVERYONE, on=True)  # what was named before comes along
    assert recordings_by_voice(app) == {"Anna": 1}
    assert maybe(app, second) == {"speaker_1": ("Anna", "probable")}

    app.voices.turn(EVERYONE, on=False)
    assert (app.voices.asked, recordings_by_voice(app), maybe(app, second)) == (True, {}, {})


def test_a_proposal_is_no_name_until_it_is_accepted(app, clips, monkeypatch):
    app.voices.turn(EVERYONE, on=True)
    script(monkeypatch)
    name(app, accept(app, clips[0]), "speaker_1", "Anna")
    second = accept(app, clips[1])
    assert names(app, second) == {"speaker_1": "", "speaker_2": ""}

    app.recording_speakers.accept(EVERYONE, second.recording_id, "speaker_1")
    assert names(app, second) == {"speaker_1": "Anna", "speaker_2": ""}
    assert recordings_by_voice(app) == {"Anna": 2}

    app.recording_speakers.undo(EVERYONE, second.recording_id)
    assert recordings_by_voice(app) == {"Anna": 1}


def test_who_was_rejected_is_not_proposed_again(app, clips, monkeypatch):
    app.voices.turn(EVERYONE, on=True)
    script(monkeypatch)
    name(app, accept(app, clips[0]), "speaker_1", "Anna")
    second = accept(app, clips[1])

    app.recording_speakers.reject(EVERYONE, second.recording_id, "speaker_1")
    assert maybe(app, second) == {}


def test_a_short_voice_is_not_remembered(app, clips, monkeypatch):
    app.voices.turn(EVERYONE, on=True)
    script(monkeypatch, alone_s=(9.9, 20.0))
    name(app, accept(app, clips[0]), "speaker_1", "Anna")

    assert recordings_by_voice(app) == {}


def test_a_wrong_name_is_corrected_by_naming_again(app, clips, monkeypatch):
    app.voices.turn(EVERYONE, on=True)
    script(monkeypatch)
    first = accept(app, clips[0])
    name(app, first, "speaker_1", "Anna")
    name(app, first, "speaker_1", "Vera")

    assert recordings_by_voice(app) == {"Vera": 1}


def test_a_voice_goes_with_its_last_recording(app, clips, monkeypatch):
    app.voices.turn(EVERYONE, on=True)
    script(monkeypatch)
    first = accept(app, clips[0])
    name(app, first, "speaker_1", "Anna")
    app.deletion.delete_recording(EVERYONE, first.recording_id)

    assert recordings_by_voice(app) == {}


def test_nobody_hears_the_voices_of_another_owner(app, clips, monkeypatch):
    app.voices.turn(EVERYONE, on=True)
    script(monkeypatch)
    name(app, accept(app, clips[0]), "speaker_1", "Anna")
    their_task = accept(app, clips[1], principal=Principal("key1"))

    assert maybe(app, their_task) == {}
    assert recordings_by_voice(app, Principal("key1")) == {}
    (voice,) = app.voices.all(EVERYONE)
    with pytest.raises(NotFound):
        app.voices.forget(Principal("key1"), voice.voice_id)


def test_two_voices_that_get_one_name_are_one_person(app, clips, monkeypatch):
    app.voices.turn(EVERYONE, on=True)
    script(monkeypatch)
    task = accept(app, clips[0])
    name(app, task, "speaker_1", "Anna")
    name(app, task, "speaker_2", "Vera")
    vera = next(voice for voice in app.voices.all(EVERYONE) if voice.name == "Vera")
    app.recording_speakers.rename_voice(EVERYONE, vera.voice_id, "anna")

    assert recordings_by_voice(app) == {"Anna": 2}
    assert set(names(app, task).values()) == {"Anna", "anna"}


def test_programs_see_and_forget_their_voices(tmp_path, clips, monkeypatch):
    script(monkeypatch)
    with serve(generous(tmp_path / "home")) as served, served.client() as me:
        assert me.get("/api/v1/voices").json() == {"on": False, "voices": []}
        served.app.voices.turn(EVERYONE, on=True)
        ids = [
            served.app.recordings.task(EVERYONE, done(served, me, clip, speakers="auto")).recording_id
            for clip in clips
        ]
        me.patch(f"/api/v1/recordings/{ids[0]}/speakers/speaker_1", json={"name": "Anna"})
        second = f"/api/v1/recordings/{ids[1]}/speakers"
        assert me.get(second).json()["speakers"][0]["maybe"]["name"] == "Anna"
        accepted = me.post(f"{second}/speaker_1/accept").json()
        assert accepted["speakers"][0]["name"] == "Anna"
        (voice,) = me.get("/api/v1/voices").json()["voices"]
        assert (voice["name"], set(voice["recordings"])) == ("Anna", set(ids))
        with served.client() as stranger:
            assert stranger.get("/api/v1/voices").json()["voices"] == []
            assert stranger.delete(f"/api/v1/voices/{voice['voice_id']}").status_code == 404
        renamed = me.patch(f"/api/v1/voices/{voice['voice_id']}", json={"name": "Анна"})
        assert [one["name"] for one in renamed.json()["voices"]] == ["Анна"]
        (voice,) = renamed.json()["voices"]
        assert me.delete(f"/api/v1/voices/{voice['voice_id']}").status_code == 204
        assert me.get("/api/v1/voices").json()["voices"] == []
        assert me.get(second).json()["speakers"][0]["name"] == "Анна"
