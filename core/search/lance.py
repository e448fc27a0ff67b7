"""What LanceDB is told: columns, conditions, questions, indexes, care. Only `core/search/index.py` asks.

LanceDB takes seconds to import and hangs after a fork, so it is imported where it is first needed.
Conditions are expressions, never SQL text: a backslash before a quote breaks out of that.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import math
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

STEMS = "stems"
"""The column of words, stemmed and split by blanks (`terms.py`)."""

Table = Any
Condition = Any
How = Literal["all", "layout", "sound", "fuzzy", "any", "substring"]
"""How a question was read, exact to loose; the index is asked for all, any and substring."""

INDEX_ROWS = 10_000
"""Below this an exact scan is as fast as an index."""
INDEX_AFTER_ROWS = 300
"""New rows are scanned until they are indexed, 13 ms a search for each thousand; a search of what is indexed
takes some 5 ms. Indexing rewrites the index of words, 25 ms for each thousand there are (measured), so in a
large table a thousandth of its rows may wait."""
INDEX_AFTER_S = 600
"""Or this long, for fewer."""
VECTORS_AFTER_ROWS = 3000
"""The same for vectors: 1 ms a search for each thousand that waits."""
VECTOR_BITS = 4
"""For each number of a vector in the index. With one bit, vectors of one topic look alike in a large archive:
among 500,000, three raw vectors a hit find 92 % of the true ten and 77 % of the true fifty, in 7.8 ms of
processor time; with four bits all of both, in 6 ms. The index takes 0.2 kB a vector, four times as much, and
twice as long to make."""
MANY_FRAGMENTS = 20
MANY_DELTAS = 4
"""Each maintenance adds a small vector index. Each costs a search a millisecond, and a new one for 100,000
vectors takes 2.5 s (measured), so a few are worth it."""
KEEP_VERSIONS = timedelta(minutes=1)
"""A reader may still be on an old version; the longest query takes ten seconds."""


class Connection:
    """A connection that sees every write of others at once, with caches that do not eat the machine.

    `bucket_options` are those of the S3 client, as the crate `object_store` names them.

    Searches use LanceDB's asynchronous interface in a thread of ours: the other one changes threads twenty
    times a search, and each change waits for Python's lock. Measured: a search by words takes 4 ms instead
    of 7, and eight threads do twice as many.
    """

    def __init__(self, uri: str, bucket_options: Mapping[str, str]) -> None:
        import lancedb  # noqa: PLC0415

        options: dict[str, Any] = {
            "read_consistency_interval": timedelta(0),
            "session": lancedb.Session(index_cache_size_bytes=256 << 20, metadata_cache_size_bytes=64 << 20),
            "storage_options": dict(bucket_options) or None,
        }
        self.plain = lancedb.connect(uri, **options)
        """For writing, and whatever is not asked often."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="index", daemon=True).start()
        self._connected = self._wait(lancedb.connect_async(uri, **options))
        self._opened: dict[str, Any] = {}

    def ask(self, name: str, build: Callable[[Any], Any], limit_s: float) -> list[dict[str, Any]]:
        """Rows of what `build` makes of an empty query to this table. RuntimeError after `limit_s`."""
        return list(self._wait(self._ask(name, build, limit_s)).to_pylist())

    async def _ask(self, name: str, build: Callable[[Any], Any], limit_s: float) -> Any:
        if name not in self._opened:
            self._opened[name] = await self._connected.open_table(name)
        return await build(self._opened[name].query()).to_arrow(timeout=timedelta(seconds=limit_s))

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


# Columns


def words_schema() -> Any:
    """One row a passage; `stems` is what it is found by."""
    texts = ("recording_id", "owner", "text", "stems", "language", "speaker")
    return _schema("id", texts, numbers=("start_s", "end_s"))


def vocabulary_schema() -> Any:
    """One row a word that passages have, and when it was first seen, in seconds since 1970."""
    return _schema("word", (), numbers=("seen_at",))


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


