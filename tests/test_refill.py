"""An index that was moved, emptied or damaged is noticed, said, and filled again; nothing is bought twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from core.database.states import EmbeddingStatus
from core.database.tables import Job, PassageRow
from core.embedding.embedder import text_hash
from core.monitor import alarms, health
from core.monitor.alarms import AlarmKind
from core.principal import EVERYONE
from core.search.index import WORDS
from tests import batching


@pytest.fixture(params=["test", ""], ids=["paid", "free"])
def filled(request, tmp_path, monkeypatch):
    """Three recordings of 30 passages with words and vectors, by an embedder that costs money, or none."""
    app = batching.installation(tmp_path, "http://127.0.0.1:9", gemini_api_key=request.param)
    embedder = app.active_embedder.embedder()
    random = np.random.default_rng(1)
    for title in ("one", "two", "three"):
        texts = [f"{title} {text}" for text in batching.sentences(30)]
        recording_id = batching.recording(app, texts, mode="sync", title=title)
        passages = app.passages.all_of(recording_id)
        hashes = [text_hash(embedder, passage.text) for passage in passages]
        vectors = random.normal(size=(len(passages), embedder.dim)).astype(np.float32)
        ids = [passage.id for passage in passages]
        app.index.put_vectors(embedder, recording_id, "pages", ids, hashes, vectors)
    with app.database.write() as session:
        session.execute(update(PassageRow).values(embedding_status=EmbeddingStatus.DONE))
    monkeypatch.setattr(type(embedder), "embed_counted", None)  # whoever buys, breaks
    return app


def tables(app) -> list[Path]:
    return sorted(Path(app.settings.index).glob("*.lance"))


def statuses(app) -> set[str]:
    with app.database.read() as session:
        return set(session.scalars(select(PassageRow.embedding_status)))


def test_an_index_that_is_whole_is_left_alone(filled):
    assert filled.refill.run(60)
    assert statuses(filled) == {EmbeddingStatus.DONE}
    assert filled.refill.run(0), "nothing is lacking"


def test_lost_words_are_noticed_said_and_brought_back(filled):
    shutil.rmtree(Path(filled.settings.index) / f"{WORDS}.lance")

    assert not filled.refill.run(0), "there was no time"
    part = next(part for part in health.check(filled, lambda: None).parts if part.name == "index")
    assert not part.ok
    assert part.says["facts"] == {"done": "0", "total": "90"}
    (alarm,) = [each for each in alarms.look(filled, EVERYONE) if each.kind == AlarmKind.INDEX_INCOMPLETE]
    assert alarm.n == 90

    reported = []
    assert filled.refill.run(60, lambda *progress: reported.append(progress))
    assert reported == [(0, 90), (90, 90)]
    assert filled.index.count() == 90
    assert filled.index.count(filled.active_embedder.embedder()) == 90
    assert filled.searcher.search(EVERYONE, "крыши", mode="words").matches
    part = next(part for part in health.check(filled, lambda: None).parts if part.name == "index")
    assert part.ok
    assert not [each for each in alarms.look(filled, EVERYONE) if each.kind == AlarmKind.INDEX_INCOMPLETE]


def test_vectors_come_from_where_they_are_remembered(filled):
    embedder = filled.active_embedder.embedder()
    remembered = {text_hash(embedder, p.text) for p in filled.passages.all_of(ids(filled)[0])}
    vectors = filled.index.vectors_of(embedder, remembered)
    for table in tables(filled):
        shutil.rmtree(table)
    filled.index.put_vectors(embedder, "", "", list(vectors), list(vectors), list(vectors.values()))

    assert filled.refill.run(60)

    assert filled.index.count() == 90
    assert filled.index.count(embedder) == 30
    has_price = bool(filled.settings.gemini_api_key.get_secret_value())
    lost = EmbeddingStatus.FAILED if has_price else EmbeddingStatus.WAITING
    assert statuses(filled) == {EmbeddingStatus.DONE, lost}, "a person decides what is paid for again"
    with filled.database.read() as session:
        kinds = list(session.scalars(select(Job.kind)))
    assert kinds == ([] if has_price else ["embed", "embed"])
    assert filled.refill.run(0), "nothing is lacking that could be brought"


def ids(app) -> list[str]:
    with app.database.read() as session:
        return sorted(set(session.scalars(select(PassageRow.recording_id))))
