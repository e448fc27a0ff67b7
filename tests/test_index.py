"""The index: found by words and vectors, never doubled, never leaked, never mixed."""

import multiprocessing
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from core.errors import Rejected
from core.search import lance
from core.search.index import WORDS, Index, Row, Scope
from core.settings import Settings
from tests import remotely

TEXTS = ("id", "recording_id", "owner", "text", "plain", "language", "speaker")
"""Columns of the first form of the table of passages."""
EVIL = [
    "' OR '1'='1",
    "x\\' OR 1=1 --",
    "\\",
    '"',
    "'; DROP TABLE words; --",
    "\x00",
    "\u202e",
    "%",
    "* ~ ( [",
]


@dataclass(frozen=True)
class Space:
    name: str = "model"
    dim: int = 8


def row(recording, n, text, owner="me", language="ru"):
    return Row(f"{recording}:{n}", recording, owner, n * 45.0, n * 45.0 + 45, text, language)


def vectors(count, dim=8, seed=0):
    block = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return block / np.linalg.norm(block, axis=1, keepdims=True)


@pytest.fixture
def index(tmp_path):
    return Index(str(tmp_path / "lancedb"))


@pytest.fixture
def talks(index):
    """One Russian recording, one English, one of somebody else."""
    index.put(
        "bank",
        [
            row("bank", 0, "Мы обсудили ипотечные ставки и досрочное погашение."),
            row("bank", 1, "Счёт оплачен вчера, настройка кластера kubernetes завершена."),
            row("bank", 2, "Потом директор сказал: мама мыла раму с мылом."),
        ],
    )
    index.put("talk", [row("talk", 0, "We were running tests of payment services.", language="en")])
    index.put("other", [row("other", 0, "Чужая запись про ипотечные ставки.", owner="you")])
    return index


def ids(found):
    return [row.id for row, _ in found]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("ипотечной ставкой", "bank:0"),
        ("счета", "bank:1"),
        ("СЧЕТ", "bank:1"),
        ("run a test", "talk:0"),
        ("кластеры Kubernetes", "bank:1"),
        ("директора и мам", "bank:2"),
        ("«мыла раму с мылом»", "bank:2"),
    ],
)
def test_inflected_words_find_their_passage(talks, question, found):
    assert found in ids(talks.words(question, Scope("me")))


@pytest.mark.parametrize("question", ["", "  ", "ипотечный директор", "«раму мыла»", "!!!"])
def test_what_was_not_said_is_not_found(talks, question):
    assert talks.words(question) == []


def test_any_word_is_enough_if_asked_so(talks):
    assert set(ids(talks.words("ипотечный директор", how="any"))) == {"bank:0", "bank:2", "other:0"}


def test_words_like_a_misspelt_one_are_known_at_once(talks):
    assert talks.vocabulary().similar("дерректор", 2) == ["директор"]
    assert talks.vocabulary().similar("paymnt", 1) == ["payment"]
    assert talks.vocabulary().similar("paymnt", 0) == []


def test_words_of_passages_that_went_are_forgotten(talks):
    """Also by a process that had read them."""
    other = Index(talks._uri)
    assert other.vocabulary().containing("ubernet") == ["kubernetes"]

    talks.remove("bank")
    talks.put("new", [row("new", 0, "Совсем новое.")])
    assert talks.maintain()

    for index in (talks, other, Index(talks._uri)):
        assert index.vocabulary().containing("ubernet") == []
        assert index.vocabulary().containing("овы") == []
        assert index.vocabulary().containing("новое") == ["новое"]
        assert index.vocabulary().containing("payment") == ["payment"]


def test_passages_of_an_earlier_form_are_found_by_words(tmp_path):
    """Their table is made anew, once, with what it said; vectors stay."""
    earlier = Index(str(tmp_path / "lancedb"))
    earlier.put_vectors(Space(), "a", "me", [], [], vectors(0))
    schema = pa.schema(
        [*((name, pa.string()) for name in TEXTS), ("start_s", pa.float64()), ("end_s", pa.float64())]
    )
    fields = {name: [""] for name in TEXTS} | {"id": ["a:0"], "recording_id": ["a"], "owner": ["me"]}
    fields |= {"text": ["Груз двадцать пять, счёт 45-17."], "start_s": [1.0], "end_s": [2.0]}
    earlier._connected().create_table("words", pa.table(fields, schema=schema))

    for index in (Index(earlier._uri), Index(earlier._uri)):
        assert ids(index.words("груз 25")) == ids(index.words("сче", how="substring")) == ["a:0"]
        assert index.rows(["a:0"])["a:0"].end_s == 2.0
        assert "words" not in index._names()


