"""Programs are forks of one process that has read their modules, and otherwise like any other process."""

import json
import os
import subprocess
import sys

import httpx
import psutil
import pytest

from core.settings import ROOT
from tests.tool import Tool, until

PROGRAM = """
import json, os, sys
print(json.dumps({
    "arguments": sys.argv[1:], "name": __name__, "session": os.getsid(0) == os.getpid(),
    "shares": "jobs.actors" in sys.modules, "wish": os.environ["WISH"], "stdin": sys.stdin.read(),
}), flush=True)
os.write(int(os.environ["STENOGRAM_PULSE_FD"]), b"beat")
if sys.argv[1] == "breaks":
    raise ValueError("no")
if sys.argv[1] == "waits":
    import time
    time.sleep(60)
sys.exit(3)
"""
PARENT = """
import json, os, signal, sys, time
from jobs import actors
from jobs.fork_server import ForkServer
server = ForkServer()
pulse, beats = os.pipe()
def started(how):
    with open(f"{sys.argv[1]}/{how}.log", "ab") as output:
        return server.start(
            [sys.executable, f"{sys.argv[1]}/program.py", how], {"WISH": "a wish"}, output.fileno(), beats
        )
"""


def output_of(folder, script: str) -> object:
    """What a parent prints who has a fork server, in a process of its own: pytest has threads."""
    (folder / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "STENOGRAM_HOME": str(folder / "home")}
    command = [sys.executable, "-c", PARENT + script, str(folder)]
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(ran.stdout)


def test_a_program_runs_as_in_a_process_of_its_own(tmp_path):
    script = 'print(json.dumps([started("ends").wait(20), os.read(pulse, 9).decode()]))'

    assert output_of(tmp_path, script) == [3, "beat"]
    assert json.loads((tmp_path / "ends.log").read_text()) == {
        "arguments": ["ends"],
        "name": "__main__",
        "session": True,
        "shares": True,
        "wish": "a wish",
        "stdin": "",
    }


def test_logging_anew_leaves_the_numbers_of_other_files_alone(tmp_path):
    """A handler of the parent's whose file is closed beneath it would close whatever has its number then."""
    script = """
import logging
from pathlib import Path
server.stop()
for n in range(20):
    logging.getLogger().addHandler(logging.FileHandler(f"{sys.argv[1]}/{n}.log"))
server = ForkServer()
Path(sys.argv[1], "program.py").write_text(
    "import os\\nfrom core import logs\\nlogs.install()\\n"
    "os.write(int(os.environ['STENOGRAM_PULSE_FD']), b'beat')"
)
codes = [started(str(n)).wait(20) for n in range(4)]
print(json.dumps([codes, os.read(pulse, 99).decode()]))
"""

    assert output_of(tmp_path, script) == [[0, 0, 0, 0], "beat" * 4]


def test_a_program_that_breaks_says_so_and_one_that_is_killed_too(tmp_path):
    script = """
broken, waiting = started("breaks"), started("waits")
os.read(pulse, 4), os.read(pulse, 4)
alive = waiting.poll()
waiting.kill()
print(json.dumps([broken.wait(20), alive, waiting.wait(20)]))
"""

    assert output_of(tmp_path, script) == [1, None, -9]
    assert "ValueError: no" in (tmp_path / "breaks.log").read_text()


def test_programs_end_with_their_fork_server_and_the_next_must_start_otherwise(tmp_path):
    script = """
waiting = started("waits")
os.read(pulse, 4)
os.kill(server.pid, signal.SIGKILL)
code = waiting.wait(20)
try:
    started("ends")
    refused = False
except OSError:
    refused = True
print(json.dumps([code, refused, waiting.pid]))
"""

    code, refused, pid = output_of(tmp_path, script)

    assert (code, refused) == (-9, True)
    until(lambda: not psutil.pid_exists(pid), 10, "the program to end")


@pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")
@pytest.mark.timeout(240)
def test_the_tool_goes_on_without_its_fork_server(tmp_path):
    with Tool(tmp_path / "home") as tool:
        shared = tool.child("jobs.worker gpu").memory_full_info()
        before = {process.pid for process in tool.family()}
        tool.kill("jobs.fork_server")

        def back() -> bool:
            fresh = [process for process in tool.family() if process.pid not in before]
            return sum("jobs.worker" in " ".join(each.cmdline()) for each in fresh) == 3

        until(back, 60, "three other workers")
        until(lambda: _answers(tool), 60, "the web server")

    assert shared.pss < 0.7 * shared.rss


def _answers(tool: Tool) -> bool:
    try:
        with tool.api() as client:
            return client.get("/health").is_success
    except httpx.TransportError:
        return False
