"""Corrections of a text: words keep their times, nothing is lost or overwritten, everything follows."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from core.database.states import JobKind, JobState
from core.database.tables import Job, PassageRow, Recording, Task
from core.errors import Code, Conflict, NotFound, Rejected
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.speech.engine import Mark, Word
from core.transcripts import corrections
from core.transcripts.corrections import How
from core.transcripts.hints import hints
from core.transcripts.segments import TranscribedSegment
from tests import batching, drive
from tests.installation import generous
from tests.serve import serve
from tools.gemini_emulator import GeminiEmulator

SAID = ["сегодня говорит иванов о договоре", "мы подписали его вчера", "спасибо всем"]
WORD_S = 0.5
GAP_S = 3.0


def transcript(lines=SAID, speakers=("", "", "")) -> bytes:
    """A transcript with a word each half a second, and a pause before each line."""
    segments = []
    for n, line in enumerate(lines):
        start_s = n * (GAP_S + 5.0)
        words = [
            {"text": text, "start_s": start_s + k * WORD_S, "end_s": start_s + (k + 1) * WORD_S}
            for k, text in enumerate(line.split())
        ]
        segment = {"start": start_s, "end": words[-1]["end_s"], "text": line, "words": words}
        segments.append(segment | ({"speaker": speakers[n]} if speakers[n] else {}))
    return json.dumps({"segments": segments}).encode()


def bring(app, content: bytes, name="talk.json", principal=EVERYONE, language="ru") -> str:
    task = app.intake.accept(principal, io.BytesIO(content), name, TranscriptionOptions(language=language))
    drive.perform_all(app)
    return task.recording_id


def texts(app, id_):
    return [one.text for one in app.recording_text.utterances(EVERYONE, id_)]


def versions(app, id_, first, last):
    return [one.version for one in app.recording_text.utterances(EVERYONE, id_)[first : last + 1]]


@pytest.fixture
def talk(app):
    return bring(app, transcript())


WORDS = tuple(Word(text, float(n), n + 0.8, 0.9) for n, text in enumerate(["мама", "мыла", "синюю", "раму"]))
SAME, OTHER, PLACED = Mark.HEARD, Mark.CORRECTED, Mark.INTERPOLATED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("мама мыла синюю раму", [(0.0, 0.8, SAME), (1.0, 1.8, SAME), (2.0, 2.8, SAME), (3.0, 3.8, SAME)]),
        ("Мама мыла синюю раму.", [(0.0, 0.8, OTHER), (1.0, 1.8, SAME), (2.0, 2.8, SAME), (3.0, 3.8, OTHER)]),
        ("мама мыла белую раму", [(0.0, 0.8, SAME), (1.0, 1.8, SAME), (2.0, 2.8, OTHER), (3.0, 3.8, SAME)]),
        ("мама раму", [(0.0, 0.8, SAME), (3.0, 3.8, SAME)]),
        ("мама часто мыла раму", [(0.0, 0.8, SAME), (0.8, 1.0, PLACED), (1.0, 1.8, SAME), (3.0, 3.8, SAME)]),
        ("мама мыла сине белую раму", [*[(n, n + 0.8, SAME) for n in (0.0, 1.0)],
                                       (2.0, 2.356, PLACED), (2.356, 2.8, PLACED), (3.0, 3.8, SAME)]),
        ("ну мама мыла синюю раму", [(0.0, 0.0, PLACED),
                                     *[(n, n + 0.8, SAME) for n in (0.0, 1.0, 2.0, 3.0)]]),
        ("мама мыла синюю раму ещё", [*[(n, n + 0.8, SAME) for n in (0.0, 1.0, 2.0)], (3.0, 3.4, SAME),
                                      (3.4, 3.8, PLACED)]),
        ("", []),
    ],
)  # fmt: skip
def test_words_keep_their_times_and_new_ones_get_a_place(text, expected):
    words = [word for word, _ in corrections.aligned(WORDS, text.split())]

    assert [(word.start_s, word.end_s, word.mark) for word in words] == expected
    assert " ".join(word.text for word in words) == text
    assert all(word.confidence == (0.9 if word.mark == SAME else None) for word in words)


def segments(*lines: str) -> list[TranscribedSegment]:
    result = []
    for n, line in enumerate(lines):
        words = tuple(Word(text, 10.0 * n + k, 10.0 * n + k + 0.8) for k, text in enumerate(line.split()))
        result.append(
            TranscribedSegment(n, "mono", 10.0 * n, words[-1].end_s, line, words, segment_id=str(10_000 * n))
        )
    return result


def test_what_an_engine_heard_as_two_words_is_shown_corrected_and_exported_as_the_one_it_is(app):
    words = [
        {"text": text, "start_s": n * WORD_S, "end_s": (n + 1) * WORD_S}
        for n, text in enumerate(["Скажи", "по", "-английски", "сейчас"])
    ]
    said = {"start": 0.0, "end": 2.0, "text": "Скажи по-английски сейчас", "words": words}
    talk = bring(app, json.dumps({"segments": [said]}).encode())

    def shown():
        reading = views.reading(app.database, app.transcripts, EVERYONE, talk)
        return [word.text for paragraph in reading.paragraphs for word in paragraph.words]

    assert shown() == ["Скажи", "по-английски", "сейчас"]
    for form in ("txt", "srt", "vtt", "json"):
        made = views.exported(app.recordings, app.transcripts, EVERYONE, talk, form).decode()
        assert "-английски" in made, form
        assert "по -английски" not in made, form
        assert '"-английски' not in made, form
    app.recording_text.rewrite(EVERYONE, talk, 0, versions(app, talk, 0, 0), "Скажите по-английски сейчас")
    assert shown() == ["Скажите", "по-английски", "сейчас"]
    assert texts(app, talk) == ["Скажите по-английски сейчас"]
    assert [word.start_s for word in app.recording_text.utterances(EVERYONE, talk)[0].words] == [
        0.0,
        0.5,
        1.5,
    ]


@pytest.mark.parametrize(
    ("again", "text", "fitting"),
    [
        ("говорит иванов сегодня", "говорит Иванова сегодня", 1),
        ("говорит иванова сегодня", "говорит Иванова сегодня", 1),
        ("говорит петров сегодня", "говорит петров сегодня", 0),
    ],
)
def test_corrections_come_along_where_the_same_words_were_heard_again(again, text, fitting):
    recognised = segments("говорит иванов сегодня")
    rewritten = corrections.rewrite(_whole(recognised), recognised, "говорит Иванова сегодня", How.REWRITE)
    changes = corrections.changes(recognised, rewritten)

    steps, taken, left = corrections.taken_over(segments(again), changes)

    assert (len(taken), len(left)) == (fitting, 1 - fitting)
    assert [one.text for one in corrections.replay(segments(again), steps)] == [text]


def _whole(segments):
    return {one.segment_id: one for one in segments}


def test_a_correction_is_in_everything_and_embeds_only_what_it_touches(app, talk, monkeypatch):
    before = passages(app, talk)
    before_s = [word.start_s for word in app.recording_text.utterances(EVERYONE, talk)[0].words]
    embedded: list[str] = []
    buy = app.ledger.buy
    monkeypatch.setattr(app.ledger, "buy", lambda *asked: (embedded.extend(asked[3]), buy(*asked))[1])

    app.recording_text.rewrite(
        EVERYONE, talk, 0, versions(app, talk, 0, 0), "Сегодня говорит Иванова о договоре."
    )
    drive.perform_all(app)

    first = app.recording_text.utterances(EVERYONE, talk)[0]
    assert [word.start_s for word in first.words] == before_s
    assert first.edited
    after = passages(app, talk)
    assert "Сегодня говорит Иванова о договоре." in after[0]
    assert embedded == [text for text in after if text not in before]
    assert len(embedded) < len(after)
    assert app.searcher.search(EVERYONE, "Иванова", mode="words", limit=5).matches
    for kind in ("txt", "srt", "json", "docx"):
        content = views.exported(app.recordings, app.transcripts, EVERYONE, talk, kind)
        assert (
            kind == "docx"
            or "Иванова" in json.dumps(content.decode(), ensure_ascii=False)
            or ("Иванова" in json.dumps(json.loads(content), ensure_ascii=False))
        )
    assert app.transcripts.words_between(talk, 0.9, 1.4)[0].text == "Иванова"
    segments = app.transcripts.segments(recording(app, talk).transcript_id)
    assert segments[0].text == SAID[0], "the original stays"
    (change,) = [one for one in app.recording_text.view(EVERYONE, talk).changes if one.heard == "иванов"]
    assert (change.now, change.start_s, change.who) == ("Иванова", 1.0, EVERYONE.owner)


def test_what_new_vectors_cost_is_told_before_and_summed_after(tmp_path, app, talk):
    assert app.correction_cost.of_places(app.archive_text.find(EVERYONE, ["иванов"])) == 0, "made here"
    with GeminiEmulator(processing_s=60) as gemini:
        app = batching.installation(tmp_path / "paid", gemini.url)
        talk = bring(app, transcript())
        whole = app.ledger.of_recording(talk)
        places = app.archive_text.find(EVERYONE, ["иванов"])
        told = app.correction_cost.of_places(places)
        everywhere = app.correction_cost.of_places(
            app.archive_text.find(EVERYONE, ["иванов", "вчера", "всем"])
        )
        assert 0 < told < everywhere
        assert app.correction_cost.so_far(recording(app, talk)) == 0
        app.archive_text.replace(EVERYONE, places, "Иванько")
        drive.perform_all(app)
        assert 0 < app.correction_cost.so_far(recording(app, talk)) <= told
        assert app.ledger.of_recording(talk) == whole + app.correction_cost.so_far(recording(app, talk))


def passages(app, id_):
    with app.database.read() as session:
        statement = select(PassageRow.text).where(PassageRow.recording_id == id_).order_by(PassageRow.n)
        return list(session.scalars(statement))


def recording(app, id_) -> Recording:
    return app.recordings.get(EVERYONE, id_)


def test_every_step_is_undone_and_done_again_in_its_order(app, talk):
    text = app.recording_text
    states = [texts(app, talk)]
    text.rewrite(EVERYONE, talk, 2, versions(app, talk, 2, 2), "")
    states.append(texts(app, talk))
    text.split(EVERYONE, talk, 0, *versions(app, talk, 0, 0), 3)
    states.append(texts(app, talk))
    text.move(EVERYONE, talk, 1, versions(app, talk, 0, 1), 1)
    states.append(texts(app, talk))
    text.move(EVERYONE, talk, 1, versions(app, talk, 0, 1), -2)
    states.append(texts(app, talk))
    text.join(EVERYONE, talk, 2, versions(app, talk, 1, 2))
    states.append(texts(app, talk))

    assert states[1:] == [
        SAID[:2],
        ["сегодня говорит иванов", "о договоре", SAID[1]],
        ["сегодня говорит иванов о", "договоре", SAID[1]],
        ["сегодня говорит", "иванов о договоре", SAID[1]],
        ["сегодня говорит", "иванов о договоре " + SAID[1]],
    ]
    for state in reversed(states[:-1]):
        assert text.undo(EVERYONE, talk)
        assert texts(app, talk) == state
    assert not text.undo(EVERYONE, talk)
    for state in states[1:]:
        assert text.redo(EVERYONE, talk)
        assert texts(app, talk) == state
    text.undo(EVERYONE, talk)
    text.rewrite(EVERYONE, talk, 0, versions(app, talk, 0, 0), "Сегодня говорит")
    assert not text.redo(EVERYONE, talk), "another correction was made since"


def test_paragraphs_are_cut_and_joined_as_people_say(app, talk):
    def read():
        return [
            [piece.text for piece in paragraph.pieces]
            for paragraph in views.reading(app.database, app.transcripts, EVERYONE, talk).paragraphs
        ]

    app.recording_text.split(EVERYONE, talk, 1, *versions(app, talk, 1, 1), 2)
    assert read() == [[SAID[0]], ["мы подписали"], ["его вчера"], [SAID[2]]]
    app.recording_text.join(EVERYONE, talk, 1, versions(app, talk, 0, 2))
    assert read() == [[SAID[0] + " мы подписали", "его вчера"], [SAID[2]]]


def test_words_that_change_places_change_their_speaker(app):
    id_ = bring(app, transcript(speakers=("Анна", "Борис", "Анна")))
    assert [one.channel for one in app.recording_text.utterances(EVERYONE, id_)] == ["Анна", "Борис", "Анна"]

    app.recording_text.move(EVERYONE, id_, 1, versions(app, id_, 0, 1), -2)
    moved = app.recording_text.utterances(EVERYONE, id_)
    assert [(one.channel, one.text) for one in moved][:2] == [
        ("Анна", "сегодня говорит иванов"),
        ("Борис", "о договоре " + SAID[1]),
    ]
    app.recording_text.join(EVERYONE, id_, 2, versions(app, id_, 1, 2))
    joined = app.recording_text.utterances(EVERYONE, id_)[-1]
    assert (joined.channel, joined.text) == ("Борис", "о договоре мы подписали его вчера спасибо всем")
    assert app.recording_text.undo(EVERYONE, id_), "words and speakers go back as one"
    assert [(one.channel, one.text) for one in app.recording_text.utterances(EVERYONE, id_)] == [
        (one.channel, one.text) for one in moved
    ]


def test_what_makes_no_sense_or_is_not_theirs_is_refused(app, talk):
    text, (first, second) = app.recording_text, versions(app, talk, 0, 1)
    for refused, what in (
        (NotFound, lambda: text.rewrite(Principal("other"), talk, 0, [first], "x")),
        (NotFound, lambda: text.rewrite(EVERYONE, talk, 9, [first], "x")),
        (Conflict, lambda: text.rewrite(EVERYONE, talk, 1, [first], "x")),
        (Rejected, lambda: text.split(EVERYONE, talk, 0, first, 99)),
        (Rejected, lambda: text.join(EVERYONE, talk, 1, [first])),
        (Rejected, lambda: text.move(EVERYONE, talk, 1, [first, second], 4)),
        (NotFound, lambda: text.take_over(EVERYONE, talk)),
    ):
        with pytest.raises(refused):
            what()
    assert texts(app, talk) == SAID


def test_of_two_who_correct_the_same_at_once_one_is_told(tmp_path, kept_in):
    app = generous(tmp_path, **kept_in)
    id_ = bring(app, transcript())
    (version,) = versions(app, id_, 0, 0)

    def correct(text):
        try:
            app.recording_text.rewrite(EVERYONE, id_, 0, [version], text)
        except Conflict as error:
            return error
        return None

    with ThreadPoolExecutor(4) as pool:
        wrote = list(pool.map(correct, ["один", "два", "три", "четыре"]))

    refused = [error for error in wrote if error is not None]
    assert len(refused) == 3
    assert all(error.code == Code.UTTERANCE_CHANGED for error in refused)
    assert texts(app, id_)[0] in str(refused[0])


def test_another_transcript_takes_corrections_over_if_asked(app, talk):
    """Transcribed again, what was corrected waits for a word, and is told apart by whether it fits."""
    text = "Сегодня говорит Иванова о дворе"
    app.recording_text.rewrite(EVERYONE, talk, 0, versions(app, talk, 0, 0), text)
    app.recording_text.rewrite(EVERYONE, talk, 2, versions(app, talk, 2, 2), "спасибо вам")
    again = ["сегодня говорит иванов о договоре", "мы подписали его", "спасибо друзья"]
    other = bring(app, transcript(again))
    with app.database.write() as session:
        session.get_one(Recording, talk).transcript_id = recording(app, other).transcript_id

    view = app.recording_text.view(EVERYONE, talk)
    assert view.changes == []
    assert not view.can_undo
    assert (view.earlier.fitting, [one.now for one in view.earlier.left]) == (3, ["вам"])
    app.recording_text.take_over(EVERYONE, talk)
    assert texts(app, talk) == [text, *again[1:]]
    assert app.recording_text.view(EVERYONE, talk).earlier is None
    app.recording_text.undo(EVERYONE, talk)
    assert app.recording_text.view(EVERYONE, talk).earlier is not None
    app.recording_text.take_over(EVERYONE, talk, apply=False)
    assert (texts(app, talk)[0], app.recording_text.view(EVERYONE, talk).earlier) == (SAID[0], None)


@pytest.mark.parametrize(
    ("again", "text", "left"),
    [
        (["сегодня говорит иванов о договоре", *SAID[1:]], "сегодня говорит Иванова о договоре", None),
        (["сегодня говорит петров о договоре", *SAID[1:]], "сегодня говорит петров о договоре", ["Иванова"]),
    ],
    ids=["fit", "left"],
)
def test_corrections_come_along_into_another_transcript_and_none_is_lost(app, talk, again, text, left):
    app.recording_text.rewrite(
        EVERYONE, talk, 0, versions(app, talk, 0, 0), "сегодня говорит Иванова о договоре"
    )
    drive.perform_all(app)
    other = bring(app, transcript(again), "again.json")
    now = recording(app, other).transcript_id
    with app.database.write() as session:
        task = session.scalars(select(Task).where(Task.recording_id == talk)).first()
        task.transcript_id, task.keep_corrections = now, True
        session.execute(update(Job).where(Job.task_id == task.id).values(state=JobState.DONE))
        session.add(Job(task_id=task.id, kind=JobKind.INDEX, queue="io"))
    drive.perform_all(app)

    view = app.recording_text.view(EVERYONE, talk)
    assert (recording(app, talk).transcript_id, texts(app, talk)) == (now, [text, *SAID[1:]])
    assert (view.earlier and [one.now for one in view.earlier.left]) == left
    assert text in passages(app, talk)[0]
    if left is None:
        app.recording_text.undo(EVERYONE, talk)
        drive.perform_all(app)
        assert texts(app, talk) == again, "what is undone does not come back with the next indexing"


def test_nobody_undoes_what_they_have_not_seen(app, talk):
    me, other = Principal("me", admin=True), Principal("other", admin=True)
    app.recording_text.rewrite(me, talk, 0, versions(app, talk, 0, 0), "один")
    app.recording_text.rewrite(other, talk, 1, versions(app, talk, 1, 1), "два")

    last = app.recording_text.view(me, talk).last
    for version in ("", "an earlier action"):
        with pytest.raises(Conflict, match="other") as refused:
            app.recording_text.undo(me, talk, version)
        assert refused.value.code == Code.LAST_STEP
    assert texts(app, talk) == ["один", "два", SAID[2]]
    assert app.recording_text.undo(me, talk, last.action_id)
    assert app.recording_text.undo(me, talk)
    assert texts(app, talk) == SAID


def test_programs_correct_and_see_what_was_corrected(tmp_path):
    app = generous(tmp_path)
    with serve(app) as served, served.client() as me:
        key_owner = next(iter(app.keys.all(EVERYONE))).id
        id_ = bring(app, transcript(), principal=Principal(key_owner))
        at = f"/api/v1/recordings/{id_}"
        first = me.get(f"{at}/utterances?limit=1").json()
        assert first["total"] == 3
        (one,) = first["utterances"]
        wrong = me.patch(f"{at}/utterances/0", json={"version": "stale", "text": "x"})
        assert (wrong.status_code, wrong.json()["reason"]) == (409, "utterance_changed")
        ok = me.patch(f"{at}/utterances/0", json={"version": one["version"], "text": "Сегодня говорит Анна"})
        assert ok.json()["utterances"][0]["text"] == "Сегодня говорит Анна"
        assert [w["mark"] for w in ok.json()["utterances"][0]["words"]] == ["corrected", "", "interpolated"]
        versions = [u["version"] for u in ok.json()["utterances"]]
        me.post(f"{at}/utterances/0/split", json={"version": versions[0], "word": 1}).raise_for_status()
        cut = [u["version"] for u in me.get(f"{at}/utterances").json()["utterances"]]
        me.post(f"{at}/utterances/1/move", json={"versions": cut[:2], "words": 1}).raise_for_status()
        cut = [u["version"] for u in me.get(f"{at}/utterances").json()["utterances"]]
        me.post(f"{at}/utterances/1/join", json={"versions": cut[:2]}).raise_for_status()
        assert me.get(f"{at}/utterances").json()["utterances"][0]["text"] == "Сегодня говорит Анна"
        changed = me.get(f"{at}/corrections").json()
        assert changed["can_undo"]
        assert changed["changes"][0]["heard"] == "сегодня"
        for _ in range(4):
            undone = me.post(f"{at}/corrections/undo").json()
        assert (undone["changes"], undone["can_redo"]) == ([], True)
        assert me.post(f"{at}/corrections/redo").json()["changes"]
        assert me.post(f"{at}/corrections/take-over", json={}).status_code == 404


def test_a_name_is_replaced_everywhere_and_put_back_as_one(app, talk):
    other = bring(app, transcript(["иванов приехал", "И Иванов сказал", "ивановы уехали"]), "other.json")
    places = app.archive_text.find(EVERYONE, ["Иванов"])
    assert [(one.title, one.before + "|" + one.after) for one in places] == [
        ("other.json", "| приехал"),
        ("other.json", "И | сказал"),
        ("talk.json", "сегодня говорит | о договоре"),
    ]
    assert (places[2].play_s, len(app.archive_text.find(EVERYONE, ["иванов"], whole_words=False))) == (1.0, 4)
    assert app.archive_text.find(Principal("other"), ["иванов"]) == []

    app.recording_text.rewrite(EVERYONE, other, 1, versions(app, other, 1, 1), "И он сказал")
    done = app.archive_text.replace(EVERYONE, places, "Иванько")
    assert (done.places, done.skipped, set(done.recordings)) == (2, 1, {talk, other})
    assert texts(app, other) == ["Иванько приехал", "И он сказал", "ивановы уехали"]
    assert texts(app, talk)[0] == "сегодня говорит Иванько о договоре"

    app.recording_text.rewrite(EVERYONE, other, 0, versions(app, other, 0, 0), "Иванько уехал")
    back = app.archive_text.undo(EVERYONE, done.action_id)
    assert (back.recordings, back.left) == ([talk], [other])
    assert texts(app, talk) == SAID


def test_the_glossary_proposes_corrects_and_tells_engines(app, talk):
    glossary = app.glossary
    entry = glossary.save(EVERYONE, "Иванофф", [" иванов", "иванов ", "иванофф"], ["ru"])
    glossary.save(EVERYONE, "Acme", ["акме"], ["en"])
    row = recording(app, talk)
    assert {
        right: [one.found for one in some] for right, some in glossary.proposals(EVERYONE, row).items()
    } == {"Иванофф": ["иванов"]}
    glossary.apply(EVERYONE, row)
    assert texts(app, talk)[0] == "сегодня говорит Иванофф о договоре"
    assert glossary.proposals(EVERYONE, row) == {}
    with app.database.read() as session:
        hints_of = {code: hints(session, EVERYONE.owner, code) for code in ("ru", "en", "auto")}
        assert hints_of == {"ru": "Иванофф", "en": "Acme", "auto": "Acme, Иванофф"}
        assert hints(session, "somebody else", "ru") == ""
    glossary.forget(EVERYONE, entry.id)
    assert [one.right for one in glossary.all(EVERYONE)] == ["Acme"]
    with pytest.raises(Rejected):
        glossary.save(EVERYONE, "  ")
    with pytest.raises(NotFound):
        glossary.forget(Principal("other"), glossary.all(EVERYONE)[0].id)


def test_programs_replace_words_and_keep_the_glossary(tmp_path):
    app = generous(tmp_path)
    with serve(app) as served, served.client() as me:
        id_ = bring(app, transcript(), principal=Principal(app.keys.all(EVERYONE)[0].id))
        entry = me.post("/api/v1/glossary", json={"right": "Иванова", "misheard": ["иванов"]}).json()
        (proposal,) = me.get(f"/api/v1/recordings/{id_}/proposals").json()["proposals"]
        (place,) = me.get("/api/v1/replacements", params={"words": "иванов"}).json()["places"]
        assert proposal == {"right": "Иванова", "places": [place]}
        chosen = {name: place[name] for name in ("recording_id", "n", "version", "at", "found", "before")}
        done = me.post("/api/v1/replacements", json={"right": "Иванова", "places": [chosen]}).json()
        assert done["places"] == 1
        assert (
            me.get(f"/api/v1/recordings/{id_}/utterances").json()["utterances"][0]["text"].split()[2]
            == "Иванова"
        )
        back = me.post(f"/api/v1/replacements/{done['action_id']}/undo").json()
        assert back == {"recordings": [id_], "left": []}
        at = f"/api/v1/glossary/{entry['entry_id']}"
        assert me.put(at, json={"right": "Acme"}).json()["misheard"] == []
        assert me.delete(at).status_code == 204
        assert me.get("/api/v1/glossary").json() == {"entries": []}
