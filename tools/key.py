"""`make key NAME=x [ADMIN=1]`: print a new API key, and nothing else, to standard output."""

from __future__ import annotations

import argparse
import sys

from core.clients.keys import Keys
from core.database.database import Database
from core.settings import load
from jobs.entry import explained


def main(arguments: list[str]) -> int:
    """Make the key in the installation that the settings name."""
    parser = argparse.ArgumentParser(prog="make key", description=__doc__)
    parser.add_argument("name", help="who will use it")
    parser.add_argument("--admin", action="store_true", help="may see and delete everything")
    parser.add_argument("--language", choices=("en", "ru"), default="en", help="of messages")
    asked = parser.parse_args(arguments)
    if not asked.name.strip():
        print("Whose key is it? Say `make key NAME=somebody`.", file=sys.stderr)
        return 2
    with explained():
        settings = load()
        keys = Keys(Database(settings.sqlalchemy_url), settings.key_pepper.get_secret_value())
    print(keys.make(asked.name.strip(), admin=asked.admin, language=asked.language))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
