"""Every knob, in one frozen object.

Read from the environment, then `.env`, then `.streamlit/secrets.toml`; names and defaults are in
the README, and a test keeps the two equal. Built by entry points with `load`, never at import.

Every field says what it takes: numbers by their bounds, the rest by a pattern and a description. What is
outside is refused before anything starts: a retention of -1 h once deleted all there was.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import tempfile
import typing
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = ROOT / ".env"
SOCKET_PATH_BYTES = 100
"""Unix sockets allow 104 (macOS) to 108 bytes (Linux)."""

SHOWN = 80
"""Characters of a wrong value that are repeated."""
UNITS = {
    "_s": " seconds",
    "_h": " hours",
    "_days": " days",
    "_bytes": " bytes",
    "_usd": " dollars",
    "_per_min": " a minute",
}
"""By the ending of a field's name."""
YEAR_H = 24 * 366
MOST_BYTES = 1 << 50
DATABASES = r"^((sqlite:///|postgresql\+psycopg://)\S+)?$"
BROKERS = r"^((redis|rediss|unix)://\S+)?$"
INDEXES = r"^([^:]*|(s3|gs|az)://[^\s/]\S*)$"
BUCKETS = r"^(s3://[^\s/]+(/\S*)?)?$"
OF_HOST = "an IP address of this machine or its name"
OF_HOSTS = "names split by commas, *.example.com for all below"
OF_NETWORKS = "IP addresses or networks split by commas, such as 10.0.0.0/8"
OF_DATABASE = "sqlite:///file or postgresql+psycopg://user:password@host/name"
OF_BROKER = "redis://host:6379/0, rediss:// or unix://"
OF_INDEX = "a folder or s3://bucket/prefix"
OF_BUCKETS = "s3://bucket/prefix, several split by commas"
OF_BUCKET = "s3://bucket/prefix"
OF_HEADER = "the name of a header, such as X-Forwarded-User"
KEY = r"[A-Za-z0-9_.:+/=-]{16,400}"
"""What a key of a provider may look like: nothing that a line of `.env` would have to quote."""
WEB = r"^(https?://[^\s/]+\S*)?$"


class SettingsInvalid(Exception):
    """The tool cannot start as it is set up; every sentence says what is wrong and what is allowed."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


def wrong(name: str, value: object, allowed: str) -> str:
    """The sentence for a wrong value of a setting; a password in an address is not repeated."""
    masked = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", str(value))
    masked = "".join(letter if letter.isprintable() else "?" for letter in masked)
    masked = masked if len(masked) <= SHOWN else masked[:SHOWN] + "…"
    return f"{name.upper()}={masked}: must be {allowed}."


def _each(validate: Callable[[str], object]) -> AfterValidator:
    """Every part of a list split by commas must pass; `validate` raises ValueError for a wrong one."""

    def check(value: str) -> str:
        for part in value.split(","):
            if part.strip():
                validate(part.strip())
        return value

    return AfterValidator(check)


def _host(name: str) -> str:
    """An IP address, or a name; digits and dots alone are an address."""
    bare_host = name.strip("[]")
    if ":" in bare_host or re.fullmatch(r"[\d.]+", bare_host):
        ipaddress.ip_address(bare_host)
    elif not re.fullmatch(r"(\*\.)?[\w-]{1,63}(\.[\w-]{1,63})*\.?", bare_host):
        raise ValueError(name)
    return name


def _network(text: str) -> object:
    return ipaddress.ip_network(text, strict=False)


def _bucket(text: str) -> None:
    if not text.startswith("s3://") or not re.fullmatch(BUCKETS, text):
        raise ValueError(text)


Slots = Annotated[int, Field(ge=1, le=256)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Pause = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]
Wait = Annotated[float, Field(ge=0, le=366 * 24 * 3600, allow_inf_nan=False)]
Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$", description=OF_HEADER)]
Url = Annotated[str, Field(pattern=WEB, description="an address that begins with https:// or http://")]


def _either(*names: str) -> Any:
    """A text that may go by several names."""
    return Field("", validation_alias=AliasChoices(*names))


def _either_secret(*names: str) -> Any:
    """A secret that may go by several names."""
    return Field(SecretStr(""), validation_alias=AliasChoices(*names))


def _read(read: Callable[[Any], dict[str, Any]], path: Any) -> dict[str, Any]:
    """A file of settings. Raises ValueError with its name if it is none."""
    try:
        return read(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error


class _Fireworks(JsonConfigSettingsSource):
    """`config/fireworks_creds.json`, where some installations keep that provider's key."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        values = _read(super()._read_file, file_path)
        return {f"fireworks_{name}": values[name] for name in ("api_key", "account_id") if values.get(name)}


