"""Every setting has bounds; what is outside them ends every program with a sentence before it starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import typing
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from pydantic import SecretStr

from core import settings as module
from core.application import Application
from core.settings import ROOT, Settings, SettingsInvalid, allowed, load
from jobs.runner import refuse_elsewhere

NUMBERS = {
    int: ["abc", "1.5", "-1", "1e99", "nan", "9" * 30],
    float: ["abc", "-1", "nan", "inf", "1e99", "-0.1"],
}
ADDRESS = ["nonsense", "ftp://x", "https://", "http://a b"]
BAD = {
    "host": ["256.1.1.1", "1.2.3", "a b", "http://x", ":::"],
    "port": ["0", "99999"],
    "allowed_hosts": ["a b", "https://x", "ok.example, 300.1.1.1"],
    "trusted_proxies": ["proxy", "10.0.0.0/33", "127.0.0.1, x"],
    "oidc_issuer": ADDRESS,
    "oidc_redirect_url": ADDRESS,
    "proxy_user_header": ["X User", "X_User", "X-Имя"],
    "proxy_groups_header": ["X Groups"],
    "sign_in_h": ["0"],
    "database_url": ["nonsense", "mysql://x/y", "postgresql://x/y", "sqlite://x"],
    "redis_url": ["nonsense", "http://x", "redis://"],
    "lancedb_uri": ["ftp://x", "s3://", "http://x/y"],
    "export_buckets": ["bucket", "https://b"],
    "import_buckets": ["bucket", "s3://", "s3://a, https://b"],
    "storage_url": ["ftp://x", "s3://", "bucket", "https://bucket"],
    "workers_cpu": ["0"],
    "workers_io": ["0"],
    "worker_restart_after": ["0"],
    "embedding_dim": ["0"],
    "batch_min_size": ["0"],
    "batch_poll_s": ["0"],
    "batch_deadline_h": ["0"],
    "spoken_language": ["russian", "RU", "7"],
    "upload_max_bytes": ["0"],
    "monthly_cap_usd": ["ten", "-0.01", "nan", "inf", "1e99"],
    "stenogram_home": ["/etc/passwd", "/proc/stenogram"],
    "gemini_base_url": ADDRESS,
    "groq_base_url": ADDRESS,
    "runpod_url": ADDRESS,
    "runpod_image_url": ADDRESS,
    "fireworks_base_url": ADDRESS,
    "fireworks_batch_url": ADDRESS,
    "s3_endpoint_url": ADDRESS,
    "smtp_host": ["mail example", "smtp://x"],
}
ANY_TEXT = {
    "engine",  # of the engines there are: below
    "gigaam_model",
    "whisper_model",
    "models_dir",
    "speaker_models",
    "embedding_model",
    "local_embedding_model",
    "groq_model",
    "runpod_model",
    "runpod_gpu",
    "fireworks_account_id",
    "fireworks_model",
    "s3_region",
    "yandex_bucket_name",
    "import_roots",
    "oidc_client_id",
    "oidc_scopes",
    "oidc_groups_claim",
    "oidc_admins",
    "oidc_members",
    "oidc_readers",
    "export_roots",
    "smtp_user",
    "smtp_from",
}
"""Names and folders: what they lead to is looked at where it is used, and says so."""


def kind(name: str) -> object:
    annotation = Settings.model_fields[name].annotation
    inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
    return annotation if typing.get_origin(annotation) is Literal or not inner else Decimal


def bad_values() -> list[tuple[str, str]]:
    cases = []
    for name in Settings.model_fields:
        values = [*NUMBERS.get(kind(name), []), *BAD.get(name, [])]
        if kind(name) is bool:
            values = ["maybe", "2"]
        if typing.get_origin(kind(name)) is Literal:
            values = ["float8", "nope", "AUTO "]
        assert values or name in ANY_TEXT or kind(name) is SecretStr, (
            f"{name} has no bounds and no bad values"
        )
        cases += [(name, value) for value in values]
    return cases


@pytest.fixture
def bare(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("STENOGRAM_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(("name", "value"), bad_values())
def test_a_wrong_value_is_one_sentence_with_name_value_and_what_is_allowed(bare, monkeypatch, name, value):
    monkeypatch.setenv(name.upper(), value)

    with pytest.raises(SettingsInvalid) as caught:
        load()

    (sentence,) = caught.value.sentences
    assert sentence.startswith(f"{name.upper()}={value}: must be ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert name == "stenogram_home" or allowed(name) in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "::1"),
        ("HOST", "example.com"),
        ("ALLOWED_HOSTS", "a.example, *.b.example, [::1], 10.0.0.1, пример.рф"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("DATABASE_URL", "postgresql+psycopg://me:secret@host:5432/name?sslmode=require"),
        ("DATABASE_URL", "sqlite:////var/lib/records.sqlite"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("LANCEDB_URI", "s3://bucket/index"),
        ("LANCEDB_URI", "/var/lib/lancedb"),
        ("STORAGE_URL", "s3://bucket/a/b"),
        ("API_RETENTION_H", "0.0"),
        ("WORKERS_GPU", "0"),
        ("MONTHLY_CAP_USD", "0"),
        ("S3_ENDPOINT_URL", "https://storage.example"),
    ],
)
def test_what_is_right_is_taken(bare, monkeypatch, name, value):
    monkeypatch.setenv("PAGES_OPEN", "true")  # for a HOST that is not this machine's
    monkeypatch.setenv(name, value)

    assert str(getattr(load(), name.lower())) == value


def test_the_defaults_are_within_their_own_bounds(bare):
    settings = load()
    values = {name: getattr(settings, name) for name in Settings.model_fields}

    assert Settings.model_validate(values) == settings


def test_all_that_is_wrong_is_said_at_once_and_no_password(bare, monkeypatch):
    monkeypatch.setenv("PORT", "abc")
    monkeypatch.setenv("DATABASE_URL", "mysql://me:hidden@host/name")

    with pytest.raises(SettingsInvalid) as caught:
        load()

    assert len(caught.value.sentences) == 2
    assert "me:***@host" in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("source", ["toml_file", "json_file"])
def test_a_file_of_settings_that_is_none_is_named(bare, monkeypatch, tmp_path, source):
    broken = tmp_path / "broken"
    broken.write_text("= [")
    monkeypatch.setitem(Settings.model_config, source, broken)

    with pytest.raises(SettingsInvalid, match="broken cannot be read"):
        load()


def test_an_engine_that_is_none_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(SettingsInvalid, match=r"ENGINE=nope: must be one of auto, gigaam.*"):
        Application(Settings(stenogram_home=tmp_path, engine="nope"))


PROGRAMS = {
    "runner": ["-m", "jobs.runner"],
    "worker": ["-m", "jobs.worker", "cpu"],
    "app": ["app.py"],
    "key": ["-m", "tools.key", "me"],
    "get_model": ["-m", "tools.get_model"],
    "sample": ["-m", "tools.sample"],
    "handler": ["deploy/runpod/handler.py"],
}


def ended(program: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    names = {name.upper() for name in Settings.model_fields}
    base_environment = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, *PROGRAMS[program]],
        cwd=ROOT,
        env={
            **base_environment,
            "STENOGRAM_HOME": str(home),
            "PORT": "1",
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_ends_with_the_sentence_and_code_2(program, tmp_path):
    answer = ended(program, tmp_path / "home", API_RETENTION_H="-1")

    assert answer.returncode == 2, answer.stderr
    message = answer.stderr.strip().splitlines()[-1]
    assert message == "API_RETENTION_H=-1: must be a number from 0 to 878400 hours."
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("program", ["runner", "worker", "app", "key"])
def test_a_damaged_database_ends_every_program_with_what_to_do(program, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "records.sqlite").write_bytes(b"this was a database once" * 1000)

    answer = ended(program, home, PORT="18473")

    assert answer.returncode == 2, answer.stderr
    assert "restore the backup" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ENGINE", "nope", "ENGINE=nope: must be one of auto, "),
        ("HOST", "192.0.2.1", "HOST=192.0.2.1: must be an IP address of this machine"),
        ("HOST", "no-such-name.invalid", "HOST=no-such-name.invalid: must be an IP address of this machine"),
        ("DATABASE_URL", "postgresql+psycopg://me@127.0.0.1:9/x", "The database does not answer."),
    ],
)
def test_what_only_shows_in_use_is_a_sentence_too(tmp_path, name, value, message):
    answer = ended("runner", tmp_path / "home", **{"PORT": "18474", "PAGES_OPEN": "true", name: value})

    assert answer.returncode == 2, answer.stderr
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_database_that_takes_a_connection_and_never_answers_is_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://me@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2"
        answer = ended("key", tmp_path / "home", DATABASE_URL=url)

    assert answer.returncode == 2, answer.stderr
    assert "The database does not answer." in answer.stderr
    assert "Traceback" not in answer.stderr


def test_nothing_but_the_entry_points_reads_the_environment():
    """`Settings()` there would be a traceback for what is a sentence elsewhere."""
    readers = [
        str(path.relative_to(ROOT))
        for folder in ("core", "jobs", "api", "pages", "tools", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if "Settings()" in path.read_text(encoding="utf-8")
    ]

    assert readers == [str(Path(module.__file__).relative_to(ROOT))]


ELSEWHERE = {
    "database_url": "postgresql+psycopg://me@db/x",
    "redis_url": "redis://broker",
    "storage_url": "s3://sounds",
}


@pytest.mark.parametrize(
    ("queues", "given", "message"),
    [
        ([], {}, None),
        (["gpu"], ELSEWHERE, None),
        (["gpu"], {}, "need the same DATABASE_URL, REDIS_URL, STORAGE_URL as the pages"),
        (["gpu"], ELSEWHERE | {"storage_url": ""}, "need the same STORAGE_URL as the pages"),
        (["cpu"], ELSEWHERE, None),
        (["gpu", "io"], ELSEWHERE, "need the same LANCEDB_URI as the pages"),
        (["index"], ELSEWHERE | {"lancedb_uri": "index"}, "need the same LANCEDB_URI as the pages"),
        (["cpu", "io"], ELSEWHERE | {"lancedb_uri": "s3://sounds/index"}, None),
        (["fast"], ELSEWHERE, "There is no queue fast"),
    ],
)
def test_a_queue_is_served_only_where_it_can_be(tmp_path, queues, given, message):
    """With an index of its own, a machine of `io` indexed what nobody found."""
    settings = Settings(stenogram_home=tmp_path, **given)

    if message is None:
        refuse_elsewhere(settings, queues)
    else:
        with pytest.raises(SystemExit, match=message):
            refuse_elsewhere(settings, queues)
