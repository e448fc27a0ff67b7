"""Every state of a recording × everything a person may do with it then; on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select

from core.application import Application
from core.database.states import EmbeddingMode, EmbeddingStatus, TaskStatus
from core.database.tables import Job, PassageRow, Recording, Segment, Task, Transcript
from core.errors import NotFound
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import Settings
from tests import batching
from tests.clock import Clock
from tests.drive import perform_all
from tests.installation import cut
from tools.gemini_emulator import GeminiEmulator

SPOKEN_S = 6
OPTIONS = TranscriptionOptions(language="ru")
TITLE = "Новое имя"


@dataclass
class Scene:
    """A recording on its way, and what is done to it once."""

    app: Application
    act: Callable[[Scene], None]
    task: Task
    acted: bool = False
    tasks: list[Task] = field(default_factory=list)
    """Those that were asked for meanwhile."""

    def act_once(self) -> None:
        """Do it, unless it was done."""
        if not self.acted:
            self.acted = True
            self.act(self)


def delete(scene: Scene) -> None:
    scene.app.deletion.delete_recording(EVERYONE, scene.task.recording_id)


def delete_task(scene: Scene) -> None:
    scene.app.deletion.delete_task(EVERYONE, scene.task.id)


def rename(scene: Scene) -> None:
    scene.app.recordings.rename(EVERYONE, scene.task.recording_id, TITLE, ("важно",))


def again(scene: Scene) -> None:
    options = TranscriptionOptions(language="ru", force=True, subtitles=True)
    scene.tasks.append(scene.app.intake.transcribe_again(EVERYONE, scene.task.recording_id, options))


def the_same_again(scene: Scene) -> None:
    scene.tasks.append(scene.app.intake.transcribe_again(EVERYONE, scene.task.recording_id, OPTIONS))


def cancel(scene: Scene) -> None:
    scene.app.tasks.cancel(EVERYONE, scene.task.id)


def cancel_and_retry(scene: Scene) -> None:
    if scene.app.tasks.cancel(EVERYONE, scene.task.id):
        assert scene.app.tasks.retry(EVERYONE, scene.task.id)


def bin_and_restore(scene: Scene) -> None:
    """Everything is as if it were gone, and goes on where it stopped."""
    app, id_ = scene.app, scene.task.recording_id
    assert app.recycle_bin.put(EVERYONE, id_)
    assert app.recycle_bin.put(EVERYONE, id_)
    assert recording(scene) is None
    with app.database.read() as session:
        assert session.scalars(select(Job.state).where(Job.state.in_(["ready", "running"]))).all() == []
        assert session.scalar(select(func.count()).select_from(PassageRow)) == 0
    app.recycle_bin.restore(EVERYONE, id_)
    app.recycle_bin.restore(EVERYONE, id_)


ACTIONS = [bin_and_restore, delete, delete_task, rename, again, the_same_again, cancel, cancel_and_retry]

STATES = ["uploaded", "decoded", "recognised", "indexed", "embedded", "completed"]
"""What is being done with the recording when a person acts."""


def interrupt(scene: Scene, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """Act when the work comes to this call, which then goes on."""
    usual = getattr(owner, name)

    def interrupted(*args: object, **named: object) -> object:
        scene.act_once()
        return usual(*args, **named)

    monkeypatch.setattr(owner, name, interrupted)


def reach(scene: Scene, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work until the recording is in this state, act, and work on to the end."""
    app = scene.app
    match state:
        case "uploaded":
            scene.act_once()
        case "decoded":
            interrupt(scene, monkeypatch, app.sound, "decoded")
        case "recognised":
            interrupt(scene, monkeypatch, app.transcripts, "commit")
        case "indexed":
            interrupt(scene, monkeypatch, app.passages, "replace")
        case "embedded":
            interrupt(scene, monkeypatch, app.index, "put_vectors")
    perform_all(app)
    assert scene.acted or state == "completed"
    scene.act_once()
    perform_all(app)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    return cut(tmp_path_factory.mktemp("speech"), "ru_meeting.opus", seconds=SPOKEN_S)


@pytest.fixture(scope="module")
def shared(kept_in, tmp_path_factory) -> Iterator[Application]:
    """One installation for all cells; each of them leaves nothing there."""
    home = tmp_path_factory.mktemp("states") / "home"
    app = Application(Settings(stenogram_home=home, **kept_in), clock=Clock())
    yield app
    app.database.close()