class _Secrets(TomlConfigSettingsSource):
    """`.streamlit/secrets.toml`, where names are written in capitals as in the environment."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        return {name.lower(): value for name, value in _read(super()._read_file, file_path).items()}


class Settings(BaseSettings):
    """Field names are the settings' names in lower case; units are in the name."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_file=ENV_FILE,
        toml_file=ROOT / ".streamlit" / "secrets.toml",
        json_file=ROOT / "config" / "fireworks_creds.json",
        env_ignore_empty=True,
        extra="ignore",
    )

    stenogram_home: Path = Path("data")
    host: Annotated[str, AfterValidator(_host), Field(description=OF_HOST)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8501
    allowed_hosts: Annotated[str, _each(_host), Field(description=OF_HOSTS)] = ""
    trusted_proxies: Annotated[str, _each(_network), Field(description=OF_NETWORKS)] = ""

    oidc_issuer: Url = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_redirect_url: Url = ""
    oidc_scopes: str = "openid email profile"
    oidc_groups_claim: str = "groups"
    oidc_admins: str = ""
    oidc_members: str = ""
    oidc_readers: str = ""
    proxy_user_header: Header = ""
    proxy_groups_header: Header = ""
    public_links: bool = False
    default_sharing: Literal["everybody", "private"] = "everybody"
    sign_in_h: Annotated[float, Field(gt=0, le=YEAR_H, allow_inf_nan=False)] = 12
    pages_open: bool = False

    database_url: Annotated[str, Field(pattern=DATABASES, description=OF_DATABASE)] = ""
    redis_url: Annotated[str, Field(pattern=BROKERS, description=OF_BROKER)] = ""
    lancedb_uri: Annotated[str, Field(pattern=INDEXES, description=OF_INDEX)] = ""

    workers_gpu: Annotated[int, Field(ge=0, le=256)] = 1
    workers_cpu: Slots = 1
    workers_io: Slots = 1
    worker_restart_after: Count = 1000

    engine: str = "auto"
    spoken_language: Annotated[
        str, Field(pattern=r"^(auto|[a-z]{2,3})$", description="auto, or a language's code such as ru")
    ] = "auto"
    engine_auto_remote: bool = False
    gigaam_model: str = "v3_e2e_rnnt"
    gigaam_dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto"
    gigaam_compile: bool = False
    whisper_model: str = "base"
    models_dir: str = ""
    speakers: Literal["auto", "off"] = "auto"
    speaker_models: str = ""

    embedding_model: str = "gemini-embedding-2"
    embedding_dim: Annotated[int, Field(ge=1, le=65_536)] = 768
    embedding_lane: Literal["now", "batch"] = "now"
    local_embedding_model: str = ""
    gemini_api_key: SecretStr = SecretStr("")
    gemini_base_url: Url = ""

    batch_min_size: Count = 100
    batch_max_wait_s: Wait = 300
    batch_max_requests: Count = 10_000
    batch_max_bytes: Count = 100_000_000
    batch_max_jobs: Count = 50
    batch_enqueued_tokens: Count = 500_000
    batch_poll_s: Pause = 10
    batch_quiet_s: Wait = 900
    batch_deadline_h: Annotated[float, Field(gt=0, le=YEAR_H, allow_inf_nan=False)] = 24
    monthly_cap_usd: Annotated[Decimal, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)] | None = None

    groq_api_key: SecretStr = SecretStr("")
    groq_base_url: Url = ""
    groq_model: str = "whisper-large-v3-turbo"

    runpod_api_key: SecretStr = SecretStr("")
    runpod_url: Url = ""
    runpod_image_url: Url = ""
    runpod_image_worker: Literal["sdxl", "comfyui"] = "sdxl"
    runpod_timeout_s: Pause = 300
    runpod_worker: Literal["gigaam", "faster-whisper"] = "gigaam"
    runpod_model: str = ""
    runpod_gpu: str = "24 GB L4"
    runpod_low_priority: bool = False

    fireworks_enabled: bool = False
    fireworks_api_key: SecretStr = SecretStr("")
    fireworks_account_id: str = ""
    fireworks_base_url: Url = ""
    fireworks_batch_url: Url = ""
    fireworks_model: str = "whisper-v3"
    fireworks_poll_s: Pause = 10
    fireworks_max_wait_s: Pause = 3600

    storage_url: Annotated[str, Field(pattern=BUCKETS, description=OF_BUCKET)] = ""
    s3_endpoint_url: Url = _either("s3_endpoint_url", "yandex_endpoint_url")
    s3_access_key: SecretStr = _either_secret("s3_access_key", "yandex_access_key")
    s3_secret_key: SecretStr = _either_secret("s3_secret_key", "yandex_secret_key")
    s3_region: str = ""
    yandex_bucket_name: str = ""

    upload_max_bytes: Annotated[int, Field(ge=1, le=MOST_BYTES)] = 2 * 1024**3
    api_uploads_per_min: Count = 10
    api_requests_per_min: Count = 30
    api_tasks_per_key: Annotated[int, Field(ge=0, le=1_000_000_000)] = 3
    api_retention_h: Annotated[float, Field(ge=0, le=100 * YEAR_H, allow_inf_nan=False)] = 24
    api_callbacks_anywhere: bool = False
    key_pepper: SecretStr = SecretStr("")

    smtp_host: Annotated[str, Field(pattern=r"^[\w.:\[\]-]*$", description="a mail server's name")] = ""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""

    import_roots: str = ""
    import_buckets: Annotated[str, _each(_bucket), Field(description=OF_BUCKETS)] = ""
    export_roots: str = ""
    export_buckets: Annotated[str, _each(_bucket), Field(description=OF_BUCKETS)] = ""
    watch_every_s: Pause = 60
    feeds_every_s: Pause = 1800
    links_anywhere: bool = False
    link_max_s: Pause = 3600
    share_results: bool = True
    cache_max_bytes: Annotated[int, Field(ge=0, le=MOST_BYTES)] = 50 * 1024**3
    bin_days: Annotated[int, Field(ge=0, le=36_600)] = 30
    audit_keep_days: Annotated[int, Field(ge=30, le=3660)] = 365
    vector_cache_days: Annotated[int, Field(ge=0, le=36_600)] = 30
    pages_read_only: bool = False
    search_log: bool = False
    search_clicks: bool = False

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
    def has_shared_index(self) -> bool:
        """Whether other machines can reach the index, too."""
        return "://" in self.index

    @property
    def index_bucket_options(self) -> dict[str, str]:
        """The `S3_*` settings as LanceDB takes them; those that are not set come from its environment."""
        options = {
            "access_key_id": self.s3_access_key.get_secret_value(),
            "secret_access_key": self.s3_secret_key.get_secret_value(),
            "endpoint": self.s3_endpoint_url,
            "region": self.s3_region or ("us-east-1" if self.s3_endpoint_url else ""),
        }
        named = {name: value for name, value in options.items() if value}
        return {**named, "allow_http": "true"} if named and self.index.startswith("s3://") else {}

    @property
    def bucket(self) -> str:
        """`s3://bucket/prefix` for media and pictures, or nothing for the folder in home."""
        named = f"s3://{self.yandex_bucket_name}" if self.yandex_bucket_name else ""
        return self.storage_url or named

    @property
    def served_hosts(self) -> tuple[str, ...]:
        """Names that a request may call this installation by: `HOST`, this machine's, `ALLOWED_HOSTS`."""
        own_host = f"[{self.host}]" if ":" in self.host else self.host
        named = (part.strip() for part in self.allowed_hosts.split(","))
        return own_host, "localhost", "127.0.0.1", "[::1]", *(part for part in named if part)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine, and proxies on it, reach the pages."""
        host = self.host.strip("[]")
        address = host[:1].isdigit() or ":" in host
        return ipaddress.ip_address(host).is_loopback if address else host == "localhost"

    @property
    def private(self) -> bool:
        """Whether nobody but this machine's people reach the pages: on loopback, and no proxy is named."""
        return self.is_loopback and not self.allowed_hosts.strip() and not self.trusted_proxies.strip()

    @property
    def redirect_url(self) -> str:
        """Where the OpenID provider sends people back to."""
        return self.oidc_redirect_url or f"http://{self.served_hosts[0]}:{self.port}/oauth2callback"

    @property
    def requires_sign_in(self) -> bool:
        """Whether people sign in, here or at a proxy; else whoever reaches the pages acts as admin."""
        return bool(self.oidc_issuer or self.proxy_user_header)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Server folders that may be read; none unless `IMPORT_ROOTS` names them, split by colons."""
        return _folders(self.import_roots)

    @property
    def writable_folders(self) -> tuple[Path, ...]:
        """Server folders that results may be written to: `EXPORT_ROOTS`, likewise."""
        return _folders(self.export_roots)

    @property
    def readable_buckets(self) -> tuple[str, ...]:
        """What of buckets may be read: each `s3://bucket/prefix`, without a slash at its end."""
        return _buckets(self.import_buckets)

    @property
    def writable_buckets(self) -> tuple[str, ...]:
        """What of buckets results may be written to, likewise."""
        return _buckets(self.export_buckets)

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


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser().resolve() for part in text.split(":") if part)


def _buckets(text: str) -> tuple[str, ...]:
    return tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())


def keep_secret(name: str, value: str, file: Path) -> None:
    """Write a key into a file of settings, in place of what it had; only the file's owner may read it.

    It counts when the tool starts anew. Raises ValueError for what is no key, OSError where the file
    cannot be written.
    """
    if not re.fullmatch(KEY, value):
        raise ValueError("no key")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    others = [line for line in lines if not re.match(rf"\s*(export\s+)?{name}\s*=", line, re.IGNORECASE)]
    with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="utf-8", delete=False) as part:
        part.write("\n".join([*others, f"{name}={value}"]) + "\n")
    Path(part.name).replace(file)


def load() -> Settings:
    """The settings of the environment, with a home that can be written. Raises SettingsInvalid."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise SettingsInvalid(*map(_sentence, error.errors())) from None
    except (
        ValueError
    ) as error:  # of a file that is none of its kind; tomllib, json and pydantic share no more
        raise SettingsInvalid(str(error)) from None
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=settings.home).close()
    except OSError as error:
        allowed = f"a folder that can be written ({error.strerror})"
        raise SettingsInvalid(wrong("stenogram_home", settings.home, allowed)) from None
    if contradictions := [*_unsafe(settings)]:
        raise SettingsInvalid(*contradictions)
    return settings


