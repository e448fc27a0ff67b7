"""`make key NAME=x [ADMIN=1] [READ=1] [DAYS=90]`: print a new API key, and nothing else, to stdout."""

from __future__ import annotations

import argparse
import sys

from core.clients.keys import Keys
from core.database.database import Database
from core.principal import EVERYONE
from core.settings import load
from jobs.entry import explained


def main(arguments: list[str]) -> int:
    """Make the key in the installation that the settings name."""
    parser = argparse.ArgumentParser(prog="make key", description=__doc__)
    parser.add_argument("name", help="who will use it")
    parser.add_argument("--admin", action="store_true", help="may see and delete everything")
    parser.add_argument("--read", action="store_true", help="may change nothing")
    parser.add_argument("--days", type=float, help="until it is refused; for ever unless said")
    parser.add_argument("--language", choices=("en", "ru"), default="en", help="of messages")
    args = parser.parse_args(arguments)
    if not args.name.strip():
        print("Whose key is it? Say `make key NAME=somebody`.", file=sys.stderr)
        return 2
    with explained():
        settings = load()
        keys = Keys(Database(settings.sqlalchemy_url), settings.key_pepper.get_secret_value())
    may = {"admin": args.admin, "read_only": args.read}
    print(keys.make(EVERYONE, args.name.strip(), **may, days=args.days, language=args.language))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
