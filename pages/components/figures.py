"""Figures as HTML: a table that becomes cards on a telephone, and pairs of a label and a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import streamlit as st

FILLED = re.compile("[\u2007\u2008]+")
"""What `common.aligned` fills figures up with: of use in a column, not on a card."""
CSS = Path(__file__).with_name("costs.css")


@dataclass(frozen=True)
class Column:
    """One column: what its cells are called, and whether they hold numbers, sentences, or need the whole width."""

    name: str
    title: str
    number: bool = False
    wide: bool = False
    text: bool = False
    help: str = ""


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and quietly below it."""

    text: str
    below: str = ""


def style() -> None:
    """The looks of all of this; once a page."""
    st.html(CSS)


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Cell | str]]) -> None:
    """Rows of cells by the names of their columns."""
    st.html(as_html(columns, rows))


def as_html(columns: Sequence[Column], rows: Iterable[Mapping[str, Cell | str]]) -> str:
    """The same as text."""
    head = "".join(
        f'<th scope="col"{_class("n" if each.number else "")}{_help(each)}>{escape(each.title)}</th>'
        for each in columns
    )
    body = "".join(f"<tr>{''.join(_cell(each, row[each.name]) for each in columns)}</tr>" for row in rows)
    return f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def pairs(rows: Iterable[tuple[str, str]], *, rule_before: str = "") -> str:
    """Labels with their numbers; a thin line stands before the label that is named."""
    return "".join(
        f"<div{_class('rule' if label == rule_before else '')}>"
        f"<span>{escape(label)}</span><span>{escape(value)}</span></div>"
        for label, value in rows
    ).join(('<div class="pairs">', "</div>"))


def narrow_key(names: Sequence[str]) -> None:
    """What the numbers in a chart stand for, where it is too narrow for names."""
    st.html(f'<ol class="narrow">{"".join(f"<li>{escape(name)}</li>" for name in names)}</ol>')


def _cell(column: Column, cell: Cell | str) -> str:
    known = cell if isinstance(cell, Cell) else Cell(cell)
    below = f'<span class="quiet">{escape(known.below)}</span>' if known.below else ""
    kind = "n" if column.number else "wide" if column.wide else "text" if column.text else ""
    text = FILLED.sub(r'<span class="filled">\g<0></span>', escape(known.text))
    named = f'<span class="name">{text}</span>' if column.wide else text
    return f'<td{_class(kind)} data-label="{escape(column.title)}"><div>{named}{below}</div></td>'


def _help(column: Column) -> str:
    return f' title="{escape(column.help)}"' if column.help else ""


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
