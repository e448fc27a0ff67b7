"""What was accepted is kept, whenever the server is killed."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
import time

import httpx

from core.application import Application
from core.principal import EVERYONE
from core.settings import ROOT, Settings
from tests.installation import cut

SERVE = """
import pathlib, sys, time
from tests.installation import generous
from tests.serve import serve
with serve(generous(pathlib.Path(sys.argv[1]))) as served:
    print(served.url, flush=True)
    time.sleep(600)
"""


def start(home):
    command = [sys.executable, "-c", SERVE, str(home)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().strip()


def send_until_killed(url, key, sound, seed, accepted):
    """Bring one new file after another; remember what was accepted."""
    for n in range(1000):
        content = bytearray(sound)
        content[1000:1004] = (seed * 1000 + n).to_bytes(4, "little")
        files = {"file": (f"{seed}-{n}.wav", bytes(content))}
        headers = {"X-API-Key": key}
        try:
            answer = httpx.post(
                f"{url}/api/v1/transcribe?language=en", files=files, headers=headers, timeout=30
            )
        except httpx.TransportError:
            return
        if answer.status_code == 202:
            accepted[answer.json()["task_id"]] = hashlib.sha256(content).hexdigest()


def test_every_accepted_file_and_task_outlives_a_kill(tmp_path):
    sound = cut(tmp_path).read_bytes()
    home = tmp_path / "home"
    key = Application(Settings(stenogram_home=home)).keys.make(EVERYONE, "test")
    server, url = start(home)
    accepted: dict[str, str] = {}
    senders = [
        threading.Thread(target=send_until_killed, args=(url, key, sound, seed, accepted))
        for seed in range(3)
    ]
    for sender in senders:
        sender.start()
    while len(accepted) < 5:
        time.sleep(0.01)
    time.sleep(random.random())

    server.kill()
    server.wait()
    for sender in senders:
        sender.join()

    server, url = start(home)
    try:
        app = Application(Settings(stenogram_home=home))
        for task_id, sha256 in accepted.items():
            task = httpx.get(f"{url}/api/v1/tasks/{task_id}", headers={"X-API-Key": key}).json()
            assert task["status"] == "queued"
            assert hashlib.sha256(app.blobs.path(sha256).read_bytes()).hexdigest() == sha256
    finally:
        server.kill()
        server.wait()
