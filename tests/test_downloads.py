"""Models come here on request, slice by slice, and say how far they are."""

import hashlib
import http.server
import itertools
import threading
import time
from dataclasses import replace

import httpx
import psutil
import pytest

from core.application import Application
from core.errors import Code, NotFound, code_of
from core.principal import EVERYONE
from core.settings import Settings
from core.speech.downloads import ModelDownloads
from core.speech.engines import whisper_models
from core.speech.engines.whisper import WhisperEngine
from core.speech.engines.whisper_models import File
from core.speech.gigaam import download

CONTENT = bytes(range(256)) * 20_000
MODEL = "v3_ctc"


def publisher():
    """A server of one model that can go on in the middle."""

    def answer(request):
        byte_range = request.headers.get("range", "bytes=0-")
        start = int(byte_range.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            return httpx.Response(416)
        return httpx.Response(206 if start else 200, content=CONTENT[start:])

    return httpx.Client(transport=httpx.MockTransport(answer))


def nobody():
    def refuse(request):
        raise httpx.ConnectError("no route")

    return httpx.Client(transport=httpx.MockTransport(refuse))


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setitem(download.MD5, MODEL, hashlib.md5(CONTENT).hexdigest())
    models_dir = str(tmp_path / "models")
    return Application(Settings(stenogram_home=tmp_path / "home", models_dir=models_dir, gigaam_model=MODEL))


def downloads(app, connect, step_s=0.0):
    ticks = itertools.count(0, step_s)
    return ModelDownloads(app.settings, app.database, connect, lambda: next(ticks))


def test_nothing_is_fetched_before_somebody_asks(app):
    models = downloads(app, nobody)

    models.tick()

    assert {one.state for one in models.all()} == {"missing"}


def test_a_model_comes_in_slices_and_says_how_far_it_is(app, caplog):
    caplog.set_level("INFO")
    models = downloads(app, publisher, step_s=10)
    models.ask(EVERYONE, MODEL)

    models.tick()
    half, *_ = models.all()
    assert half.state == "asked"
    assert 0 < half.done_bytes < half.total_bytes == len(CONTENT)

    for _ in range(10):
        models.tick()
    assert models.all()[0].state == "here"
    assert (app.settings.models / f"{MODEL}.ckpt").read_bytes() == CONTENT
    progress_lines = [line for line in caplog.messages if "MB are here" in line]
    assert len(progress_lines) > 1
    assert progress_lines[-1] == "v3_ctc.ckpt: 5 of 5 MB are here"


def test_a_download_that_was_stopped_goes_no_further(app):
    models = downloads(app, publisher, step_s=10)
    models.ask(EVERYONE, MODEL)
    models.stop(EVERYONE, MODEL)

    models.tick()

    assert models.all()[0].state == "missing"
    assert not app.settings.models.exists()


def test_without_a_network_it_says_where_to_find_the_file(app):
    models = downloads(app, nobody)
    models.ask(EVERYONE, MODEL)

    models.tick()

    failed, *_ = models.all()
    assert failed.state == "failed"
    assert failed.error["facts"]["address"] == failed.address
    assert failed.folder == str(app.settings.models)


def whispers(models):
    return {one.name: one for one in models.all() if one.kind == "whisper"}


def test_every_whisper_but_the_one_that_is_installed_is_offered_with_size_and_licence(app):
    downloads = whispers(app.model_downloads)

    assert set(downloads) == {f"whisper-{name}" for name in whisper_models.MODELS} - {"whisper-base"}
    for one in downloads.values():
        published = whisper_models.MODELS[one.name.removeprefix("whisper-")]
        assert (one.size_bytes, one.licence) == (published.size_bytes, "MIT")
        assert published.revision in one.address


def test_a_whisper_comes_in_slices_goes_on_after_a_break_and_is_ready(app, monkeypatch):
    files = (File("config.json", 11), File("model.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()))
    monkeypatch.setitem(whisper_models.MODELS, "tiny", replace(whisper_models.MODELS["tiny"], files=files))
    ranges = []

    def answer(request):
        content = CONTENT if request.url.path.endswith("model.bin") else b'{"a": "bcd"}'[:11]
        assert whisper_models.MODELS["tiny"].revision in request.url.path
        byte_range = request.headers.get("range", "bytes=0-")
        ranges.append(byte_range)
        start = int(byte_range.removeprefix("bytes=").removesuffix("-"))
        return httpx.Response(206 if start else 200, content=content[start:])

    models = downloads(app, lambda: httpx.Client(transport=httpx.MockTransport(answer)), step_s=10)
    models.ask(EVERYONE, "whisper-tiny")
    models.tick()
    models.tick()
    half = whispers(models)["whisper-tiny"]
    assert half.state == "asked"
    assert 0 < half.done_bytes < half.total_bytes == len(CONTENT)

    for _ in range(10):
        models.tick()
    assert whispers(models)["whisper-tiny"].state == "here"
    assert any(each != "bytes=0-" for each in ranges)
    assert WhisperEngine("tiny", app.settings.models).readiness().ready


def test_a_whisper_whose_weights_are_not_what_was_published_is_refused(app, monkeypatch):
    files = (File("model.bin", len(CONTENT), "0" * 64),)
    monkeypatch.setitem(whisper_models.MODELS, "tiny", replace(whisper_models.MODELS["tiny"], files=files))
    models = downloads(app, publisher)
    models.ask(EVERYONE, "whisper-tiny")
    models.tick()

    failed = whispers(models)["whisper-tiny"]
    assert (failed.state, code_of(failed.error)) == ("failed", Code.MODEL_DAMAGED)
    assert not list(app.settings.models.rglob("model.bin*"))


def test_only_models_of_the_settings_can_be_asked_for(app):
    with pytest.raises(NotFound):
        app.model_downloads.ask(EVERYONE, "../v3")


def test_a_local_model_is_offered_when_the_settings_name_one(tmp_path):
    model = "intfloat/multilingual-e5-small"
    places = {"stenogram_home": tmp_path / "home", "models_dir": str(tmp_path / "models")}
    settings = Settings(**places, local_embedding_model=model)
    models = Application(settings).model_downloads
    assert [one.name for one in models.all() if one.kind == "local"] == [model]

    snapshot = settings.models / "models--intfloat--multilingual-e5-small" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert models.all()[1].state == "here"


class HuggingFace:
    """Somebody who has no such model, and takes a while to say so."""

    def __init__(self):
        self.asked, self.released, self.waited = threading.Event(), threading.Event(), []
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                publisher.asked.set()
                publisher.waited.append(publisher.released.wait(20))
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                self.do_HEAD()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hugging_face(monkeypatch):
    publisher = HuggingFace()
    monkeypatch.setenv("HF_ENDPOINT", publisher.url)
    yield publisher
    publisher.released.set()
    publisher.server.shutdown()
    publisher.server.server_close()


@pytest.fixture
def models(tmp_path, hugging_face):
    places = {"stenogram_home": tmp_path / "home", "models_dir": str(tmp_path / "models")}
    settings = Settings(**places, local_embedding_model="me/model")
    models = Application(settings).model_downloads
    models.ask(EVERYONE, "me/model")
    models.tick()
    yield models
    models.stop(EVERYONE, "me/model")
    models.tick()


def local(models):
    return next(one for one in models.all() if one.kind == "local")


def state(models):
    return local(models).state


def test_a_model_of_hugging_face_comes_beside_other_work(models, hugging_face):
    assert hugging_face.asked.wait(60)
    models.tick()
    assert (state(models), hugging_face.waited) == ("asked", []), "nobody waits for it"

    hugging_face.released.set()
    until = time.monotonic() + 60
    while state(models) == "asked" and time.monotonic() < until:
        models.tick()
        time.sleep(0.1)

    assert state(models) == "failed"
    assert code_of(local(models).error) is Code.MODEL_NOT_DOWNLOADED


def test_a_model_of_hugging_face_that_is_wanted_no_more_is_left_alone(models, hugging_face):
    assert hugging_face.asked.wait(60)
    assert beside_us()

    models.stop(EVERYONE, "me/model")
    models.tick()

    assert state(models) == "missing"
    assert not beside_us()


def beside_us():
    return [child for child in psutil.Process().children() if "me/model" in child.cmdline()]
