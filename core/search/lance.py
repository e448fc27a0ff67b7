"""What LanceDB is told: columns, conditions, questions, indexes, care. Only `core/search/index.py` asks.

LanceDB takes seconds to import and hangs after a fork, so it is imported where it is first needed.
Conditions are expressions, never SQL text: a backslash before a quote breaks out of that.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.search import numbers, stems
from core.search.question import Question, is_exact

Table = Any
Condition = Any
How = Literal["all", "layout", "sound", "fuzzy", "any", "substring"]
"""How a question was read, exact to loose; the index is asked for all, any, fuzzy and substring."""

INDEX_ROWS = 10_000
"""Below this an exact scan is as fast as an index."""
INDEX_AFTER_ROWS = 1000
"""New rows are scanned until they are indexed, 33 ms a search for each thousand; but indexing them
rewrites the index of all, 0.2 s a thousand (both measured). So: a tenth of a small table, a fiftieth
of a large one, and this many in between."""
LONGEST_FUZZY = 64
"""Characters. LanceDB builds an automaton for a fuzzy word and gives up on a long one (256 letters); no
word that people misspell is as long."""
MANY_FRAGMENTS = 20
MANY_DELTAS = 20
"""Each maintenance adds a small vector index; this many are worth a new one."""
KEEP_VERSIONS = timedelta(hours=1)
"""A reader may still be on an old version."""

TEXT_COLUMNS = {"text": "Russian", "plain": "English"}
"""A column has one language, so there are two: the text, and the same folded for English and substrings."""


def connect(uri: str) -> Any:
    """A connection that sees every write of others at once, with caches that do not eat the machine."""
    import lancedb  # noqa: PLC0415

    session = lancedb.Session(index_cache_size_bytes=512 << 20, metadata_cache_size_bytes=128 << 20)
    return lancedb.connect(uri, read_consistency_interval=timedelta(0), session=session)


# Columns


def words_schema() -> Any:
    """One row a passage."""
    texts = ("recording_id", "owner", "text", "plain", "language", "speaker")
    return _schema("id", texts, numbers=("start_s", "end_s"))


def vectors_schema(dim: int) -> Any:
    """One row a passage that has a vector."""
    return _schema("id", ("recording_id", "owner", "hash"), dim)


def kept_schema(dim: int) -> Any:
    """One row a text that no passage has any more; `kept_since` in seconds since 1970."""
    return _schema("hash", (), dim, numbers=("kept_since",))


def _schema(key: str, texts: Sequence[str], dim: int = 0, numbers: Sequence[str] = ()) -> Any:
    """With a primary key, two writers of the same rows conflict instead of doubling them."""
    import pyarrow as pa  # noqa: PLC0415

    unique = {"lance-schema:unenforced-primary-key": "true"}
    return pa.schema(
        [
            pa.field(key, pa.string(), nullable=False, metadata=unique),
            *(pa.field(name, pa.string()) for name in texts),
            *(pa.field(name, pa.float64()) for name in numbers),
            *([pa.field("vector", pa.list_(pa.float32(), dim), nullable=False)] if dim else []),
        ]
    )


def batch(schema: Any, columns: Mapping[str, Sequence[Any]]) -> Any:
    """Columns as LanceDB takes them; of each vector its own array."""
    import pyarrow as pa  # noqa: PLC0415

    arrays = []
    for field in schema:
        values = columns[field.name]
        if field.name == "vector":
            flat = pa.array(np.asarray(values, dtype=np.float32).reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.table(arrays, schema=schema)


def by_hash(rows: Any) -> dict[str, NDArray[np.float32]]:
    """Vectors of an arrow table by their hash."""
    column = rows["vector"].combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), column.type.list_size)
    return dict(zip(rows["hash"].to_pylist(), vectors, strict=True))


# Conditions


def equal(column: str, value: str) -> Condition:
    """The column is exactly this."""
    from lancedb.expr import col, lit  # noqa: PLC0415

    return col(column) == lit(value)


def among(column: str, values: Iterable[str]) -> Condition:
    """The column is one of these."""
    from lancedb.expr import col, lit  # noqa: PLC0415

    return col(column).isin([lit(value) for value in values])


def below(column: str, value: float) -> Condition:
    """The column is less than this."""
    from lancedb.expr import col, lit  # noqa: PLC0415

    return col(column) < lit(float(value))


def containing(column: str, text: str) -> Condition:
    """The column has this text somewhere in it, letter by letter."""
    from lancedb.expr import col, lit  # noqa: PLC0415

    return col(column).contains(lit(text))


def scoped(query: Any, where: Condition | None) -> Any:
    """The query, only among rows that fulfil the condition."""
    return query if where is None else query.where(where)


def has_at_most(table: Table, where: Condition, rows: int) -> bool:
    """Whether no more rows than these fulfil the condition."""
    if table.count_rows() <= rows:
        return True
    found = table.search().where(where).select(["recording_id"]).limit(rows + 1)
    return bool(found.to_arrow().num_rows <= rows)


def distinct(table: Table, column: str) -> list[str]:
    """Every value that the column has."""
    return list(table.search().select([column]).to_arrow()[column].unique().to_pylist())


# Questions


def full_text(question: Question, how: How) -> Any | None:
    """The question for both text columns: each word is asked of the column that knows its language.

    None if there is no word in it.
    """
    lance = _queries()
    occur = lance.Occur.MUST if how == "all" else lance.Occur.SHOULD
    parts = [*_phrases(question), *(_fuzzy(question) if how == "fuzzy" else _words(question, how))]
    return lance.BooleanQuery([(occur, part) for part in parts]) if parts else None


def _phrases(question: Question) -> list[Any]:
    return [_queries().PhraseQuery(phrase, _column(phrase)) for phrase in question.phrases]


def _words(question: Question, how: How) -> list[Any]:
    """Words of one form share a query; a word of several has its own, and any of them will do."""
    lance = _queries()
    operator = lance.FullTextOperator.AND if how == "all" else lance.FullTextOperator.OR
    columns: dict[str, list[str]] = {}
    queries = []
    for word in question.words:
        column, forms = _column(word), _forms(word)
        if len(forms) == 1:
            columns.setdefault(column, []).append(word)
        else:
            queries.append(lance.MatchQuery(" ".join(forms), column, operator=lance.FullTextOperator.OR))
    for column, words in columns.items():
        queries.append(lance.MatchQuery(" ".join(words), column, operator=operator))
    return queries


def _fuzzy(question: Question) -> list[Any]:
    """One letter may be wrong in a short word, two in a longer one.

    Fuzzy words are not stemmed by LanceDB, so they are here.
    """
    lance = _queries()
    return [
        lance.MatchQuery(stems.stem(word), _column(word), fuzziness=1 if len(word) <= 5 else 2)
        for word in question.words
        if 2 < len(word) <= LONGEST_FUZZY and not is_exact(word)
    ]


def _queries() -> Any:
    from lancedb import query  # noqa: PLC0415

    return query


def _forms(word: str) -> tuple[str, ...]:
    """A word in each form that it is found by; a code also in letters of one script."""
    return tuple(dict.fromkeys((word, numbers.code(word)))) if is_exact(word) else stems.forms(word)


def _column(text: str) -> str:
    """Where a word is looked for: numbers and codes where they stand in digits and one script."""
    return "text" if stems.is_russian(text) and not is_exact(text) else "plain"


# Care


def create(connection: Any, name: str, schema: Any) -> Table:
    """The table, made if it is not there; both text columns can be searched from the first row on."""
    from lancedb.index import FTS  # noqa: PLC0415

    table = connection.create_table(name, schema=schema, exist_ok=True)
    ready = {column for index in table.list_indices() for column in index.columns}
    stop = sorted(stems.STOP_WORDS | {stems.stem(word) for word in stems.STOP_WORDS})
    for column in (TEXT_COLUMNS.keys() & set(schema.names)) - ready:
        config = FTS(
            language=TEXT_COLUMNS[column], ascii_folding=False, with_position=True, custom_stop_words=stop
        )
        table.create_index(column, config=config)
    return table


def merge(table: Table, key: str, rows: Any, instead_of: Condition | None = None) -> None:
    """Update rows by key and add new ones; what fulfils `instead_of` and is not among them goes."""
    table.checkout_latest()
    merging = table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
    if instead_of is not None:
        merging = merging.when_not_matched_by_source_delete(instead_of)
    merging.use_index(False).execute(rows)


def tidy(table: Table, after_rows: int | None) -> None:
    """Index new rows, merge small files, drop old versions, if there is enough of it."""
    table.checkout_latest()
    rows = table.count_rows()
    waiting = max((index.num_unindexed_rows or 0 for index in table.list_indices()), default=0)
    fragments = table.stats()["fragment_stats"]["num_fragments"]
    _index_columns(table, rows)
    enough = after_rows or max(1, min(INDEX_AFTER_ROWS, rows // 10), rows // 50)
    if waiting >= enough or fragments > MANY_FRAGMENTS:
        table.optimize(cleanup_older_than=KEEP_VERSIONS)


def _index_columns(table: Table, rows: int) -> None:
    """The indexes a large table deserves. Never one of its key: merges would lose their guard."""
    from lancedb.index import Bitmap, BTree, IvfRq  # noqa: PLC0415

    wanted = {
        "recording_id": BTree(),
        "owner": Bitmap(),
        "hash": BTree(),
        "vector": IvfRq(distance_type="cosine"),
    }
    key, *columns = table.schema.names
    existing = {index.columns[0]: index.num_segments or 1 for index in table.list_indices()}
    if key != "id" or rows < INDEX_ROWS:
        return
    for column in columns:
        missing = column not in existing or (column == "vector" and existing[column] > MANY_DELTAS)
        if column in wanted and missing and _can_be_indexed(table, column):
            table.create_index(column, config=wanted[column], replace=True)


def _can_be_indexed(table: Table, column: str) -> bool:
    """One bit a number makes whole bytes of a vector, or no index."""
    return column != "vector" or table.schema.field(column).type.list_size % 8 == 0


@contextmanager
def locked(folder: Path | None) -> Iterator[None]:
    """One writer at a time on this machine; in a bucket, primary keys alone must do."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "writer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sync(folder: Path | None) -> None:
    """Everything written is on the disk; syncfs(2) where there is one."""
    if folder is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(handle)


def lacks_space(error: Exception) -> bool:
    """Whether a write found the disk full. LanceDB raises OSError and RuntimeError with a text alone."""
    return "no space left" in str(error).lower()


def lost_race(error: Exception) -> bool:
    """Whether another writer was faster. LanceDB has no class or number for that, only the text."""
    return "conflict" in str(error).lower()
