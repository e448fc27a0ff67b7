"""What every test may ask for. The tool's own home is a temporary folder from the first import on."""

from __future__ import annotations

import os
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

os.environ["STENOGRAM_HOME"] = tempfile.mkdtemp(prefix="stenogram-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.clock import Clock, StoppedClock

DATA = Path(__file__).parent / "data"


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
os.environ["GIGAAM_MODEL"] = "v3_ctc"  # a toy of 1.5 MB in the official format; it understands espeak-ng


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
def postgres():
    """The address of a real PostgreSQL server, started from a wheel."""
    import pgserver

    server = pgserver.get_server(tempfile.mkdtemp(prefix="stenogram-pg-"), cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """The address of an empty database, of each kind that is supported."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.sqlite'}"
        return
    from sqlalchemy import create_engine, text

    server = request.getfixturevalue("postgres")
    yield server
    with create_engine(server).begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))


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