def _unsafe(settings: Settings) -> Iterator[str]:
    """What lets people in who were not meant, or nobody: a sentence for each."""
    if not settings.is_loopback and not settings.requires_sign_in and not settings.pages_open:
        yield (
            f"HOST={settings.host} can be reached from elsewhere, and nobody would be asked who they are: "
            "set OIDC_ISSUER or PROXY_USER_HEADER, or PAGES_OPEN=true to let everybody in as admin."
        )
    if settings.oidc_issuer and settings.proxy_user_header:
        yield "OIDC_ISSUER and PROXY_USER_HEADER are two ways to sign in: set one of them."
    if settings.oidc_issuer and not (settings.oidc_client_id and settings.oidc_client_secret):
        yield "OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, as the provider gave them."
    if settings.proxy_user_header and not settings.trusted_proxies.strip():
        yield "PROXY_USER_HEADER needs TRUSTED_PROXIES: from elsewhere it is not believed."
    if settings.requires_sign_in and not (
        settings.oidc_admins or settings.oidc_members or settings.oidc_readers
    ):
        yield "Nobody could come in: name people or groups in OIDC_ADMINS, OIDC_MEMBERS or OIDC_READERS."


def allowed(name: str) -> str:
    """What a setting takes, as its sentence goes on after "must be"."""
    field = Settings.model_fields[name]
    if field.description:
        return field.description
    kind = field.annotation
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(typing.get_args(kind))
    if kind is bool:
        return "true or false"
    if kind in {str, SecretStr, Path}:
        return "a folder that can be written" if kind is Path else "text"
    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    return f"a {'whole ' if kind is int else ''}number {_bounds(field)}{unit}"