def test_a_part_of_a_word_is_found_letter_by_letter(talks):
    assert ids(talks.words("ubernet", how="substring")) == ["bank:1"]
    assert ids(talks.words("СЧЁТ ОПЛ", how="substring")) == ["bank:1"]


def test_a_scope_shows_nothing_of_others(talks):
    assert ids(talks.words("ипотечные ставки", Scope("you"))) == ["other:0"]
    assert ids(talks.words("ипотечные ставки", Scope("me", ("talk",)))) == []
    assert len(talks.words("ипотечные ставки")) == 2


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_a_person_types_reaches_beyond_its_place(talks, evil):
    for how in ("all", "any", "substring"):
        talks.words(evil, Scope("me"), how=how)
        assert talks.words("ипотечные", Scope(evil), how=how) == []
        assert talks.words("ипотечные", Scope(None, (evil,)), how=how) == []
    talks.remove(evil)
    assert talks.rows([evil]) == {}
    assert talks.count() == 5


def test_evil_names_are_only_names(index):
    for evil in EVIL:
        index.put(evil, [row(evil, 0, f"слово {evil}", owner=evil)])

    for evil in EVIL:
        assert ids(index.words("слово", Scope(evil))) == [f"{evil}:0"]
    index.remove(EVIL[0])
    assert index.count() == len(EVIL) - 1


def test_a_recording_is_replaced_as_a_whole(talks):
    talks.put("bank", [row("bank", 0, "Теперь о погоде.")])

    assert talks.words("ипотечные", Scope("me")) == []
    assert ids(talks.words("погода")) == ["bank:0"]
    assert talks.count() == 3


def test_an_id_given_twice_is_one_row(index):
    index.put("r", [row("r", 0, "первый"), row("r", 0, "второй")])

    assert index.count() == 1
    assert index.rows(["r:0"])["r:0"].text == "второй"


def test_a_passage_of_another_recording_is_refused(index):
    with pytest.raises(Rejected):
        index.put("r", [row("q", 0, "чужое")])
    with pytest.raises(Rejected):
        index.put("r", [Row("r:0", "r", "me", float("nan"), 1, "без времени", "ru")])


def test_rows_come_back_as_they_were(index):
    row = Row("r:0", "r", "me", 1.5, 46.25, 'Ёж сказал: "да".\n', "ru", "Left")
    index.put("r", [row])

    assert index.rows(["r:0", "nobody"]) == {"r:0": row}


def test_everything_is_there_after_a_restart(talks, tmp_path):
    talks.put_vectors(Space(), "bank", "me", ["bank:0"], ["h0"], vectors(1))

    again = Index(str(tmp_path / "lancedb"))

    assert again.count() == 5
    assert again.count(Space()) == 1
    assert ids(again.words("погашения")) == ["bank:0"]


def test_an_open_index_sees_what_another_one_writes(talks, tmp_path):
    assert talks.words("погода") == []

    Index(str(tmp_path / "lancedb")).put("new", [row("new", 0, "О погоде.")])

    assert ids(talks.words("погода")) == ["new:0"]


def test_the_nearest_vectors_come_first(talks):
    points = vectors(3)
    talks.put_vectors(Space(), "bank", "me", ["bank:0", "bank:1", "bank:2"], ["a", "b", "c"], points)

    nearest = talks.nearest(Space(), points[1], limit=2)

    assert nearest[0][0] == "bank:1"
    assert nearest[0][1] == pytest.approx(1, abs=1e-5)
    assert nearest[0][1] > nearest[1][1]
    assert talks.nearest(Space(), points[1], Scope("you")) == []
    assert talks.nearest(Space(), points[1], Scope("me", ("talk",))) == []


