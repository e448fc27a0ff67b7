"""Logs for machines and people: one JSON object a line, with the job and recording it is about.

Whatever looks like a key never reaches a log.
"""

from __future__ import annotations

import json
import logging
import logging.config
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

SECRET = re.compile(
    r"(gam_[0-9a-f]{8})_[\w-]+"
    r"|AIza[\w-]{20,}|\b(?:gsk|fw|rpa|sk)[-_]\w{16,}"
    r"|(?<=//)[^/\s:@]+:[^/\s@]+(?=@)"
)
"""Keys of ours, of providers, and passwords in addresses."""
QUIET = ("httpx", "uvicorn.access", "alembic.runtime.plugins")
"""Loggers that tell of every request, or of every part of a library."""
READ_BYTES = 2_000_000
SHOWN = 200

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 - never changed in place


@contextmanager
def concerning(**ids: str) -> Iterator[None]:
    """What is logged within this carries these ids."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def masked(text: str) -> str:
    """The text without what looks like a key."""
    return SECRET.sub(lambda match: f"{match[1]}_…" if match[1] else "…", text)


class Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger and message; ids and a traceback where there are any."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
            **_about.get(),
        }
        if record.exc_info:
            line["traceback"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class Readable(logging.Formatter):
    """Time, logger and message for a person who watches."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging does, without keys."""
        return masked(super().format(record))


def install(*, readable: bool = False, file: Path | None = None) -> None:
    """Have this process, with the libraries in it, log to standard error and to nowhere else.

    `readable` is for a person who watches; JSON lines go to `file` then, if there is one.
    """
    logging.config.dictConfig(_configuration(readable=readable, file=file))


def _configuration(*, readable: bool, file: Path | None) -> dict[str, object]:
    """For `logging.config`: structlog would add a second logger beside that of every library."""
    handlers: dict[str, dict[str, object]] = {
        "console": {"class": "logging.StreamHandler", "formatter": "readable" if readable else "lines"}
    }
    if file:
        handlers["file"] = {"class": "logging.FileHandler", "filename": str(file), "formatter": "lines"}
    known = [
        logger.name
        for logger in logging.root.manager.loggerDict.copy().values()  # other threads import meanwhile
        if isinstance(logger, logging.Logger)
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {"()": Lines},
            "readable": {"()": Readable, "format": "%(asctime)s %(name)s %(message)s"},
        },
        "handlers": handlers,
        "root": {"level": "INFO", "handlers": list(handlers)},
        "loggers": {
            **{name: {"handlers": [], "propagate": True} for name in known},
            **{name: {"level": "WARNING", "handlers": [], "propagate": True} for name in QUIET},
        },
    }


def about(folder: Path, job_id: str) -> list[str]:
    """The last lines of all logs in a folder that are about this job, in order of time."""
    lines: list[str] = []
    for path in folder.glob("*.log"):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - READ_BYTES))
            lines += [line for line in file.read().decode(errors="replace").splitlines() if job_id in line]
    return sorted(_readable(line) for line in lines)[-SHOWN:]


def _readable(line: str) -> str:
    try:
        entry = json.loads(line)
        text = f"{entry['time']} {entry['level']} {entry['message']}"
        return f"{text}\n{entry['traceback']}" if "traceback" in entry else text
    except (ValueError, KeyError, TypeError):
        return masked(line)
