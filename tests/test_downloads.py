"""Models come here on request, slice by slice, and say how far they are."""

import hashlib
import itertools

import httpx
import pytest

from core.downloads import Downloads
from core.errors import NotFound
from core.gigaam import download
from core.journey import Journey
from core.settings import Settings

CONTENT = bytes(range(256)) * 20_000
MODEL = "v3_ctc"


def publisher():
    """A server of one model that can go on in the middle."""

    def answer(request):
        wanted = request.headers.get("range", "bytes=0-")
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            return httpx.Response(416)
        return httpx.Response(206 if start else 200, content=CONTENT[start:])

    return httpx.Client(transport=httpx.MockTransport(answer))


def nobody():
    def refuse(request):
        raise httpx.ConnectError("no route")

    return httpx.Client(transport=httpx.MockTransport(refuse))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setitem(download.MD5, MODEL, hashlib.md5(CONTENT).hexdigest())
    return Journey(Settings(stenogram_home=tmp_path / "home", gigaam_model=MODEL))


def downloads(here, connect, step_s=0.0):
    ticks = itertools.count(0, step_s)
    return Downloads(here.settings, here.records, connect, lambda: next(ticks))


def test_nothing_is_fetched_before_somebody_asks(here):
    models = downloads(here, nobody)

    models.tick()

    assert [(one.name, one.state) for one in models.all()] == [(MODEL, "missing")]


def test_a_model_comes_in_slices_and_says_how_far_it_is(here):
    models = downloads(here, publisher, step_s=10)
    models.ask(MODEL)

    models.tick()
    (half,) = models.all()
    assert half.state == "asked"
    assert 0 < half.done_bytes < half.total_bytes == len(CONTENT)

    for _ in range(10):
        models.tick()
    assert models.all()[0].state == "here"
    assert (here.settings.models / f"{MODEL}.ckpt").read_bytes() == CONTENT


def test_a_download_that_was_stopped_goes_no_further(here):
    models = downloads(here, publisher, step_s=10)
    models.ask(MODEL)
    models.stop(MODEL)

    models.tick()

    assert models.all()[0].state == "missing"
    assert not here.settings.models.exists()


def test_without_a_network_it_says_where_to_find_the_file(here):
    models = downloads(here, nobody)
    models.ask(MODEL)

    models.tick()

    (failed,) = models.all()
    assert failed.state == "failed"
    assert failed.error["facts"]["address"] == failed.address
    assert failed.folder == str(here.settings.models)


def test_only_models_of_the_settings_can_be_asked_for(here):
    with pytest.raises(NotFound):
        here.downloads.ask("../v3")


def test_a_local_model_is_offered_when_the_settings_name_one(tmp_path):
    model = "intfloat/multilingual-e5-small"
    settings = Settings(stenogram_home=tmp_path / "home", local_embedding_model=model)
    models = Journey(settings).downloads
    assert [one.name for one in models.all()][1:] == [model]

    snapshot = settings.models / "models--intfloat--multilingual-e5-small" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert models.all()[1].state == "here"
