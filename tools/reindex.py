"""`make reindex`: bring back what the search index lacks, from SQL; may run beside the tool."""

from __future__ import annotations

import sys

from core.application import Application
from core.errors import StenogramError
from core.settings import load
from jobs.entry import explained


def main() -> int:
    """Fill it, and say how far it is."""
    with explained():
        app = Application(load())
    try:
        app.refill.run(float("inf"), lambda done, total: print(f"{done:,} of {total:,} passages", flush=True))
    except StenogramError as error:
        print(error, file=sys.stderr)
        return 1
    print("The index has every passage.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
