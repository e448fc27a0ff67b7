"""What a process says goes to one place in one form, without keys."""

from __future__ import annotations

import json
import subprocess
import sys

from core.settings import ROOT

LOGGING = """
import logging, pathlib, sys
from core import logs
library = logging.getLogger("library")
library.addHandler(logging.StreamHandler(sys.stdout))
library.propagate = False
logs.install(readable=sys.argv[1] == "readable", file=pathlib.Path(sys.argv[2]) if sys.argv[2:] else None)
with logs.concerning(job_id="j1"):
    library.info("key %s", "gam_12345678_secret-part")
logging.getLogger("httpx").info("GET https://example.com/")
logging.getLogger("made.later").warning("still here")
"""


def logged(*arguments):
    """What a process of its own writes to standard output and standard error."""
    command = [sys.executable, "-c", LOGGING, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_a_process_with_its_libraries_logs_in_lines_of_json_and_nowhere_else():
    out, lines = logged("lines")

    first, second = map(json.loads, lines)
    assert out == []
    assert (first["logger"], first["message"], first["job_id"]) == ("library", "key gam_12345678_…", "j1")
    assert (second["logger"], second["level"], second["message"]) == ("made.later", "warning", "still here")


def test_who_watches_reads_plain_lines_and_the_file_gets_json(tmp_path):
    out, lines = logged("readable", str(tmp_path / "runner.log"))

    assert out == []
    assert [line.split(" ", 2)[2] for line in lines] == [
        "library key gam_12345678_…",
        "made.later still here",
    ]
    records = [json.loads(line) for line in (tmp_path / "runner.log").read_text().splitlines()]
    assert [line["message"] for line in records] == ["key gam_12345678_…", "still here"]
