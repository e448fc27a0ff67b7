"""Passages at rest: words and vectors in LanceDB, found again by either.

One table holds the words. Each space of vectors (a model and a size) has two tables of its own:
`vectors` of passages, and `kept` ones that were paid for and belong to no passage any more.

Writing rules, each of which was measured to matter (LanceDB 0.40): ids are the tables' primary
keys and a merge never uses an index on them, else two writers of the same rows double them; a
batch must not hold an id twice; one writer at a time; the disk is synced before a write counts,
because LanceDB itself never does.
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
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.embedding.embedder import Vectors, unit
from core.errors import Code, Rejected, Unavailable
from core.search import lance, numbers, stems
from core.search.lance import How
from core.search.question import Question, read
from core.storage.blobs import no_space

EXACT_ROWS = 10_000
"""A scope of at most this many passages is scanned exactly: an index would miss some of them."""
PROBES = 50
REFINED = 10
"""Partitions looked at, and raw vectors compared for each hit wanted; recall above 0.99, measured."""
WORDS = "words"
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


COLUMNS = [field.name for field in fields(Row)]


@dataclass(frozen=True)
class Scope:
    """Where to look: one owner's passages (None: everybody's), in some recordings (none named: in all)."""

    owner: str | None = None
    recording_ids: tuple[str, ...] = ()


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
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return ask(*args, **kwargs)
        except (OSError, RuntimeError, ValueError) as error:
            raise Unavailable(Code.INDEX_SILENT) from error

    return asked


class Index:
    """Words and vectors of all passages, in a folder or a bucket."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._folder = None if "://" in uri else Path(uri)
        self._connection: Any = None
        self._opened: dict[str, lance.Table] = {}
        self._opening = threading.RLock()
        self._one_writer = threading.Lock()

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
            gone = [key for key in old if key not in new or new[key].text != old[key]]
            if gone:
                self._release(lance.among("id", gone))
            schema = lance.words_schema()
            instead_of = lance.equal("recording_id", recording_id)
            lance.merge(self._create(WORDS, schema), "id", _words_batch(schema, new.values()), instead_of)

    def remove(self, recording_id: str) -> None:
        """Forget a recording's words; its vectors stay for a while, known only by the hash of their text."""
        mine = lance.equal("recording_id", recording_id)
        with self._writing():
            words = self._open(WORDS)
            if words is not None:
                words.delete(mine)
            self._release(mine)

    @_reading
    def words(
        self, question: str | Question, scope: Scope = EVERYWHERE, limit: int = 20, how: How = "all"
    ) -> list[tuple[Row, float]]:
        """Passages that say it, best first, with their score (BM25; 1 for a substring)."""
        words, asked = self._open(WORDS), read(question) if isinstance(question, str) else question
        if words is None or not (asked.words or asked.phrases):
            return []
        if how == "substring":
            where = _within(scope, lance.containing("plain", asked.text))
            found = words.search().where(where).select(COLUMNS)
        else:
            query = lance.full_text(asked, how)
            if query is None:
                return []
            found = lance.scoped(words.search(query, query_type="fts"), _within(scope))
            found = found.select([*COLUMNS, "_score"])
        return [(_row(values), values.get("_score", 1.0)) for values in _values(found.limit(limit))]

    @_reading
    def rows(self, ids: Iterable[str]) -> dict[str, Row]:
        """Passages by id; those that are gone are left out."""
        wanted = list(ids)
        words = self._open(WORDS)
        if words is None or not wanted:
            return {}
        found = words.search().where(lance.among("id", wanted)).select(COLUMNS)
        return {values["id"]: _row(values) for values in _values(found)}

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
        given = _checked(space, ids, hashes, vectors)
        with self._writing():
            alive = self._texts(recording_id).keys()
            live = {key: pair for key, pair in given.items() if key in alive}
            self._keep(_key(space), dict(pair for key, pair in given.items() if key not in alive))
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
        table = self._open(f"vectors-{_key(space)}")
        return [] if table is None else _nearest(table, vector, _within(scope), limit)

    @_reading
    def vectors_of(self, space: Space, hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Vectors that were made of these texts before, by hash, whoever they belonged to."""
        wanted = list(dict.fromkeys(hashes))
        found: dict[str, NDArray[np.float32]] = {}
        for kind in ("vectors", "kept"):
            table = self._open(f"{kind}-{_key(space)}")
            if table is not None and wanted:
                found |= _by_hash(table, lance.among("hash", wanted))
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
        names = [name for name in self._names() if not name.startswith("kept-")]
        return {key for name in names for key in lance.distinct(self._open(name), "recording_id")}

    def maintain(self, after_rows: int | None = None) -> bool:
        """Index what is new, merge small files, drop old versions; False if a writer was in the way.

        Waits until there is enough of it, or `after_rows` new rows. A misspelt word is found in
        indexed rows only.
        """
        tidied = [self._tidied(name, after_rows) for name in self._names()]
        return all(tidied)

    def check(self) -> dict[str, int]:
        """Ask every table something it must answer; found rows by table, 0 for an empty one.

        Raise Unavailable if one fails. Searches, because a count answers even without its data file.
        """
        try:
            return {name: self._answers(name) for name in self._names() if not name.startswith("kept-")}
        except (OSError, RuntimeError, ValueError) as error:
            raise Unavailable(Code.INDEX_SILENT) from error

    # Beneath

    def _texts(self, recording_id: str) -> dict[str, str]:
        words = self._open(WORDS)
        if words is None:
            return {}
        mine = words.search().where(lance.equal("recording_id", recording_id)).select(["id", "text"])
        return {row["id"]: row["text"] for row in _values(mine)}

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

    def _tidied(self, name: str, after_rows: int | None) -> bool:
        try:
            with self._writing():
                lance.tidy(self._open(name), after_rows)
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
        return len(_nearest(table, np.array(one[0]["vector"], np.float32), None, 1))

    def _names(self) -> list[str]:
        return sorted(self._connected().list_tables(limit=10_000).tables)

    def _connected(self) -> Any:
        with self._opening:
            if self._connection is None:
                self._connection = lance.connect(self._uri)
            return self._connection

    def _open(self, name: str) -> Any:
        """A table, or None while nobody has made it."""
        with self._opening:
            if name not in self._opened and name in self._names():
                self._opened[name] = self._connected().open_table(name)
            return self._opened.get(name)

    def _create(self, name: str, schema: Any) -> lance.Table:
        return self._open(name) or lance.create(self._connected(), name, schema)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone among all writers; what was written is on the disk when this ends."""
        with self._one_writer, lance.locked(self._folder):
            try:
                yield
                lance.sync(self._folder)
            except (OSError, RuntimeError) as error:
                raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> Exception:
        if lance.lacks_space(error):
            return no_space(self._folder or Path.cwd(), 0)
        if lance.lost_race(error):
            return Unavailable(Code.INDEX_BUSY)
        return Unavailable(Code.INDEX_SILENT)


def _key(space: Space) -> str:
    """Name and size in letters a table may have; the hash tells apart what looks alike in them."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", space.name)
    return f"{plain}-{hashlib.sha256(space.name.encode()).hexdigest()[:6]}-{space.dim}"


def _within(scope: Scope, where: lance.Condition | None = None) -> lance.Condition | None:
    parts = [] if where is None else [where]
    if scope.owner is not None:
        parts.append(lance.equal("owner", scope.owner))
    if scope.recording_ids:
        parts.append(lance.among("recording_id", scope.recording_ids))
    return functools.reduce(operator.and_, parts) if parts else None


def _nearest(
    table: lance.Table, vector: NDArray[np.float32], where: lance.Condition | None, limit: int
) -> list[tuple[str, float]]:
    query = table.search(vector, vector_column_name="vector").distance_type("cosine")
    query = lance.scoped(query, where).limit(limit).select(["id", "_distance"])
    exact = where is not None and lance.has_at_most(table, where, EXACT_ROWS)
    query = query.bypass_vector_index() if exact else query.nprobes(PROBES).refine_factor(REFINED)
    return [(found["id"], 1.0 - found["_distance"]) for found in _values(query)]


def _by_hash(table: lance.Table, where: lance.Condition) -> dict[str, NDArray[np.float32]]:
    return lance.by_hash(table.search().where(where).select(["hash", "vector"]).to_arrow())


def _values(query: Any) -> list[dict[str, Any]]:
    """What a query finds. Unavailable if that takes longer than `QUERY_LIMIT_S`."""
    try:
        return list(query.to_arrow(timeout=timedelta(seconds=QUERY_LIMIT_S)).to_pylist())
    except RuntimeError as error:
        if "Query timeout" not in str(error):
            raise
        raise Unavailable(Code.SEARCH_STOPPED, seconds=QUERY_LIMIT_S) from error


def _row(values: Mapping[str, Any]) -> Row:
    return Row(**{name: values[name] for name in COLUMNS})


def _belongs(row: Row, recording_id: str) -> bool:
    in_time = math.isfinite(row.start_s) and math.isfinite(row.end_s)
    return bool(row.id) and row.recording_id == recording_id and in_time


def _plain(text: str) -> str:
    """The text folded, and below it what else it is found by: numbers in digits, codes as one word."""
    return "\n".join([stems.fold(text), *([" ".join(spoken)] if (spoken := numbers.spoken(text)) else [])])


def _words_batch(schema: Any, rows: Iterable[Row]) -> Any:
    database = [asdict(row) | {"plain": _plain(row.text)} for row in rows]
    return lance.batch(schema, {name: [record[name] for record in database] for name in schema.names})


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
    schema: Any, recording_id: str, owner: str, given: Mapping[str, tuple[str, NDArray[np.float32]]]
) -> Any:
    columns: dict[str, list[Any]] = {
        "id": list(given),
        "recording_id": [recording_id] * len(given),
        "owner": [owner] * len(given),
        "hash": [pair[0] for pair in given.values()],
        "vector": [pair[1] for pair in given.values()],
    }
    return lance.batch(schema, columns)
