"""Every knob, in one frozen object.

Read from the environment, then `.env`, then `.streamlit/secrets.toml`; names and defaults are in
the README, and a test keeps the two equal. Built by entry points, never at import.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from decimal import Decimal
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

ROOT = Path(__file__).resolve().parent.parent
SOCKET_PATH_BYTES = 100
"""Unix sockets allow 104 (macOS) to 108 bytes (Linux)."""


def _either(*names: str) -> Any:
    """A text that may go by several names."""
    return Field("", validation_alias=AliasChoices(*names))


def _either_secret(*names: str) -> Any:
    """A secret that may go by several names."""
    return Field(SecretStr(""), validation_alias=AliasChoices(*names))


class _Fireworks(JsonConfigSettingsSource):
    """`config/fireworks_creds.json`, where some installations keep that provider's key."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        told = super()._read_file(file_path)
        return {f"fireworks_{name}": told[name] for name in ("api_key", "account_id") if told.get(name)}


class _Secrets(TomlConfigSettingsSource):
    """`.streamlit/secrets.toml`, where names are written in capitals as in the environment."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        return {name.lower(): value for name, value in super()._read_file(file_path).items()}


class Settings(BaseSettings):
    """Field names are the settings' names in lower case; units are in the name."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_file=ROOT / ".env",
        toml_file=ROOT / ".streamlit" / "secrets.toml",
        json_file=ROOT / "config" / "fireworks_creds.json",
        env_ignore_empty=True,
        extra="ignore",
    )

    stenogram_home: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = 8501
    allowed_hosts: str = ""
    trusted_proxies: str = ""

    database_url: str = ""
    redis_url: str = ""
    lancedb_uri: str = ""

    workers_gpu: int = 1
    workers_cpu: int = 1
    workers_io: int = 1
    worker_restart_after: int = 50

    engine: str = "auto"
    gigaam_model: str = "v3_e2e_rnnt"
    gigaam_dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto"
    gigaam_compile: bool = False
    whisper_model: str = "base"
    models_dir: str = ""

    embedding_model: str = "gemini-embedding-2"
    embedding_dim: int = 768
    embedding_lane: Literal["now", "batch"] = "now"
    local_embedding_model: str = ""
    gemini_api_key: SecretStr = SecretStr("")
    gemini_base_url: str = ""

    batch_min_size: int = 100
    batch_max_wait_s: float = 300
    batch_max_requests: int = 10_000
    batch_max_bytes: int = 100_000_000
    batch_max_jobs: int = 50
    batch_enqueued_tokens: int = 500_000
    batch_poll_s: float = 10
    batch_quiet_s: float = 900
    batch_deadline_h: float = 24
    monthly_cap_usd: Decimal | None = None

    groq_api_key: SecretStr = SecretStr("")
    groq_base_url: str = ""
    groq_model: str = "whisper-large-v3-turbo"

    runpod_api_key: SecretStr = SecretStr("")
    runpod_url: str = ""
    runpod_image_url: str = ""
    runpod_image_worker: Literal["sdxl", "comfyui"] = "sdxl"
    runpod_timeout_s: float = 300
    runpod_worker: Literal["gigaam", "faster-whisper"] = "gigaam"
    runpod_model: str = ""
    runpod_gpu: str = "24 GB L4"
    runpod_low_priority: bool = False

    fireworks_enabled: bool = False
    fireworks_api_key: SecretStr = SecretStr("")
    fireworks_account_id: str = ""
    fireworks_base_url: str = ""
    fireworks_batch_url: str = ""
    fireworks_model: str = "whisper-v3"
    fireworks_poll_s: float = 10
    fireworks_max_wait_s: float = 3600

    storage_url: str = ""
    s3_endpoint_url: str = _either("s3_endpoint_url", "yandex_endpoint_url")
    s3_access_key: SecretStr = _either_secret("s3_access_key", "yandex_access_key")
    s3_secret_key: SecretStr = _either_secret("s3_secret_key", "yandex_secret_key")
    s3_region: str = ""
    yandex_bucket_name: str = ""

    upload_max_bytes: int = 2 * 1024**3
    api_uploads_per_min: int = 10
    api_requests_per_min: int = 30
    api_tasks_per_key: int = 3
    api_retention_h: float = 24
    api_callbacks_anywhere: bool = False
    key_pepper: SecretStr = SecretStr("")

    import_roots: str = ""
    share_results: bool = True
    vector_cache_days: int = 30
    pages_read_only: bool = False

    @property
    def home(self) -> Path:
        """Where everything lives that must survive a restart."""
        return ROOT / self.stenogram_home.expanduser()

    @property
    def models(self) -> Path:
        """Where model files are looked for and downloaded to."""
        return Path(self.models_dir).expanduser() if self.models_dir else self.home / "models"

    @property
    def sqlalchemy_url(self) -> str:
        """SQLAlchemy address of the records."""
        return self.database_url or f"sqlite:///{self.home / 'records.sqlite'}"

    @property
    def broker_socket(self) -> Path:
        """The embedded broker's socket; in a short place if home's path is too long for one."""
        path = self.home / "run" / "broker.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"stenogram-{os.getuid()}-{digest}" / "broker.sock"

    @property
    def broker(self) -> str:
        """Address of the broker: yours, or the embedded one's private socket."""
        return self.redis_url or f"unix://{self.broker_socket}?db=0"

    @property
    def index(self) -> str:
        """Where LanceDB keeps words and vectors."""
        return self.lancedb_uri or str(self.home / "lancedb")

    @property
    def bucket(self) -> str:
        """`s3://bucket/prefix` for media and pictures, or nothing for the folder in home."""
        named = f"s3://{self.yandex_bucket_name}" if self.yandex_bucket_name else ""
        return self.storage_url or named

    @property
    def served_hosts(self) -> tuple[str, ...]:
        """Names that a request may call this installation by: `HOST`, this machine's, `ALLOWED_HOSTS`."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        named = (part.strip() for part in self.allowed_hosts.split(","))
        return own, "localhost", "127.0.0.1", "[::1]", *(part for part in named if part)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Server folders that may be read; none unless `IMPORT_ROOTS` names them, split by colons."""
        return tuple(Path(part).expanduser().resolve() for part in self.import_roots.split(":") if part)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order in which a setting is looked for; the first that has it wins."""
        files = (_Secrets(settings_cls), _Fireworks(settings_cls))
        return init_settings, env_settings, dotenv_settings, *files
