"""Passages at rest: words and vectors in LanceDB, found again by either.

One table holds the passages, one the different words in them. Each space of vectors (a model and a size)
has two of its own: `vectors` of passages, and `kept` ones that were paid for and belong to none any more.

Writing rules, each of which was measured to matter (LanceDB 0.40): ids are the tables' primary
keys and a merge never uses an index on them, else two writers of the same rows double them; a
batch must not hold an id twice; one writer at a time, on all machines; the disk is synced before a write
counts, because LanceDB itself never does.
"""

from __future__ import annotations

import functools
import hashlib
import math
import operator
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.embedding.embedder import Vectors, unit
from core.errors import Busy, Code, Rejected, Unavailable
from core.search import lance, stems, terms
from core.search.lance import How
from core.search.question import Question, read
from core.search.vocabulary import LONGEST, Vocabulary
from core.storage.blobs import no_space

EXACT_ROWS = 10_000
"""A scope of at most this many passages is scanned exactly: an index would miss some of them."""
PROBES = 50
REFINED = 3
"""Partitions looked at, and raw vectors compared for each hit wanted: finds all of the true ten and fifty
among 100,000 to 1,000,000 (`benchmarks/bench_vectors.py`)."""
FORM = 2
"""Of the table of passages. Where another is found, this one is made of it: see `_convert`."""
WORDS = f"passages-{FORM}"
EARLIER = ("words",)
"""What the table was called in earlier forms."""
VOCABULARY = "vocabulary"
REMOVED = ""
"""A row of the vocabulary that is no word: passages have gone since its words were gathered."""
GATHER_AGAIN_S = 86_400
"""Gathering reads every text."""
READ_AT_ONCE = 5_000
QUERY_LIMIT_S = 10
"""LanceDB is told to give up a query after this long, so that none goes on when nobody waits for it."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One passage as it is searched."""

    id: str
    recording_id: str
    owner: str
    start_s: float
    end_s: float
    text: str
    language: str
    speaker: str = ""
    stems: str = field(default="", compare=False)
    """Its terms split by blanks, where the index gave it for its words."""


COLUMNS = [each.name for each in fields(Row) if each.name != lance.STEMS]


@dataclass(frozen=True)
class Scope:
    """Where to look: one owner's passages (None: everybody's), in some recordings (none named: in all)."""

    owner: str | None = None
    recording_ids: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    """Only what these say, by the names that people gave them; nobody: whoever speaks."""
    hidden: tuple[str, ...] = ()
    """Recordings in which not to look."""


EVERYWHERE = Scope()