def sent(app: Application, speech: Path, options: TranscriptionOptions = OPTIONS) -> Task:
    with speech.open("rb") as file:
        return app.intake.accept(EVERYONE, file, speech.name, options)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@pytest.mark.parametrize("state", STATES)
def test_at_any_moment_a_person_may_do_anything(state, action, shared, speech, monkeypatch):
    scene = Scene(shared, action, sent(shared, speech))
    try:
        reach(scene, state, monkeypatch)

        holds(scene)
    finally:
        monkeypatch.undo()
        delete_what_is_left(scene)
    assert_deleted(shared)


def delete_what_is_left(scene: Scene) -> None:
    with suppress(NotFound):
        delete(scene)
    perform_all(scene.app)


def holds(scene: Scene) -> None:
    """Whatever was done when: nothing is half there, nothing stands still, what is kept is whole."""
    app, row = scene.app, recording(scene)
    with app.database.read() as session:
        assert session.scalars(select(Job.state).where(Job.state.in_(["ready", "running"]))).all() == []
    if row is None:
        assert_deleted(app)
        return
    tasks = tasks_of(app, row)
    statuses = {task.status for task in tasks}
    assert statuses <= {TaskStatus.COMPLETED, TaskStatus.CANCELLED}
    if scene.act is not cancel:
        assert statuses <= {TaskStatus.COMPLETED}
    if scene.act is rename:
        assert (row.title, row.tags) == (TITLE, ["важно"])
    for task in scene.tasks:
        assert task.id in {each.id for each in tasks if each.status == TaskStatus.COMPLETED}
    if TaskStatus.COMPLETED in statuses:
        found_whole(app, row)


def recording(scene: Scene) -> Recording | None:
    try:
        return scene.app.recordings.get(EVERYONE, scene.task.recording_id)
    except NotFound:
        return None


def tasks_of(app: Application, row: Recording) -> list[Task]:
    return app.recordings.tasks(EVERYONE, recording_id=row.id, limit=100)[1]


def assert_deleted(app: Application) -> None:
    """Neither rows nor bytes nor passages nor sound are left."""
    with app.database.read() as session:
        for table in (Recording, Task, Job, Transcript, Segment, PassageRow):
            assert session.scalar(select(func.count()).select_from(table)) == 0, table
    assert app.index.recordings() == set()
    assert not [file for file in (app.settings.stenogram_home / "blobs").rglob("*") if file.is_file()]


def found_whole(app: Application, row: Recording) -> None:
    """The text is complete, and what the search knows is exactly that text."""
    assert row.transcript_id
    segments = app.transcripts.segments(row.transcript_id)
    assert app.transcripts.get(row.transcript_id).complete
    assert app.transcripts.pending(row.transcript_id) == []
    with app.database.read() as session:
        statement = select(PassageRow).where(PassageRow.recording_id == row.id)
        passages = list(session.scalars(statement.order_by(PassageRow.n)))
    assert " ".join(passage.text for passage in passages).split()[:5] == segments[0].text.split()[:5]
    assert app.index.rows([passage.id for passage in passages]).keys() == {p.id for p in passages}
    assert app.index.recordings() == {row.id}
    assert {passage.embedding_status for passage in passages} <= {EmbeddingStatus.DONE, EmbeddingStatus.OFF}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_in_a_batch_a_person_may_do_anything(action, speech, tmp_path):
    """Each on its own: a text that has a vector would not be ordered twice."""
    with GeminiEmulator(tmp_path / "gemini") as gemini:
        ordering = {"embedding_dim": 64, "batch_min_size": 1, "batch_max_wait_s": 0}
        provider = {"gemini_api_key": "test", "gemini_base_url": gemini.url}
        settings = Settings(stenogram_home=tmp_path / "home", **ordering, **provider)
        app = Application(settings, clock=Clock())
        task = sent(app, speech, TranscriptionOptions(language="ru", embedding_mode=EmbeddingMode.BATCH))
        perform_all(app)
        app.batches.tick()
        assert batching.states(app) == ["submitted"]
        scene = Scene(app, action, task)

        scene.act_once()
        perform_all(app)
        batching.run(app, gemini)

        holds(scene)
        assert app.ledger.month().reserved == 0
        app.database.close()
