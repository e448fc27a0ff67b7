"""Several machines for a team: the compose file, its settings, and the proxy, run as a process."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import yaml

from core.settings import ROOT, Settings
from jobs.runner import SLOTS, refuse_elsewhere
from tests.tool import free_port, until

TEAM = ROOT / "deploy" / "team"
COMPOSE = yaml.safe_load((TEAM / "compose.yml").read_text())
ENVIRONMENT = dict(
    line.split("=", 1) for line in (TEAM / "team.env").read_text().splitlines() if not line.startswith("#")
)
DOCKERFILE = (TEAM / "Dockerfile").read_text()


def test_all_machines_share_what_any_queue_needs():
    known = {name.lower(): value for name, value in ENVIRONMENT.items()}
    assert set(known) <= set(Settings.model_fields)
    settings = Settings(**known)

    refuse_elsewhere(settings, list(SLOTS))
    assert {service["env_file"] for service in COMPOSE["services"].values() if "build" in service} == {
        "team.env"
    }
    assert settings.database_url.split("@")[1].split("/")[0] in COMPOSE["services"]
    assert settings.redis_url.split("//")[1].split(":")[0] in COMPOSE["services"]
    assert str(settings.stenogram_home) in DOCKERFILE
    assert settings.models_dir in DOCKERFILE


def test_what_compose_starts_and_keeps_is_there():
    services, volumes = COMPOSE["services"], COMPOSE["volumes"]
    mounted = {mount.split(":")[0] for service in services.values() for mount in service["volumes"]}
    assert mounted == set(volumes)
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert service["restart"] == "unless-stopped"
        if "build" in service:
            assert (TEAM / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
    _, _, module, *queues = services["workers"]["command"]
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    assert set(queues) <= set(SLOTS)


def test_all_that_the_image_copies_is_there():
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in shlex.split(sources):
            assert (ROOT / source).exists(), source
    assert DOCKERFILE.index("USER stenogram") < DOCKERFILE.index("CMD [")


class _Upstream(BaseHTTPRequestHandler):
    """Says which machine it is, and what it was told."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        person = self.headers["X-Remote-User"] or "nobody"
        told = (self.headers["Host"], self.headers["X-Forwarded-For"], str(len(body)), person)
        answer = " ".join([str(self.server.server_port), *told]).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def proxy(tmp_path: Path):
    """The proxy on a free port before two machines, and their ports."""
    if not (program := shutil.which("nginx") or shutil.which("/usr/sbin/nginx")):
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    machines = [ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) for _ in range(2)]
    for machine in machines:
        Thread(target=machine.serve_forever, daemon=True).start()
    key, certificate = tmp_path / "stenogram.key", tmp_path / "stenogram.crt"
    files = f"-keyout {key} -out {certificate}"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x {files}"
    subprocess.run(made.split(), check=True, capture_output=True)
    (tmp_path / "stenogram.htpasswd").write_text("anna:{PLAIN}secret\n")
    port = free_port()
    told = (TEAM / "nginx.conf").read_text().replace("/etc/nginx/", f"{tmp_path}/")
    told = told.replace("listen 443", f"listen 127.0.0.1:{port}").replace("events {}", _own(tmp_path))
    for n, machine in enumerate(machines):
        told = told.replace(f"10.0.0.1{n + 1}:8501", f"127.0.0.1:{machine.server_port}")
    (tmp_path / "nginx.conf").write_text(told)
    with subprocess.Popen(
        [program, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "log")]
    ) as process:
        until((tmp_path / "pid").exists, 30, "nginx")
        yield port, [machine.server_port for machine in machines]
        process.terminate()
    for machine in machines:
        machine.shutdown()
        machine.server_close()


def _own(folder: Path) -> str:
    """What only concerns where it runs here."""
    return f"daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes 1; user root; events {{}}"


def test_the_proxy_keeps_a_visitor_on_one_machine_and_asks_people_who_they_are(proxy):
    port, machines = proxy
    with httpx.Client(verify=False, base_url=f"https://127.0.0.1:{port}", auth=None) as client:
        named = {"Host": "stenogram.example.com"}

        def bring(n: int) -> list[str]:
            sent = client.post(
                "/api/v1/transcribe", content=b"x" * 2_000_000, headers=named, auth=("anna", "?")
            )
            return sent.text.split()

        assert client.post("/", headers=named, content=b"").status_code == 401
        page = client.post("/", headers=named, content=b"page", auth=("anna", "secret"))
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(bring, range(8)))

    assert page.text.split()[0] == answers[0][0]
    assert page.text.split()[-1] == "anna"
    assert len({answer[0] for answer in answers}) == 1, "a visitor's upload grows on one disk"
    assert int(answers[0][0]) in machines
    assert {tuple(answer[1:]) for answer in answers} == {
        ("stenogram.example.com", "127.0.0.1", "2000000", "nobody")
    }, "only the login says who somebody is"