def reader(schema: Any, tables: Iterable[Any]) -> Any:
    """Tables of one schema as a stream."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.RecordBatchReader.from_batches(
        schema, (part for table in tables for part in table.to_batches())
    )


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


def above(column: str, value: float) -> Condition:
    """The column is more than this."""
    from lancedb.expr import col, lit  # noqa: PLC0415

    return col(column) > lit(float(value))


def scoped(query: Any, where: Condition | None) -> Any:
    """The query, only among rows that fulfil the condition."""
    return query if where is None else query.where(where)


def has_at_most(table: Table, where: Condition, rows: int) -> bool:
    """Whether no more rows than these fulfil the condition."""
    if table.count_rows() <= rows:
        return True
    query = table.search().where(where).select(["recording_id"]).limit(rows + 1)
    return bool(query.to_arrow().num_rows <= rows)


def distinct(table: Table, column: str) -> list[str]:
    """Every value that the column has."""
    return list(table.search().select([column]).to_arrow()[column].unique().to_pylist())


def counted(table: Table, column: str) -> dict[str, int]:
    """How many rows have each value of the column."""
    counts = table.search().select([column]).to_arrow()[column].value_counts()
    return {str(each["values"]): int(each["counts"]) for each in counts.to_pylist()}


# Questions


def full_text(groups: Sequence[Sequence[str]], phrases: Sequence[str], *, all_of_them: bool) -> Any | None:
    """A query for stems: of each group any one will do, and for phrases, stems split by blanks.

    None if there is nothing to ask for.
    """
    lance = _queries()
    one_by_one = [group[0] for group in groups if len(group) == 1]
    several = [group for group in groups if len(group) > 1]
    together = lance.FullTextOperator.AND if all_of_them else lance.FullTextOperator.OR
    parts: list[Any] = [lance.PhraseQuery(phrase, STEMS) for phrase in phrases]
    if one_by_one:
        parts.append(lance.MatchQuery(" ".join(one_by_one), STEMS, operator=together))
    parts += [
        lance.MatchQuery(" ".join(group), STEMS, operator=lance.FullTextOperator.OR) for group in several
    ]
    occur = lance.Occur.MUST if all_of_them else lance.Occur.SHOULD
    return lance.BooleanQuery([(occur, part) for part in parts]) if parts else None


def _queries() -> Any:
    from lancedb import query  # noqa: PLC0415

    return query


# Care


def create(connection: Any, name: str, schema: Any, rows: Any = None) -> Table:
    """The table, made if it is not there; words can be searched from the first row on.

    They were stemmed by us, so LanceDB only splits them: new rows, which it scans, cost a sixth.
    """
    table = connection.create_table(name, rows, schema=schema, exist_ok=True)
    index_stems(table)
    return table


def index_stems(table: Table) -> None:
    """Have words found in a table of passages, if it is one and they are not."""
    from lancedb.index import FTS  # noqa: PLC0415

    if STEMS in table.schema.names and STEMS not in {each.columns[0] for each in table.list_indices()}:
        words = FTS(
            base_tokenizer="whitespace",
            with_position=True,
            lower_case=False,
            stem=False,
            remove_stop_words=False,
            ascii_folding=False,
        )
        table.create_index(STEMS, config=words)


def merge(table: Table, key: str, rows: Any, instead_of: Condition | None = None) -> None:
    """Update rows by key and add new ones; what fulfils `instead_of` and is not among them goes."""
    table.checkout_latest()
    merging = table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
    if instead_of is not None:
        merging = merging.when_not_matched_by_source_delete(instead_of)
    merging.use_index(False).execute(rows)


def optimize(table: Table, after_rows: int | None) -> None:
    """Index new rows, merge small files, drop old versions, if there is enough of it or it is time."""
    table.checkout_latest()
    rows = table.count_rows()
    index_stems(table)
    _index_columns(table, rows)
    indexes = table.list_indices()
    waiting = max((index.num_unindexed_rows or 0 for index in indexes), default=0)
    fragments = table.stats()["fragment_stats"]["num_fragments"]
    usual = VECTORS_AFTER_ROWS if "vector" in table.schema.names else INDEX_AFTER_ROWS
    enough = after_rows or max(1, min(usual, rows // 10), rows // 1000)
    late = waiting > 0 and _age_s(indexes) >= INDEX_AFTER_S
    if waiting >= enough or late or fragments > MANY_FRAGMENTS or _has_old_versions(table):
        table.optimize(cleanup_older_than=KEEP_VERSIONS)


def _age_s(indexes: Iterable[Any]) -> float:
    """Since anything was indexed last, in seconds."""
    created_at = [index.created_at for index in indexes if index.created_at]
    return (datetime.now(UTC) - max(created_at)).total_seconds() if created_at else math.inf


def _has_old_versions(table: Table) -> bool:
    """Whether there are versions that nobody reads any more; each holds files."""
    created_at = [version["timestamp"] for version in table.list_versions()]
    return len(created_at) > 1 and datetime.now() - min(created_at) > 2 * KEEP_VERSIONS


def _index_columns(table: Table, rows: int) -> None:
    """The indexes a large table deserves. Never one of its key: merges would lose their guard."""
    from lancedb.index import Bitmap, BTree, IvfRq  # noqa: PLC0415

    index_configs = {
        "recording_id": BTree(),
        "owner": Bitmap(),
        "hash": BTree(),
        "vector": IvfRq(distance_type="cosine", num_bits=VECTOR_BITS),
    }
    key, *columns = table.schema.names
    existing = {index.columns[0]: index for index in table.list_indices()}
    if key != "id" or rows < INDEX_ROWS:
        return
    for column in columns:
        missing = column not in existing or (column == "vector" and _is_outdated(existing[column]))
        if column in index_configs and missing and _can_be_indexed(table, column):
            table.create_index(column, config=index_configs[column], replace=True)


def _is_outdated(index: Any) -> bool:
    """Whether an index of vectors is in too many pieces, or of an earlier form."""
    bits = (index.index_details or {}).get("compression", {}).get("num_bits")
    return (index.num_segments or 1) > MANY_DELTAS or bits != VECTOR_BITS


def _can_be_indexed(table: Table, column: str) -> bool:
    """One bit a number makes whole bytes of a vector, or no index."""
    return column != "vector" or table.schema.field(column).type.list_size % 8 == 0


@contextmanager
def locked(folder: Path | None) -> Iterator[None]:
    """One writer at a time on this machine. In a bucket whoever builds the index sees to that."""
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
