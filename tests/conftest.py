"""What every test may ask for. The tool's own home is a temporary folder from the first import on."""

from __future__ import annotations

import gc
import inspect
import os
import secrets
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

os.environ["STENOGRAM_HOME"] = tempfile.mkdtemp(prefix="stenogram-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
import hypothesis
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from tests.clock import Clock, StoppedClock

DATA = Path(__file__).parent / "data"

hypothesis.settings.register_profile("unhurried", deadline=None)  # this machine may be busy: nothing is timed
hypothesis.settings.load_profile("unhurried")
_patience = inspect.signature(httpx.request).parameters["timeout"].default  # one object for all
_patience.connect = _patience.read = _patience.write = _patience.pool = 60.0


def _models() -> Path:
    """A folder of models that all processes of all tests share: the toys, and Whisper once it was joined."""
    checkout = zlib.crc32(str(DATA).encode())  # links into a checkout that is gone lead nowhere
    folder = Path(tempfile.gettempdir()) / f"stenogram-test-models-{os.getuid()}-{checkout:08x}"
    folder.mkdir(exist_ok=True)
    for toy in (DATA / "models").glob("*.ckpt"):
        if not (folder / toy.name).exists():
            with suppress(FileExistsError):
                (folder / toy.name).symlink_to(toy)
    return folder


os.environ["MODELS_DIR"] = str(_models())
os.environ["SPEAKERS"] = "off"  # a second of torch for each upload; tests of speakers ask for them
os.environ["SPOKEN_LANGUAGE"] = "ru"  # nobody speaks to the toy; tests of identification ask for `auto`
os.environ["GIGAAM_MODEL"] = "v3_ctc"  # a toy of 1.5 MB in the official format; it understands espeak-ng


LONGEST = [
    "test_payments",
    "test_states_and_actions",
    "test_browser",
    "test_remote_orders",
    "test_pages",
    "test_frame_browser",
    "test_text_browser",
    "test_spoken_languages",
    "test_costs_browser",
    "test_api_anonymous",
    "test_pipeline",
    "test_chaos",
    "test_costs_page",
    "test_api_description",
]
"""Files that take longest by the clock begin first, so that none of them runs alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))  # the summary counts reruns: look at what is in it


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is imported stays: looking through it for garbage costs 0.3 s of a core each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.collect()  # or what is frozen would put off the next look for garbage, and its files stay open


@pytest.fixture(scope="session", autouse=True)
def _copied_schema():
    from core.database import migrations
    from tests import schema

    migrations._upgrade, upgrade = schema.CopiedSchema(migrations._upgrade), migrations._upgrade
    yield
    migrations._upgrade = upgrade


@pytest.fixture(scope="session", autouse=True)
def _one_look_for_components():
    """Each AppTest would look through all installed packages again, 0.3 s of a core."""
    from streamlit.components.v2 import manifest_scanner

    look, manifest_scanner.scan_component_manifests = manifest_scanner.scan_component_manifests, list
    yield
    manifest_scanner.scan_component_manifests = look


@pytest.fixture(scope="module", autouse=True)
def _forked_decoders(request: pytest.FixtureRequest):
    """A child that decodes costs 0.2 s of a core to start; not where starting it is what is tested."""
    from tests import decoders

    with nullcontext() if request.path.stem == "test_decode" else decoders.forked():
        yield


@pytest.fixture(scope="session", autouse=True)
def _decoder_server():
    yield
    from tests import decoders

    decoders.end()


@pytest.fixture
def app(tmp_path: Path):
    """An installation of its own in a temporary folder; `drive.perform_all` does the work."""
    from core.application import Application
    from core.settings import Settings

    return Application(Settings(stenogram_home=tmp_path / "home"), clock=Clock())


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """Three seconds of English speech: "good morning everyone and thank you for coming to"."""
    from tests.installation import cut

    return cut(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def me(served):
    """Somebody with a new key of the installation that the tests of a file share."""
    with served.client() as client:
        yield client


@pytest.fixture(scope="session")
def postgres_server():
    """A real PostgreSQL server, started from a wheel."""
    import pgserver

    server = pgserver.get_server(tempfile.mkdtemp(prefix="stenogram-pg-"), cleanup_mode="delete")
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def postgres(postgres_server):
    """Its address."""
    return postgres_server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(scope="session")
def migrated(postgres):
    """The name of a database with our tables, to be copied: making them costs 0.5 s of a core."""
    from core.database.database import Database

    with new_database(postgres, "template0") as url:
        Database(url).close()
        yield make_url(url).database


@pytest.fixture(scope="session")
def template(migrated):
    """What new databases of a test are copies of."""
    return migrated


@contextmanager
def new_database(server: str, template: str) -> Iterator[str]:
    """The address of a database of its own; it is dropped afterwards."""
    name = f"test_{secrets.token_hex(4)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """The address of a database without rows, of each kind that is supported."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.sqlite'}"
        return
    server, template = map(request.getfixturevalue, ("postgres", "template"))
    with new_database(server, template) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept_in(request):
    """Settings of an installation that the tests of a file share, in each kind of database."""
    if request.param == "sqlite":
        yield {}
        return
    server, template = map(request.getfixturevalue, ("postgres", "template"))
    with new_database(server, template) as url:
        yield {"database_url": url}


@pytest.fixture
def database(database_url):
    """Empty records in each kind of database."""
    from core.database.database import Database

    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def clock():
    return StoppedClock()