def test_two_models_or_sizes_never_meet(talks):
    spaces = [Space("a/b", 8), Space("a-b", 8), Space("a/b", 16)]
    for space in spaces:
        talks.put_vectors(space, "bank", "me", ["bank:0"], ["h"], vectors(1, space.dim))

    talks.put_vectors(spaces[0], "bank", "me", ["bank:1"], ["i"], vectors(1))

    assert [talks.count(space) for space in spaces] == [2, 1, 1]
    assert talks.vectors_of(spaces[1], ["h", "i"]).keys() == {"h"}


@pytest.mark.parametrize(
    "wrong", [vectors(1, 4), vectors(2), np.zeros((1, 8), np.float32), np.full((1, 8), np.nan, np.float32)]
)
def test_what_is_no_vector_is_refused(talks, wrong):
    with pytest.raises(Rejected):
        talks.put_vectors(Space(), "bank", "me", ["bank:0"], ["h"], wrong)

    assert talks.count(Space()) == 0


def test_a_deleted_recording_is_not_found_but_its_vectors_can_be_used_again(talks):
    points = vectors(2)
    talks.put_vectors(Space(), "bank", "me", ["bank:0", "bank:1"], ["a", "b"], points)

    talks.remove("bank")
    talks.remove("bank")

    assert talks.words("ипотечные", Scope("me")) == []
    assert talks.rows(["bank:0"]) == {}
    assert talks.nearest(Space(), points[0]) == []
    stored = talks.vectors_of(Space(), ["a", "b", "never"])
    assert stored.keys() == {"a", "b"}
    assert stored["a"] == pytest.approx(points[0], abs=1e-6)


def test_kept_vectors_are_forgotten_in_time(talks):
    talks.put_vectors(Space(), "bank", "me", ["bank:0"], ["a"], vectors(1))
    talks.remove("bank")

    assert talks.forget_vectors(time.time() - 60) == 0
    assert talks.forget_vectors(time.time() + 60) == 1
    assert talks.vectors_of(Space(), ["a"]) == {}


def test_kept_vectors_of_a_former_model_are_forgotten_too(talks):
    former = Space("former", 4)
    talks.put_vectors(former, "bank", "me", ["bank:0"], ["a"], vectors(1, 4))
    talks.put_vectors(Space(), "bank", "me", ["bank:0"], ["a"], vectors(1))
    talks.remove("bank")

    assert talks.forget_vectors(time.time() + 60) == 2
    assert talks.vectors_of(former, ["a"]) == {}


def test_a_vector_leaves_a_passage_whose_text_has_changed(talks):
    points = vectors(2)
    talks.put_vectors(Space(), "bank", "me", ["bank:0", "bank:1"], ["a", "b"], points)

    talks.put("bank", [row("bank", 0, "Другой текст."), *talks.rows(["bank:1"]).values()])

    assert [key for key, _ in talks.nearest(Space(), points[0])] == ["bank:1"]
    assert talks.vectors_of(Space(), ["a", "b"]).keys() == {"a", "b"}


def test_a_vector_that_comes_after_its_passage_has_gone_is_only_kept(talks):
    points = vectors(2)
    talks.remove("bank")

    assert talks.put_vectors(Space(), "bank", "me", ["bank:0", "bank:1"], ["a", "b"], points) == []
    assert talks.nearest(Space(), points[0]) == []
    assert talks.vectors_of(Space(), ["a", "b"]).keys() == {"a", "b"}


def write_the_same(uris, barrier):
    """What a redelivered job does."""
    for uri in uris:
        index = Index(uri)
        barrier.wait(60)
        for batch in range(4):
            rows = [row(f"r{batch}", n, f"слово {n} пакета {batch}") for n in range(100)]
            names = [row.id for row in rows]
            index.put(f"r{batch}", rows)
            index.put_vectors(Space(), f"r{batch}", "me", names, names, vectors(100, seed=batch))


