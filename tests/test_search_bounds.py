"""No question breaks search or takes longer than its bound; what the index breaks with is a sentence."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from core.application import Application
from core.errors import Code, Unavailable
from core.principal import EVERYONE
from core.search import lance, service
from core.search.index import Index, Row
from core.search.query import marks, play_s, search
from core.speech.engine import Word

BOUND_S = 10.0
"""Of one question to a small index on a busy machine; usually it is hundredths of a second."""

PASSAGE = "Мы обсудили ипотечные ставки XJ-4471 and the quarterly revenue of many customers. " * 12
ROW = Row("a:0", "a", "me", 0.0, 40.0, PASSAGE, "ru")
SAID = [Word(text, n * 0.1, n * 0.1 + 0.1) for n, text in enumerate(PASSAGE.split())]

SCRIPTS = "abcXYZ абвёЁ 0123 漢字 العربية हिन्दी ไทย ßİı ﬁ \u0301\u200d\u202e\ufeff\x00\x01\n\t🙂"
OPERATORS = "\"«»“”„'\\*~^:()[]{}+-!&|%_?/;"
PIECES = st.one_of(
    st.text(alphabet=SCRIPTS, max_size=300),
    st.text(alphabet=OPERATORS, max_size=30),
    st.text(max_size=60),
    st.sampled_from(["AND", "OR", "NOT", "NEAR", "ставка", "customers", "а", '"ставки XJ-4471"', "XJ-4471"]),
    st.builds(lambda letter, times: letter * times, st.sampled_from("aяё漢1"), st.integers(1, 1000)),
    st.builds(
        lambda word, times: f"{word} " * times, st.text("abя", min_size=1, max_size=5), st.integers(1, 300)
    ),
)
QUESTIONS = st.lists(PIECES, min_size=1, max_size=6).map(lambda pieces: " ".join(pieces)[:2000])


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    index = Index(str(tmp_path_factory.mktemp("bounds") / "lancedb"))
    index.put("a", [ROW])
    index.maintain(after_rows=1)
    search(index, None, "разогрев словаря", mode="words")
    return index


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@example("a" * 256)
@example("я" * 256)
@example("a" * 2000)
@example(" ".join(f"слово{n}" for n in range(200)))
@example('"' + "a" * 900 + '"')
@given(QUESTIONS)
def test_no_question_breaks_search_or_takes_longer_than_its_bound(index, question):
    began = time.monotonic()
    search(index, None, question, mode="words")
    assert time.monotonic() - began < BOUND_S

    began = time.monotonic()
    assert "".join(piece for piece, _ in marks(PASSAGE, question)) == PASSAGE
    play_s(question, ROW, SAID)
    assert time.monotonic() - began < BOUND_S / 5


@pytest.mark.parametrize("letters", [64, 65, 255, 256, 1000])
def test_a_word_of_any_length_is_asked_for_in_every_way(index, letters):
    for how in ("all", "any", "substring"):
        assert index.words("ы" * letters, how=how) == []


class BrokenTable:
    """What LanceDB does when its files are damaged or gone."""

    def __getattr__(self, name, *_):
        raise RuntimeError(f"lance error: LanceError(IO): /srv/secret/lancedb/words.lance {name}")


@pytest.mark.parametrize("ask", ["words", "rows", "nearest", "vectors_of", "count", "recordings"])
def test_whatever_the_index_breaks_with_is_a_sentence(index, monkeypatch, ask):
    monkeypatch.setattr(Index, "_open", lambda *_: BrokenTable())
    monkeypatch.setattr(lance.Connection, "ask", BrokenTable().__getattr__)
    space = type("Space", (), {"name": "model", "dim": 8})
    arguments = {
        "words": ("question",),
        "rows": (["a:0"],),
        "nearest": (space, [0.0] * 8),
        "vectors_of": (space, ["hash"]),
    }

    with pytest.raises(Unavailable) as caught:
        getattr(index, ask)(*arguments.get(ask, ()))

    assert caught.value.code == Code.INDEX_SILENT
    assert "secret" not in str(caught.value)


def test_a_write_that_breaks_is_a_sentence_too(index, monkeypatch):
    monkeypatch.setattr(Index, "_open", lambda *_: BrokenTable())

    with pytest.raises(Unavailable) as caught:
        index.remove("a")

    assert caught.value.code == Code.INDEX_SILENT


def test_a_search_that_hangs_is_stopped_and_says_so(app, monkeypatch):
    """As one did for 40 s beside a full disk: whatever it waits for, the answer comes in time."""
    released = threading.Event()
    monkeypatch.setattr(service, "LIMIT_S", 0.2)
    monkeypatch.setattr(Index, "words", lambda *_, **__: released.wait(60) or [])
    began = time.monotonic()
    try:
        for _ in range(service.AT_ONCE + 2):  # also when all threads hang
            with pytest.raises(Unavailable) as caught:
                app.searcher.search(EVERYONE, "ставки", mode="words")
            assert caught.value.code == Code.SEARCH_STOPPED
    finally:
        released.set()
    assert time.monotonic() - began < BOUND_S


def test_the_first_question_after_a_start_finds_the_index_open(app, monkeypatch):
    """Opening it took 13 s on a busy machine, and all that counted against the bound of the question."""
    app.index.put("a", [replace(ROW, owner=EVERYONE.owner)])
    started = Application(app.settings, clock=app.clock)

    started.warm_up()
    monkeypatch.setattr(lance, "Connection", None)

    assert [row.id for row, _ in started.index.words("ставки")] == ["a:0"]
    assert started.index.vocabulary().unknown(["ставки"]) == set()


def test_a_start_is_not_kept_up_by_an_index_that_breaks(app, monkeypatch):
    app.index.put("a", [ROW])
    monkeypatch.setattr(lance.Connection, "ask", BrokenTable().__getattr__)

    Application(app.settings, clock=app.clock).warm_up()
