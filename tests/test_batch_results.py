"""Results of batches: matched by key alone; whatever is odd is an error, never a wrong vector."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ProviderBusy
from core.orders import batch_results

DIM = 4


def line(key: str = "a", values: object = (3, 0, 4.0, 0), **more: object) -> str:
    response = {"tokenCount": "7", "embedding": {"values": list(values) if values else values}}
    return json.dumps({"response": response, "key": key, **more})


def matched(path: Path, *lines: str, keys: str = "ab") -> tuple[batch_results.Match, dict[str, np.ndarray]]:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    match = batch_results.Match(dict.fromkeys(keys, 5), DIM)
    vectors_by_key = {k: v for ks, vectors in match.vectors(path) for k, v in zip(ks, vectors, strict=True)}
    return match, vectors_by_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "result.jsonl"


def test_keys_decide_and_not_the_order(path):
    match, vectors = matched(path, line("b", (0, 2, 0, 0)), line("a"))

    assert vectors["a"].tolist() == pytest.approx([0.6, 0, 0.8, 0])
    assert vectors["b"].tolist() == [0, 1, 0, 0]
    assert match.tokens == {"a": 7, "b": 7}
    assert match.missing == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line(values=(1, 2, 3)), "3 numbers instead of 4"),
        (line(values=(0, 0, 0, 0)), "a vector without direction"),
        (line(values=("NaN", 0, 0, 0)), "a vector without direction"),
        (line(values=(float("nan"), 0, 0, 0)), "a vector without direction"),
        (line(values=("Infinity", 1, 0, 0)), "a vector without direction"),
        (line(values=(1e308, 1e308, 1e308, 1e308)), "a vector without direction"),
        (line(values=None), "no usable vector"),
        (line(values=("x", 0, 0, 0)), "no usable vector"),
        ('{"key": "a", "response": {}}', "no usable vector"),
        ('{"key": "a", "error": {"code": 3, "message": "No."}}', "No."),
        ('{"key": "a", "status": {"code": 3}}', "3"),
        ('{"key": "a", "response": {"error": {"message": "No."}}}', "No."),
        ('{"key": "a", "error": "just words"}', "just words"),
    ],
)
def test_what_is_no_good_vector_is_an_error(path, bad, reason):
    match, vectors = matched(path, bad, line("b"))

    assert list(vectors) == ["b"]
    assert match.errors == {"a": reason}


def test_a_missing_key_is_missed(path):
    match, _ = matched(path, line("b"))

    assert match.missing == ["a"]


def test_the_first_good_line_of_a_key_wins(path):
    error = '{"key": "a", "error": {"message": "No."}}'
    match, vectors = matched(path, error, line("a"), line("a", (0, 1, 0, 0)), error, line("b"))

    assert vectors["a"].tolist() == pytest.approx([0.6, 0, 0.8, 0])
    assert match.errors == {}
    assert match.duplicates == 3


def test_strangers_are_ignored_and_many_of_them_reported(path):
    match, vectors = matched(path, line("a"), line("b"), line("stranger"))

    assert set(vectors) == {"a", "b"}
    assert match.unknown == 1
    assert match.suspicious


def test_an_unreadable_line_in_the_middle_costs_only_itself(path):
    match, vectors = matched(path, line("a")[:30], line("b"), "[1, 2]")

    assert list(vectors) == ["b"]
    assert match.unreadable == 2
    assert match.missing == ["a"]


def test_other_names_of_the_key_and_a_count_in_another_place_are_understood(path):
    response = {"embedding": {"values": [1, 0, 0, 0]}, "usageMetadata": {"promptTokenCount": 9}}
    match, _ = matched(path, json.dumps({"custom_id": "a", "response": response}))

    assert match.tokens == {"a": 9}


def test_without_a_count_the_guess_is_booked(path):
    match, _ = matched(path, json.dumps({"key": "a", "response": {"embedding": {"values": [1, 0, 0, 0]}}}))

    assert match.tokens == {"a": 5}


@pytest.mark.parametrize("lost", [1, 10, 40])
def test_a_result_that_broke_off_is_not_used_at_all(path, lost):
    whole = (line("a") + "\n" + line("b")).encode()
    path.write_bytes(whole[:-lost])

    with pytest.raises(ProviderBusy, match="broke off"):
        batch_results.count(path)


def test_a_whole_result_may_lack_its_last_line_break(path):
    path.write_bytes((line("a") + "\n\n" + line("b")).encode())

    assert batch_results.count(path) == 2


def test_more_lines_than_one_block(path):
    number = batch_results.BLOCK * 2 + 1
    lines = [line(str(n), (n + 1, 0, 0, 0)) for n in range(number)]
    path.write_text("\n".join(lines))
    match = batch_results.Match({str(n): 1 for n in range(number)}, DIM)

    sizes = [len(keys) for keys, vectors in match.vectors(path) if len(vectors)]

    assert sizes == [batch_results.BLOCK, batch_results.BLOCK, 1]
    assert match.missing == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["key", "response", "embedding", "values", "error", "tokenCount", "x"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(JSON.map(json.dumps) | st.text(max_size=20), max_size=6))
def test_no_line_whatsoever_breaks_the_reader_or_becomes_a_bad_vector(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "result.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    match = batch_results.Match({"a": 1, "": 1, "x": 1}, DIM)

    for _, vectors in match.vectors(path):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
