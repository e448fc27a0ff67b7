"""One page for whoever has to sign: figures, sources and days, as a document of Word."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH_MM = 174.0
"""Of the text on A4 between these margins."""
SIZES_PT = {"Normal": (9, 0), "List Bullet": (7.5, 0), "Heading 1": (15, 0), "Heading 2": (11, 6)}
"""Of styles: letters, and the space before a paragraph. Small enough for five ways and ten sources."""
NUMBER_MM = 28.0
"""Of a column of numbers; those of texts share the rest."""


@dataclass(frozen=True)
class Table:
    """A heading, the titles of the columns, and rows of texts; after `texts` of them come numbers."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


@dataclass(frozen=True)
class Sheet:
    """What stands on the page, from the top: answer first, then its ground."""

    title: str
    answer: str
    lines: Sequence[str]
    tables: Sequence[Table]
    sources_title: str
    sources: Sequence[str]


def as_docx(sheet: Sheet) -> bytes:
    """The page as .docx, A4 with narrow margins."""
    from docx import Document  # noqa: PLC0415 - 0.2 s, for a button that is seldom pressed
    from docx.shared import Mm, Pt  # noqa: PLC0415

    document = Document()
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(18)
    section.top_margin = section.bottom_margin = Mm(14)
    for name, (size_pt, before_pt) in SIZES_PT.items():
        style = document.styles[name]
        style.font.name = "Arial"
        style.font.size = Pt(size_pt)
        style.paragraph_format.space_before = Pt(before_pt)
        style.paragraph_format.space_after = Pt(2)
    document.add_heading(sheet.title, 1)
    document.add_paragraph().add_run(sheet.answer).bold = True
    for line in sheet.lines:
        document.add_paragraph(line)
    for table in sheet.tables:
        document.add_heading(table.title, 2)
        _draw(document, table)
    document.add_heading(sheet.sources_title, 2)
    for source in sheet.sources:
        document.add_paragraph(source, style="List Bullet").paragraph_format.space_after = Pt(0)
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def _draw(document: Any, table: Table) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH  # noqa: PLC0415
    from docx.shared import Mm, Pt  # noqa: PLC0415

    drawn = document.add_table(rows=0, cols=len(table.head), style="Light Shading")
    drawn.autofit = False
    numbers = len(table.head) - table.texts
    widths_mm = [(WIDTH_MM - numbers * NUMBER_MM) / table.texts] * table.texts + [NUMBER_MM] * numbers
    for column, width_mm in zip(drawn.columns, widths_mm, strict=True):
        column.width = Mm(width_mm)
    for row in (table.head, *table.rows):
        for n, (cell, text) in enumerate(zip(drawn.add_row().cells, row, strict=True)):
            cell.width = Mm(widths_mm[n])
            cell.text = text
            cell.paragraphs[0].paragraph_format.space_after = Pt(0)
            if n >= table.texts:
                cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