def test_four_writers_of_the_same_recordings_leave_each_row_once(tmp_path):
    """In a folder they take turns; elsewhere (here by a `file://` address) only keys guard the rows."""
    uris = [str(tmp_path / "folder"), f"file://{tmp_path}/bucket"]
    for uri in uris:
        Index(uri).put("first", [row("first", 0, "слово")])
        Index(uri).put_vectors(Space(), "first", "me", ["first:0"], ["f"], vectors(1))
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4)
    writers = [spawn.Process(target=write_the_same, args=(uris, barrier)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)

    assert [writer.exitcode for writer in writers] == [0] * 4
    for uri in uris:
        index = Index(uri)
        assert index.count() == index.count(Space()) == 401
        assert len({key for key, _ in index.nearest(Space(), vectors(1)[0], limit=1000)}) == 401
        assert len(index.words("слова", limit=1000)) == 401


def test_a_large_index_answers_as_a_small_one(tmp_path):
    """Above ten thousand rows there are indexes, also by recording; writing again doubles nothing."""
    index, points = Index(str(tmp_path / "lancedb")), vectors(10_200, dim=16)
    space = Space(dim=16)
    for batch in range(6):
        rows = [row(f"r{batch}", n, f"слово {n} {batch}") for n in range(1700)]
        names = [row.id for row in rows]
        index.put(f"r{batch}", rows)
        index.put_vectors(space, f"r{batch}", "me", names, names, points[batch * 1700 : (batch + 1) * 1700])

    assert index.maintain()
    index.put("r0", [row("r0", n, f"слово {n} 0") for n in range(1600)])

    assert index.count() == index.count(space) == 10_100
    assert index.nearest(space, points[1700])[0][0] == "r1:0"
    assert index.nearest(space, points[1700], Scope("me", ("r1",)))[0][0] == "r1:0"
    assert index.nearest(space, points[1700], Scope("me", ("r2",)))[0][0].startswith("r2:")
    assert len(index.vectors_of(space, ["r0:1699", "r1:0"])) == 2
    assert index.check().keys() == {WORDS, *(name for name in index.check() if name.startswith("vectors-"))}


def test_an_index_of_an_earlier_form_is_made_anew(tmp_path):
    """Archives have indexes of one bit a number, which confuse the vectors of one topic."""
    from lancedb.index import IvfRq

    index, space, points = Index(str(tmp_path / "lancedb")), Space(dim=16), vectors(lance.INDEX_ROWS, dim=16)
    names = [f"r:{n}" for n in range(len(points))]
    index.put("r", [row("r", n, "слово") for n in range(len(points))])
    index.put_vectors(space, "r", "me", names, names, points)
    table = index._open(next(name for name in index._names() if name.startswith("vectors-")))
    table.create_index("vector", config=IvfRq(distance_type="cosine"))

    assert index.maintain()
    table.checkout_latest()
    (made,) = (each for each in table.list_indices() if each.columns == ["vector"])
    assert made.index_details["compression"]["num_bits"] == lance.VECTOR_BITS
    assert index.maintain()
    table.checkout_latest()
    assert made.index_uuid in {each.index_uuid for each in table.list_indices()}, "once is enough"


def test_an_empty_index_answers_with_nothing(index):
    assert index.words("что-нибудь") == []
    assert index.nearest(Space(), vectors(1)[0]) == []
    assert index.vectors_of(Space(), ["a"]) == {}
    assert index.rows(["a"]) == {}
    assert (index.count(), index.count(Space()), index.forget_vectors(time.time())) == (0, 0, 0)
    assert index.maintain()
    assert index.check() == {}
    index.remove("nothing")


def test_the_check_fails_when_a_data_file_is_gone(talks, tmp_path):
    talks.put_vectors(Space(), "bank", "me", ["bank:0"], ["a"], vectors(1))
    assert all(talks.check().values())

    for file in (tmp_path / "lancedb").glob("vectors-*/data/*"):
        file.unlink()

    from core.errors import Unavailable

    with pytest.raises(Unavailable):
        Index(str(tmp_path / "lancedb")).check()


def test_in_a_bucket_it_is_found_by_the_settings_of_the_bucket(tmp_path):
    """With no word of the bucket in the environment; two processes' worth of connections see each other."""
    with remotely.bucket() as bucket:
        settings = Settings(stenogram_home=tmp_path, lancedb_uri="s3://sounds/index", **bucket)
        first, second = (Index(settings.index, settings.index_bucket_options) for _ in range(2))

        first.put("bank", [row("bank", 0, "Мы обсудили ипотечные ставки.")])
        second.put("talk", [row("talk", 0, "We were running tests.", language="en")])

        assert [passage.id for passage, _ in second.words("ставка")] == ["bank:0"]
        assert [passage.id for passage, _ in first.words("test")] == ["talk:0"]