def _bounds(field: FieldInfo) -> str:
    inner = [field, *(arg for arg in typing.get_args(field.annotation) if hasattr(arg, "__metadata__"))]
    rules = [rule for each in inner for rule in _rules(each)]
    least = [f"from {rule.ge}" for rule in rules if isinstance(rule, Ge)]
    most = [f"to {rule.le}" for rule in rules if isinstance(rule, Le)]
    if above := [f"above {rule.gt}, at most {most[0][3:]}" for rule in rules if isinstance(rule, Gt)]:
        return above[0]
    return " ".join(least + most)


def _rules(annotated: Any) -> list[Any]:
    """Constraints of a field, or those inside an `Annotated[…] | None`."""
    if isinstance(annotated, FieldInfo):
        return list(annotated.metadata)
    return [rule for part in annotated.__metadata__ for rule in getattr(part, "metadata", [part])]


def _sentence(error: Any) -> str:
    name = str(error["loc"][0]).lower()
    fields = Settings.model_fields
    aliases = {
        str(alias): field_name
        for field_name, field in fields.items()
        for alias in getattr(field.validation_alias, "choices", ())
    }
    field_name = aliases.get(name, name)
    value = "***" if fields[field_name].annotation is SecretStr else error["input"]
    return wrong(name, value, allowed(field_name))
