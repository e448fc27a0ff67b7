"""Text that a spreadsheet opens as text: no formula, whoever wrote it.

By OWASP, CSV Injection (https://owasp.org/www-community/attacks/CSV_Injection): what begins with one of
FORMULA is computed, and may fetch addresses or run programs; so may what follows a separator, where the
spreadsheet's own separator is not the file's (`;` in Russian and most European settings).
"""

from __future__ import annotations

import re

FORMULA = "=+-@\t\r\n\0＝＋－＠"
"""First characters of what may be computed; the wide ones are read as their narrow forms."""
QUOTE = "'"
"""What OWASP puts before such a cell: a spreadsheet shows it in the file."""
JOINER = "\u2060"
"""A word joiner, which is seen nowhere: for tables that people look at before they take them along."""

_COMPUTED = re.compile(f"(?:^|(?<=[;\t\r\n]))(?=[{re.escape(FORMULA)}])")


def without_formulas(cell: str, mark: str = QUOTE) -> str:
    """The text with `mark` before whatever in it a spreadsheet would compute."""
    return _COMPUTED.sub(mark, cell)