class Space(Protocol):
    """What vectors are comparable in: an embedder, or just its name and size."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def dim(self) -> int:
        """Numbers a vector."""


def _reading(ask: Callable[P, T]) -> Callable[P, T]:
    """A question to the index whose every failure is Unavailable. LanceDB raises these, with a text alone."""

    @functools.wraps(ask)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return ask(*args, **kwargs)
        except (OSError, RuntimeError, ValueError) as error:
            raise Unavailable(Code.INDEX_SILENT) from error

    return wrapper


class Index:
    """Words and vectors of all passages, in a folder or a bucket.

    `exclusive` is entered around every write: in a folder a lock of this machine does, in a bucket it takes
    one that holds on all machines.
    """

    def __init__(
        self,
        uri: str,
        bucket_options: Mapping[str, str] | None = None,
        exclusive: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._uri = uri
        self._bucket_options = bucket_options or {}
        self._folder = None if "://" in uri else Path(uri)
        self._connection: lance.Connection | None = None
        self._opened: dict[str, lance.Table] = {}
        self._places: dict[str, int] = {}
        """The inode of each table's folder."""
        self._vocabulary = Vocabulary()
        self._opening = threading.RLock()
        self._one_writer = threading.Lock()
        self._exclusive = exclusive

    # Words

    def put(self, recording_id: str, rows: Sequence[Row]) -> None:
        """Make these the only passages of the recording, in one step. Raise NoSpace or Unavailable.

        Vectors of passages that are gone, or say something else now, are kept for their text only.
        """
        new = {row.id: row for row in rows}
        if not all(_belongs(row, recording_id) for row in rows):
            raise Rejected(Code.PASSAGE_NOT_INDEXABLE)
        with self._writing():
            old = self._texts(recording_id)
            removed = [key for key in old if key not in new or new[key].text != old[key]]
            if removed:
                self._release(lance.among("id", removed))
                self._extend_vocabulary([REMOVED])
            self._extend_vocabulary(
                word for row in new.values() for word in stems.words(stems.fold(row.text))
            )
            schema = lance.words_schema()
            instead_of = lance.equal("recording_id", recording_id)
            lance.merge(self._create(WORDS, schema), "id", _words_batch(schema, new.values()), instead_of)

    def remove(self, recording_id: str) -> None:
        """Forget a recording's words; its vectors stay for a while, known only by the hash of their text."""
        condition = lance.equal("recording_id", recording_id)
        with self._writing():
            words = self._open(WORDS)
            if words is not None:
                words.delete(condition)
                self._extend_vocabulary([REMOVED])
            self._release(condition)

    @_reading
    def words(
        self, question: str | Question, scope: Scope = EVERYWHERE, limit: int = 20, how: How = "all"
    ) -> list[tuple[Row, float]]:
        """Passages that say it, best first, with their score (BM25)."""
        words, parsed = self._open(WORDS), read(question) if isinstance(question, str) else question
        groups = self._groups(parsed, how)
        phrases = [phrase for phrase in map(terms.of_phrase, parsed.phrases) if phrase]
        if words is None or not all(groups) or len(phrases) < len(parsed.phrases):
            return []
        query = lance.full_text(groups, phrases, all_of_them=how != "any")
        if query is None:
            return []
        where = _within(scope)

        def build(found: Any) -> Any:
            found = lance.scoped(found.nearest_to_text(query), where)
            return found.select([*COLUMNS, lance.STEMS, "_score"]).limit(limit)

        rows = [(_row(values), values["_score"]) for values in self._ask(WORDS, build)]
        return [hit for hit in rows if all(terms.says(hit[0].text, phrase) for phrase in parsed.phrases)]

    def _groups(self, question: Question, how: How) -> list[tuple[str, ...]]:
        """Terms of each word that is asked for; of a part of words, those of the words that have it."""
        if how != "substring":
            return terms.of_question(question)
        parts = [part for part in stems.words(stems.fold(question.text)) if part not in stems.STOP_WORDS]
        vocabulary = self.vocabulary()
        return [tuple(dict.fromkeys(map(stems.stem, vocabulary.containing(part)))) for part in parts]

    @_reading
    def vocabulary(self) -> Vocabulary:
        """The words of all passages, whoever they belong to; and some of passages that went lately."""
        table = self._open(VOCABULARY)
        if table is None:
            return Vocabulary()
        with self._opening:
            number = table.count_rows()
            if number < len(self._vocabulary):
                self._vocabulary = Vocabulary()
            if number != len(self._vocabulary):
                new = table.search().where(lance.above("seen_at", self._vocabulary.seen_at - 1)).to_arrow()
                newest_seen_at = max(new["seen_at"].to_pylist(), default=0.0)
                self._vocabulary.add(new["word"].to_pylist(), newest_seen_at)
            return self._vocabulary

    @_reading
    def rows(self, ids: Iterable[str]) -> dict[str, Row]:
        """Passages by id; those that are gone are left out."""
        row_ids = list(ids)
        if self._open(WORDS) is None or not row_ids:
            return {}
        rows = self._ask(WORDS, lambda query: query.where(lance.among("id", row_ids)).select(COLUMNS))
        return {values["id"]: _row(values) for values in rows}

    # Vectors

    def put_vectors(
        self,
        space: Space,
        recording_id: str,
        owner: str,
        ids: Sequence[str],
        hashes: Sequence[str],
        vectors: Vectors | Sequence[NDArray[np.float32]],
    ) -> list[str]:
        """Give passages their vectors; answers with the ids of those that were there to take one.

        The vector of a passage that is gone meanwhile is kept by the hash of its text: it was paid for.
        """
        checked = _checked(space, ids, hashes, vectors)
        with self._writing():
            alive = self._texts(recording_id).keys()
            live = {key: pair for key, pair in checked.items() if key in alive}
            self._keep(_key(space), dict(pair for key, pair in checked.items() if key not in alive))
            if live:
                schema = lance.vectors_schema(space.dim)
                batch = _vectors_batch(schema, recording_id, owner, live)
                lance.merge(self._create(f"vectors-{_key(space)}", schema), "id", batch)
        return list(live)

    @_reading
    def nearest(
        self, space: Space, vector: NDArray[np.float32], scope: Scope = EVERYWHERE, limit: int = 20
    ) -> list[tuple[str, float]]:
        """Ids of passages and the cosine of their vectors with this one, best first."""
        name = f"vectors-{_key(space)}"
        if self._open(name) is None:
            return []
        if not scope.speakers:
            return self._nearest(name, vector, _within(scope), limit)
        words = self._open(WORDS)  # vectors know no speakers
        in_scope = words.search().where(_within(scope)).select(["id"]) if words is not None else None
        ids = [values["id"] for values in _values(in_scope)] if in_scope is not None else []
        return self._nearest(name, vector, lance.among("id", ids), limit) if ids else []

    @_reading
    def vectors_of(self, space: Space, hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Vectors that were made of these texts before, by hash, whoever they belonged to."""
        unique_hashes = list(dict.fromkeys(hashes))
        found: dict[str, NDArray[np.float32]] = {}
        for kind in ("vectors", "kept"):
            table = self._open(f"{kind}-{_key(space)}")
            if table is not None and unique_hashes:
                found |= _by_hash(table, lance.among("hash", unique_hashes))
        return found

    def forget_vectors(self, older_than: float) -> int:
        """Drop what is kept since before this time (seconds since 1970), of any model; answers how many."""
        forgotten = 0
        for name in self._names():
            if name.startswith("kept-"):
                table = self._open(name)
                with self._writing():
                    table.checkout_latest()
                    forgotten += table.delete(lance.below("kept_since", older_than)).num_deleted_rows
        return forgotten

    # Care

    @_reading
    def count(self, space: Space | None = None) -> int:
        """Passages found by words, or those found by meaning in one space."""
        table = self._open(f"vectors-{_key(space)}" if space else WORDS)
        return 0 if table is None else int(table.count_rows())

    @_reading
    def recordings(self) -> set[str]:
        """Recordings that have words or vectors here."""
        names = [name for name in self._names() if name == WORDS or name.startswith("vectors-")]
        return {key for name in names for key in lance.distinct(self._open(name), "recording_id")}

    @_reading
    def by_recording(self, space: Space | None = None) -> dict[str, int]:
        """How many passages each recording has here, or how many vectors in one space."""
        table = self._open(f"vectors-{_key(space)}" if space else WORDS)
        return {} if table is None else lance.counted(table, "recording_id")

    @_reading
    def with_vectors(self, space: Space, recording_id: str) -> set[str]:
        """Ids of the recording's passages that have a vector."""
        table = self._open(f"vectors-{_key(space)}")
        if table is None:
            return set()
        query = table.search().where(lance.equal("recording_id", recording_id)).select(["id"])
        return {values["id"] for values in _values(query)}

    def maintain(self, after_rows: int | None = None) -> bool:
        """Index what is new, merge small files, drop old versions; False if a writer was in the way.

        Waits until there is enough of it, or `after_rows` new rows.
        """
        self._open(WORDS)
        tidied = [self._compacted(name, after_rows) for name in self._names()]
        return all(tidied) and self._gathered()

    def check(self) -> dict[str, int]:
        """Ask every table something it must answer; found rows by table, 0 for an empty one.

        Raise Unavailable if one fails. Searches, because a count answers even without its data file.
        """
        try:
            return {
                name: self._answers(name)
                for name in self._names()
                if name == WORDS or name.startswith("vectors-")
            }
        except (OSError, RuntimeError, ValueError) as error:
            raise Unavailable(Code.INDEX_SILENT) from error

    # Beneath

    def _texts(self, recording_id: str) -> dict[str, str]:
        words = self._open(WORDS)
        if words is None:
            return {}
        query = words.search().where(lance.equal("recording_id", recording_id)).select(["id", "text"])
        return {row["id"]: row["text"] for row in _values(query)}

    def _release(self, which: lance.Condition) -> None:
        """Take vectors away from their passages and keep them by hash; safe to repeat after a crash."""
        for name in self._names():
            if name.startswith("vectors-"):
                table = self._open(name)
                self._keep(name.removeprefix("vectors-"), _by_hash(table, which))
                table.checkout_latest()
                table.delete(which)

    def _keep(self, key: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        if not vectors:
            return
        schema = lance.kept_schema(len(next(iter(vectors.values()))))
        since = [time.time()] * len(vectors)
        columns: dict[str, list[Any]] = {
            "hash": list(vectors),
            "vector": list(vectors.values()),
            "kept_since": since,
        }
        lance.merge(self._create(f"kept-{key}", schema), "hash", lance.batch(schema, columns))

    def _extend_vocabulary(self, words: Iterable[str]) -> None:
        """Note words that are new to the vocabulary; before their passages, so that none lacks its own."""
        new = self.vocabulary().unknown(words)
        if new:
            lance.merge(self._create(VOCABULARY, lance.vocabulary_schema()), "word", _seen(new))

    def _gathered(self) -> bool:
        """Forget words of passages that went; False if a writer was in the way."""
        table, words = self._open(VOCABULARY), self._open(WORDS)
        if table is None or words is None:
            return True
        removed = table.search().where(lance.equal("word", REMOVED)).to_arrow()["seen_at"].to_pylist()
        cheap = words.count_rows() <= EXACT_ROWS
        if not removed or not (cheap or time.time() - removed[0] > GATHER_AGAIN_S):
            return True
        try:
            with self._writing():
                self._gather(words)
        except Unavailable:
            return False
        return True

    def _gather(self, words: lance.Table) -> None:
        """Have the vocabulary hold the words of this table's passages and no others."""
        words.checkout_latest()
        present_words: set[str] = set()
        for batch in words.search().select(["text"]).to_batches(READ_AT_ONCE):
            present_words.update(
                word for text in batch["text"].to_pylist() for word in stems.words(stems.fold(text))
            )
        table = self._create(VOCABULARY, lance.vocabulary_schema())
        table.add(_seen(word for word in present_words if len(word) <= LONGEST), mode="overwrite")

    def _convert(self, earlier: str) -> None:
        """Make the table of passages out of one of an earlier form: the same texts, our own stems."""
        with self._writing():
            if WORDS not in self._names():
                batches = (
                    self._connected().open_table(earlier).search().select(COLUMNS).to_batches(READ_AT_ONCE)
                )
                schema = lance.words_schema()
                rows = (_words_batch(schema, map(_row, batch.to_pylist())) for batch in batches)
                self._gather(lance.create(self._connected(), WORDS, schema, lance.reader(schema, rows)))
            self._connected().drop_table(earlier)

    def _compacted(self, name: str, after_rows: int | None) -> bool:
        try:
            with self._writing():
                lance.optimize(self._open(name), after_rows)
        except Unavailable:
            return False
        return True

    def _answers(self, name: str) -> int:
        table = self._open(name)
        one = _values(table.search().select(["text" if name == WORDS else "vector"]).limit(1))
        if not one:
            return 0
        if name == WORDS:
            return len(self.words(one[0]["text"][:100], how="any", limit=1))
        return len(self._nearest(name, np.array(one[0]["vector"], np.float32), None, 1))

    def _nearest(
        self, name: str, vector: NDArray[np.float32], where: lance.Condition | None, limit: int
    ) -> list[tuple[str, float]]:
        exact = where is not None and lance.has_at_most(self._open(name), where, EXACT_ROWS)

        def build(query: Any) -> Any:
            query = lance.scoped(query.nearest_to(vector).column("vector").distance_type("cosine"), where)
            query = query.limit(limit).select(["id", "_distance"])
            return query.bypass_vector_index() if exact else query.nprobes(PROBES).refine_factor(REFINED)

        return [(row["id"], 1.0 - row["_distance"]) for row in self._ask(name, build)]

    def _ask(self, name: str, build: Callable[[Any], Any]) -> list[dict[str, Any]]:
        """What a query to a table finds. Unavailable if that takes longer than `QUERY_LIMIT_S`."""
        with _in_time():
            return self._connect().ask(name, build, QUERY_LIMIT_S)

    def _names(self) -> list[str]:
        """All tables. LanceDB takes 70 MiB, so it is not asked of a folder that has none."""
        if self._connection is None and self._folder and not any(self._folder.glob("*.lance")):
            return []
        return sorted(self._connected().list_tables(limit=10_000).tables)

    def _connected(self) -> Any:
        return self._connect().plain

    def _connect(self) -> lance.Connection:
        with self._opening:
            if self._connection is None:
                self._connection = lance.Connection(self._uri, self._bucket_options)
            return self._connection

    def _open(self, name: str) -> Any:
        """A table, or None while nobody has made it."""
        with self._opening:
            self._notice_other_folder(name)
            if name not in self._opened:
                names = self._names()
                for earlier in EARLIER if name == WORDS else ():
                    if earlier in names:
                        self._convert(earlier)
                        names = self._names()
                if name in names:
                    self._opened[name] = self._connected().open_table(name)
            return self._opened.get(name)

    def _notice_other_folder(self, name: str) -> None:
        """Forget what was opened of a table whose folder is another one now, or is gone."""
        folder = self._folder / f"{name}.lance" if self._folder else None
        known_folder = self._places.get(name)
        if folder is None or known_folder == (place := _place(folder)):
            return
        if known_folder is not None:
            self._connection, self._vocabulary = None, Vocabulary()
            self._opened.clear()
            self._places.clear()
        if place is not None:
            self._places[name] = place

    def _create(self, name: str, schema: Any) -> lance.Table:
        return self._open(name) or lance.create(self._connected(), name, schema)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone among all writers; what was written is on the disk when this ends."""
        with self._one_writer, lance.locked(self._folder), self._exclusive():
            try:
                yield
                lance.sync(self._folder)
            except (OSError, RuntimeError) as error:
                raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> Exception:
        if lance.lacks_space(error):
            return no_space(self._folder or Path.cwd(), 0)
        if lance.lost_race(error):
            return Busy(Code.INDEX_BUSY)
        return Unavailable(Code.INDEX_SILENT)


def _key(space: Space) -> str:
    """Name and size in letters a table may have; the hash tells apart what looks alike in them."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", space.name)
    return f"{plain}-{hashlib.sha256(space.name.encode()).hexdigest()[:6]}-{space.dim}"


def _place(folder: Path) -> int | None:
    """The inode of a folder; None if there is none."""
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


def _within(scope: Scope, where: lance.Condition | None = None) -> lance.Condition | None:
    parts = [] if where is None else [where]
    if scope.owner is not None:
        parts.append(lance.equal("owner", scope.owner))
    if scope.recording_ids:
        parts.append(lance.among("recording_id", scope.recording_ids))
    if scope.hidden:
        parts.append(~lance.among("recording_id", scope.hidden))
    if scope.speakers:
        parts.append(lance.among("speaker", scope.speakers))
    return functools.reduce(operator.and_, parts) if parts else None


def _by_hash(table: lance.Table, where: lance.Condition) -> dict[str, NDArray[np.float32]]:
    return lance.by_hash(table.search().where(where).select(["hash", "vector"]).to_arrow())


def _values(query: Any) -> list[dict[str, Any]]:
    """What a query finds that is not asked often. Unavailable if that takes longer than `QUERY_LIMIT_S`."""
    with _in_time():
        return list(query.to_arrow(timeout=timedelta(seconds=QUERY_LIMIT_S)).to_pylist())


@contextmanager
def _in_time() -> Iterator[None]:
    """LanceDB has no class for a query that was given up, only the text."""
    try:
        yield
    except RuntimeError as error:
        if "Query timeout" not in str(error):
            raise
        raise Unavailable(Code.SEARCH_STOPPED, seconds=QUERY_LIMIT_S) from error


def _row(values: Mapping[str, Any]) -> Row:
    return Row(**{name: values[name] for name in COLUMNS}, stems=values.get(lance.STEMS, ""))


def _belongs(row: Row, recording_id: str) -> bool:
    in_time = math.isfinite(row.start_s) and math.isfinite(row.end_s)
    return bool(row.id) and row.recording_id == recording_id and in_time


def _words_batch(schema: Any, rows: Iterable[Row]) -> Any:
    records = [asdict(row) | {lance.STEMS: " ".join(terms.of_text(row.text))} for row in rows]
    return lance.batch(schema, {name: [record[name] for record in records] for name in schema.names})


def _seen(words: Iterable[str]) -> Any:
    """Rows of the vocabulary."""
    new, now = sorted(words), time.time()
    return lance.batch(lance.vocabulary_schema(), {"word": new, "seen_at": [now] * len(new)})


def _checked(
    space: Space,
    ids: Sequence[str],
    hashes: Sequence[str],
    vectors: Vectors | Sequence[NDArray[np.float32]],
) -> dict[str, tuple[str, NDArray[np.float32]]]:
    """Hash and unit vector by id, each id once. Rejected if they do not fit together."""
    try:
        return dict(zip(ids, zip(hashes, unit(vectors, len(ids), space.dim), strict=True), strict=True))
    except ValueError as error:
        raise Rejected(Code.VECTORS_NOT_INDEXABLE) from error


def _vectors_batch(
    schema: Any, recording_id: str, owner: str, entries: Mapping[str, tuple[str, NDArray[np.float32]]]
) -> Any:
    columns: dict[str, list[Any]] = {
        "id": list(entries),
        "recording_id": [recording_id] * len(entries),
        "owner": [owner] * len(entries),
        "hash": [pair[0] for pair in entries.values()],
        "vector": [pair[1] for pair in entries.values()],
    }
    return lance.batch(schema, columns)
