"""How every program of this tool says that it cannot start: sentences and exit code 2, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import StenogramError
from core.settings import SettingsInvalid

CANNOT_START = 2
"""The exit code, as of a command that was called wrongly."""


@contextmanager
def explained() -> Iterator[None]:
    """Around what a program does first: wrong settings and a database that cannot be opened end it."""
    try:
        yield
    except SettingsInvalid as error:
        _leave(*error.sentences)
    except StenogramError as error:
        _leave(str(error))
    except Exception as error:
        from core.database.failures import FAILURES, is_mistake, unavailable  # noqa: PLC0415 - only now: large

        if not isinstance(error, FAILURES) or is_mistake(error):
            raise
        _leave(f"{unavailable(error)} (DATABASE_URL, or STENOGRAM_HOME where that is empty.)")


def _leave(*sentences: str) -> None:
    for sentence in sentences:
        print(sentence, file=sys.stderr)  # noqa: T201
    raise SystemExit(CANNOT_START) from None
